"""MurmurHash3, 32 and 128 bit, seed 0: what Cosmos DB spreads logical partitions by.

Source: github.com/aappleby/smhasher, MurmurHash3.cpp (public domain)
"""

from __future__ import annotations

import struct

MASK_32, MASK_64 = (1 << 32) - 1, (1 << 64) - 1
C1, C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F


def murmur3_32(data: bytes) -> int:
    """MurmurHash3 x86 32 bit, seed 0."""
    value, whole = 0, len(data) & ~3
    for start in range(0, whole, 4):
        value ^= _scramble_32(int.from_bytes(data[start : start + 4], "little"))
        value = (_rotate(value, 13, 32) * 5 + 0xE6546B64) & MASK_32
    if whole < len(data):
        value ^= _scramble_32(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & MASK_32
    value = (value ^ value >> 13) * 0xC2B2AE35 & MASK_32
    return value ^ value >> 16


def _scramble_32(block: int) -> int:
    return _rotate(block * 0xCC9E2D51 & MASK_32, 15, 32) * 0x1B873593 & MASK_32


def murmur3_128(data: bytes) -> tuple[int, int]:
    """MurmurHash3 x64 128 bit, seed 0: (second, first) 64-bit half."""
    first = second = 0
    whole = len(data) & ~15
    for start in range(0, whole, 16):
        low, high = struct.unpack_from("<QQ", data, start)
        first = _rotate(first ^ _scramble_low(low), 27, 64) + second
        first = (first * 5 + 0x52DCE729) & MASK_64
        second = _rotate(second ^ _scramble_high(high), 31, 64) + first
        second = (second * 5 + 0x38495AB5) & MASK_64
    tail = data[whole:]
    second ^= _scramble_high(int.from_bytes(tail[8:], "little"))
    first ^= _scramble_low(int.from_bytes(tail[:8], "little"))
    first ^= len(data)
    second ^= len(data)
    first = (first + second) & MASK_64
    second = (second + first) & MASK_64
    first, second = _finish_64(first), _finish_64(second)
    first = (first + second) & MASK_64
    return (second + first) & MASK_64, first


def _scramble_low(block: int) -> int:
    return _rotate(block * C1 & MASK_64, 31, 64) * C2 & MASK_64


def _scramble_high(block: int) -> int:
    return _rotate(block * C2 & MASK_64, 33, 64) * C1 & MASK_64


def _finish_64(value: int) -> int:
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & MASK_64
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & MASK_64
    return value ^ value >> 33


def _rotate(value: int, bits: int, width: int) -> int:
    return (value << bits | value >> (width - bits)) & ((1 << width) - 1)
