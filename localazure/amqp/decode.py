"""Bytes to values: the AMQP type system, read strictly.

Owns: every primitive, described, compound and array constructor of part 1. Whatever the bytes, a reader returns a value
or raises `DecodeError`: no other exception, no unbounded recursion or allocation.
Refuses to know: frames, performatives, messages.

How: one table of 256 readers, indexed by the constructor byte; a reader takes the bytes and a position and returns
the value and the position behind it. `skip` walks the same grammar and builds nothing.
Integers of every width become `int`; symbols become `Symbol`, timestamps `Timestamp` (milliseconds), characters
`Char`; decimals stay opaque (`Decimal`), as nothing here counts with them. Maps become `dict`, keys in order.

Source: OASIS AMQP 1.0 part 1, sections 1.2 (encodings) and 1.6 (primitive types).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localazure.amqp.errors import DecodeError

MOST_NESTED_LEVELS = 32
MOST_EMPTY_ELEMENTS = 65_536
"""An array of nulls takes no bytes per element: its length is bounded here instead."""


class Symbol(str):
    """A name from a constrained domain: ASCII only."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970-01-01T00:00:00Z; may be negative."""

    __slots__ = ()


class Char(str):
    """One Unicode character."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Decimal:
    """An IEEE 754 decimal, kept as its 4, 8 or 16 bytes."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor that says what it means."""

    descriptor: Any
    value: Any


class AmqpArray(list[Any]):
    """Many values of one type, as opposed to a list."""

    __slots__ = ()


Reader = Callable[[bytes, int, int], tuple[Any, int]]
"""(bytes, position behind the constructor, nesting level) -> (value, position behind the value)"""


def decode(data: bytes, position: int = 0, level: int = 0) -> tuple[Any, int]:
    """The value at `position`, and the position behind it. Raises: `DecodeError`."""
    try:
        reader = _READERS[data[position]]
    except IndexError:
        raise DecodeError("the value ends before its constructor") from None
    return reader(data, position + 1, level)


def _unknown(data: bytes, position: int, level: int) -> tuple[Any, int]:
    raise DecodeError(f"0x{data[position - 1]:02x} is no constructor")


def _constant(value: Any) -> Reader:
    return lambda data, position, level: (value, position)


def _empty_list(data: bytes, position: int, level: int) -> tuple[Any, int]:
    return [], position


def _fixed(layout: str, make: Callable[[Any], Any] | None = None) -> Reader:
    shape = struct.Struct(layout)
    width = shape.size
    unpack = shape.unpack_from

    def read(data: bytes, position: int, level: int) -> tuple[Any, int]:
        end = position + width
        if end > len(data):
            raise DecodeError(f"a value of {width} bytes is cut off")
        (value,) = unpack(data, position)
        return (value if make is None else make(value)), end

    return read


def _variable(length_bytes: int, make: Callable[[bytes], Any]) -> Reader:
    def read(data: bytes, position: int, level: int) -> tuple[Any, int]:
        start = position + length_bytes
        end = start + int.from_bytes(data[position:start], "big")
        if end > len(data) or start > len(data):
            raise DecodeError("a value of variable width is cut off")
        return make(data[start:end]), end

    return read


def _boolean(raw: int) -> bool:
    if raw > 1:
        raise DecodeError(f"0x{raw:02x} is no boolean")
    return raw == 1


def _character(raw: int) -> Char:
    try:
        return Char(chr(raw))
    except (ValueError, OverflowError):
        raise DecodeError(f"U+{raw:X} is no character") from None


def _string(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise DecodeError(f"a string is not UTF-8: {problem.reason}") from None


def _symbol(raw: bytes) -> Symbol:
    try:
        return Symbol(raw.decode("ascii"))
    except UnicodeDecodeError:
        raise DecodeError("a symbol is not ASCII") from None


def compound_bounds(data: bytes, position: int, width: int, level: int) -> tuple[int, int, int]:
    """(count, start of the first element, end) of a list, map or array whose size field is `width` bytes wide."""
    if level >= MOST_NESTED_LEVELS:
        raise DecodeError(f"nested deeper than {MOST_NESTED_LEVELS} levels")
    start = position + 2 * width
    end = position + width + int.from_bytes(data[position : position + width], "big")
    if end > len(data) or start > end:
        raise DecodeError("a compound value is cut off")
    return int.from_bytes(data[position + width : start], "big"), start, end


def _elements(data: bytes, count: int, position: int, end: int, level: int) -> list[Any]:
    if count > end - position:
        raise DecodeError(f"{count} elements cannot be in {end - position} bytes")
    values = []
    for _ in range(count):
        value, position = decode(data, position, level + 1)
        values.append(value)
    if position != end:
        raise DecodeError("the elements of a compound value do not fill its size")
    return values


def _list(width: int) -> Reader:
    def read(data: bytes, position: int, level: int) -> tuple[Any, int]:
        count, start, end = compound_bounds(data, position, width, level)
        return _elements(data, count, start, end, level), end

    return read


def _map(width: int) -> Reader:
    def read(data: bytes, position: int, level: int) -> tuple[Any, int]:
        count, start, end = compound_bounds(data, position, width, level)
        if count % 2:
            raise DecodeError("a map has a key without a value")
        elements = _elements(data, count, start, end, level)
        try:
            return dict(zip(elements[::2], elements[1::2], strict=True)), end
        except TypeError:
            raise DecodeError("a map has a compound key") from None

    return read


def _array(width: int) -> Reader:
    def read(data: bytes, position: int, level: int) -> tuple[Any, int]:
        count, start, end = compound_bounds(data, position, width, level)
        if start == end:
            if count:
                raise DecodeError("an array without a constructor has elements")
            return AmqpArray(), end
        constructor = data[start]
        position = start + 1
        descriptor: Any = None
        if constructor == 0x00:
            descriptor, position = decode(data, position, level + 1)
            if position >= end:
                raise DecodeError("an array ends before its constructor")
            constructor = data[position]
            position += 1
        if count > end - position and (position != end or count > MOST_EMPTY_ELEMENTS):
            raise DecodeError(f"{count} elements cannot be in {end - position} bytes")
        reader = _READERS[constructor]
        values = AmqpArray()
        for _ in range(count):
            value, position = reader(data, position, level + 1)
            values.append(value if descriptor is None else Described(descriptor, value))
        if position != end:
            raise DecodeError("the elements of an array do not fill its size")
        return values, end

    return read


def _described(data: bytes, position: int, level: int) -> tuple[Any, int]:
    if level >= MOST_NESTED_LEVELS:
        raise DecodeError(f"nested deeper than {MOST_NESTED_LEVELS} levels")
    descriptor, position = decode(data, position, level + 1)
    value, position = decode(data, position, level + 1)
    return Described(descriptor, value), position


_READERS: list[Reader] = [_unknown] * 256
for _code, _reader in {
    0x00: _described,
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(0),
    0x44: _constant(0),
    0x45: _empty_list,
    0x50: _fixed(">B"),
    0x51: _fixed(">b"),
    0x52: _fixed(">B"),
    0x53: _fixed(">B"),
    0x54: _fixed(">b"),
    0x55: _fixed(">b"),
    0x56: _fixed(">B", _boolean),
    0x60: _fixed(">H"),
    0x61: _fixed(">h"),
    0x70: _fixed(">I"),
    0x71: _fixed(">i"),
    0x72: _fixed(">f"),
    0x73: _fixed(">I", _character),
    0x74: _fixed(">4s", Decimal),
    0x80: _fixed(">Q"),
    0x81: _fixed(">q"),
    0x82: _fixed(">d"),
    0x83: _fixed(">q", Timestamp),
    0x84: _fixed(">8s", Decimal),
    0x94: _fixed(">16s", Decimal),
    0x98: _fixed(">16s", lambda raw: uuid.UUID(bytes=raw)),
    0xA0: _variable(1, bytes),
    0xA1: _variable(1, _string),
    0xA3: _variable(1, _symbol),
    0xB0: _variable(4, bytes),
    0xB1: _variable(4, _string),
    0xB3: _variable(4, _symbol),
    0xC0: _list(1),
    0xC1: _map(1),
    0xD0: _list(4),
    0xD1: _map(4),
    0xE0: _array(1),
    0xF0: _array(4),
}.items():
    _READERS[_code] = _reader
del _code, _reader
