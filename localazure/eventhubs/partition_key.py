"""Which partition a partition key goes to: the hash that Event Hubs itself uses.

Owns: Bob Jenkins' lookup3 (`hashlittle2`) over the key's UTF-8 bytes, folded to a signed 16-bit number.
Refuses to know: hubs.

Source: burtleburtle.net/bob/c/lookup3.c (`hashlittle2`); the folding as in azure-eventhub 5.15.1,
`_buffered_producer/_partition_resolver.py`, and in azure-sdk-for-net,
`sdk/eventhub/Azure.Messaging.EventHubs/src/Core/PartitionResolver.cs`.
"""

from __future__ import annotations

import struct
from functools import lru_cache

_MASK = 0xFFFFFFFF


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = (a - c & _MASK) ^ _rotate(c, bits)
        c = c + b & _MASK
        a, b, c = b, c, a
    return a, b, c


def _finish(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _rotate(b, bits) & _MASK
        a, b, c = b, c, a
    return c, a, b


def lookup3(data: bytes) -> tuple[int, int]:
    """The primary and the secondary 32-bit hash."""
    a = b = c = 0xDEADBEEF + len(data) & _MASK
    position = 0
    while len(data) - position > 12:
        first, second, third = struct.unpack_from("<III", data, position)
        a, b, c = _mix(a + first & _MASK, b + second & _MASK, c + third & _MASK)
        position += 12
    tail = data[position:]
    if not tail:
        return c, b
    first, second, third = struct.unpack("<III", tail.ljust(12, b"\0"))
    _, b, c = _finish(a + first & _MASK, b + second & _MASK, c + third & _MASK)
    return c, b


@lru_cache(maxsize=4096)
def partition_of(key: str, partition_count: int) -> int:
    """The number of the partition; equal keys always meet in one as long as the hub lives."""
    primary, secondary = lookup3(key.encode("utf-8"))
    (folded,) = struct.unpack(">h", struct.pack(">H", (primary ^ secondary) & 0xFFFF))
    return int(abs(folded % partition_count))
