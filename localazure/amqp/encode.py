"""Values to bytes: one function per AMQP type, each returning the encoded value.

Owns: the encodings this server sends. The types are chosen by the caller (an `int` alone does not say `ulong`), so
there is no `encode(anything)`. Functions compose: a list is built from encoded elements.
Refuses to know: frames, performatives, messages.

Source: OASIS AMQP 1.0 part 1, section 1.6. Descriptors are written as smallulong, the form the Azure SDK indexes into.
"""

from __future__ import annotations

import struct
import uuid as _uuid
from collections.abc import Iterable, Sequence

NULL = b"\x40"
TRUE = b"\x41"
FALSE = b"\x42"
EMPTY_LIST = b"\x45"


def boolean(value: bool | None) -> bytes:
    return NULL if value is None else TRUE if value else FALSE


def ubyte(value: int | None) -> bytes:
    return NULL if value is None else struct.pack(">BB", 0x50, value)


def ushort(value: int | None) -> bytes:
    return NULL if value is None else struct.pack(">BH", 0x60, value)


def uint(value: int | None) -> bytes:
    if value is None:
        return NULL
    if value == 0:
        return b"\x43"
    return struct.pack(">BB", 0x52, value) if value < 256 else struct.pack(">BI", 0x70, value)


def ulong(value: int | None) -> bytes:
    if value is None:
        return NULL
    return struct.pack(">BB", 0x53, value) if value < 256 else struct.pack(">BQ", 0x80, value)


def int_(value: int) -> bytes:
    return struct.pack(">Bi", 0x71, value)


def long(value: int) -> bytes:
    return struct.pack(">Bq", 0x81, value)


def timestamp(milliseconds: int) -> bytes:
    return struct.pack(">Bq", 0x83, milliseconds)


def uuid(value: _uuid.UUID) -> bytes:
    return b"\x98" + value.bytes


def _sized(raw: bytes, small: int, large: int) -> bytes:
    if len(raw) < 256:
        return struct.pack(">BB", small, len(raw)) + raw
    return struct.pack(">BI", large, len(raw)) + raw


def binary(value: bytes | None) -> bytes:
    return NULL if value is None else _sized(value, 0xA0, 0xB0)


def string(value: str | None) -> bytes:
    return NULL if value is None else _sized(value.encode("utf-8"), 0xA1, 0xB1)


def symbol(value: str | None) -> bytes:
    return NULL if value is None else _sized(value.encode("ascii"), 0xA3, 0xB3)


def _compound(elements: Sequence[bytes], small: int, large: int) -> bytes:
    body = b"".join(elements)
    if len(body) < 255 and len(elements) < 256:
        return struct.pack(">BBB", small, len(body) + 1, len(elements)) + body
    return struct.pack(">BII", large, len(body) + 4, len(elements)) + body


def list_of(elements: Sequence[bytes]) -> bytes:
    return _compound(elements, 0xC0, 0xD0)


def map_of(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    return _compound([part for pair in pairs for part in pair], 0xC1, 0xD1)


def array_of_symbols(values: Sequence[str]) -> bytes:
    return _array(0xB3, [value.encode("ascii") for value in values])


def array_of_strings(values: Sequence[str]) -> bytes:
    return _array(0xB1, [value.encode("utf-8") for value in values])


def _array(constructor: int, raws: Sequence[bytes]) -> bytes:
    body = b"".join(struct.pack(">I", len(raw)) + raw for raw in raws)
    return struct.pack(">BIIB", 0xF0, len(body) + 5, len(raws), constructor) + body


def described(descriptor: int, value: bytes) -> bytes:
    return struct.pack(">BBB", 0x00, 0x53, descriptor) + value
