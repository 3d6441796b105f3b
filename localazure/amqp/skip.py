"""Walking over encoded values without building them: how stored messages are checked and cut.

Owns: `skip`, the grammar of `decode` reduced to positions. It refuses what `decode` refuses, but for the content of
strings, symbols and characters, which it does not look into.
Refuses to know: what the values mean.

Source: OASIS AMQP 1.0 part 1, section 1.2: the high nibble of a constructor says how wide its value is.
"""

from __future__ import annotations

from localazure.amqp.decode import MOST_EMPTY_ELEMENTS, MOST_NESTED_LEVELS, compound_bounds
from localazure.amqp.errors import DecodeError

_DESCRIBED, _UNKNOWN = -1, -2
_LIST, _MAP, _ARRAY = -3, -4, -5


def _widths() -> list[int]:
    """Per constructor: the number of bytes of a fixed value, 0x100 + the length bytes of a variable one, or a kind."""
    widths = [_UNKNOWN] * 256
    widths[0x00] = _DESCRIBED
    for codes, width in (
        (range(0x40, 0x46), 0),
        (range(0x50, 0x57), 1),
        ((0x60, 0x61), 2),
        (range(0x70, 0x75), 4),
        (range(0x80, 0x85), 8),
        ((0x94, 0x98), 16),
        ((0xA0, 0xA1, 0xA3), 0x101),
        ((0xB0, 0xB1, 0xB3), 0x104),
        ((0xC0, 0xD0), _LIST),
        ((0xC1, 0xD1), _MAP),
        ((0xE0, 0xF0), _ARRAY),
    ):
        for code in codes:
            widths[code] = width
    return widths


_WIDTHS = _widths()


def skip(data: bytes, position: int, level: int = 0) -> int:
    """The position behind the value at `position`. Raises: `DecodeError`."""
    try:
        constructor = data[position]
    except IndexError:
        raise DecodeError("the value ends before its constructor") from None
    return _skip_body(data, constructor, position + 1, level)


def _skip_body(data: bytes, constructor: int, position: int, level: int) -> int:
    width = _WIDTHS[constructor]
    if width >= 0x100:
        start = position + width - 0x100
        position = start + int.from_bytes(data[position:start], "big")
        if start > len(data):
            raise DecodeError("a value of variable width is cut off")
    elif width >= 0:
        position += width
    elif width == _DESCRIBED:
        if level >= MOST_NESTED_LEVELS:
            raise DecodeError(f"nested deeper than {MOST_NESTED_LEVELS} levels")
        return skip(data, skip(data, position, level + 1), level + 1)
    elif width == _UNKNOWN:
        raise DecodeError(f"0x{constructor:02x} is no constructor")
    else:
        return _skip_compound(data, width, 1 if constructor & 0xF0 in (0xC0, 0xE0) else 4, position, level)
    if position > len(data):
        raise DecodeError("a value is cut off")
    return position


def _skip_compound(data: bytes, kind: int, size_bytes: int, position: int, level: int) -> int:
    count, position, end = compound_bounds(data, position, size_bytes, level)
    if kind == _ARRAY:
        position = _skip_array(data, count, position, end, level)
    else:
        if kind == _MAP and count % 2:
            raise DecodeError("a map has a key without a value")
        if count > end - position:
            raise DecodeError(f"{count} elements cannot be in {end - position} bytes")
        for _ in range(count):
            position = skip(data, position, level + 1)
    if position != end:
        raise DecodeError("the elements of a compound value do not fill its size")
    return end


def _skip_array(data: bytes, count: int, position: int, end: int, level: int) -> int:
    if position == end:
        if count:
            raise DecodeError("an array without a constructor has elements")
        return position
    constructor = data[position]
    position += 1
    if constructor == 0x00:
        position = skip(data, position, level + 1)
        if position >= end:
            raise DecodeError("an array ends before its constructor")
        constructor = data[position]
        position += 1
    if count > end - position and (position != end or count > MOST_EMPTY_ELEMENTS):
        raise DecodeError(f"{count} elements cannot be in {end - position} bytes")
    for _ in range(count):
        position = _skip_body(data, constructor, position, level + 1)
    return position
