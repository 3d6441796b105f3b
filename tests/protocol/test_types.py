"""The AMQP type system: every constructor read, every cut refused, and `skip` walking the same grammar as `decode`."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localazure.amqp import encode
from localazure.amqp.decode import (
    AmqpArray,
    Char,
    Decimal,
    Described,
    Symbol,
    Timestamp,
    decode,
)
from localazure.amqp.errors import DecodeError
from localazure.amqp.skip import skip

ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
VALUES: list[tuple[str, bytes, Any]] = [
    ("null", b"\x40", None),
    ("true", b"\x41", True),
    ("false", b"\x42", False),
    ("boolean", b"\x56\x01", True),
    ("ubyte", b"\x50\xff", 255),
    ("ushort", b"\x60\xff\xff", 65_535),
    ("uint", b"\x70\xff\xff\xff\xff", 2**32 - 1),
    ("smalluint", b"\x52\xff", 255),
    ("uint0", b"\x43", 0),
    ("ulong", b"\x80" + b"\xff" * 8, 2**64 - 1),
    ("smallulong", b"\x53\x07", 7),
    ("ulong0", b"\x44", 0),
    ("byte", b"\x51\x80", -128),
    ("short", b"\x61\x80\x00", -32_768),
    ("int", b"\x71\x80\x00\x00\x00", -(2**31)),
    ("smallint", b"\x54\xff", -1),
    ("long", b"\x81\x80" + b"\x00" * 7, -(2**63)),
    ("smalllong", b"\x55\xff", -1),
    ("float", b"\x72\x3f\xc0\x00\x00", 1.5),
    ("double", b"\x82\x3f\xf8" + b"\x00" * 6, 1.5),
    ("decimal32", b"\x74abcd", Decimal(b"abcd")),
    ("decimal64", b"\x84abcdefgh", Decimal(b"abcdefgh")),
    ("decimal128", b"\x94" + b"abcdefgh" * 2, Decimal(b"abcdefgh" * 2)),
    ("char", b"\x73\x00\x01\xf6\x00", Char("\U0001f600")),
    ("timestamp", b"\x83" + (1_767_571_200_000).to_bytes(8, "big"), Timestamp(1_767_571_200_000)),
    ("uuid", b"\x98" + ID.bytes, ID),
    ("vbin8", b"\xa0\x02\x00\xff", b"\x00\xff"),
    ("vbin32", b"\xb0\x00\x00\x00\x01x", b"x"),
    ("str8", "\xa1\x03".encode("latin-1") + "é!".encode(), "é!"),
    ("str32", b"\xb1\x00\x00\x00\x01x", "x"),
    ("sym8", b"\xa3\x03abc", Symbol("abc")),
    ("sym32", b"\xb3\x00\x00\x00\x01x", Symbol("x")),
    ("list0", b"\x45", []),
    ("list8", b"\xc0\x04\x02\x41\x52\x07", [True, 7]),
    ("list32", b"\xd0\x00\x00\x00\x05\x00\x00\x00\x01\x40", [None]),
    ("map8", b"\xc1\x06\x02\xa1\x01k\x52\x07", {"k": 7}),
    ("map32", b"\xd1\x00\x00\x00\x09\x00\x00\x00\x02\xa1\x01k\x52\x07", {"k": 7}),
    ("array8", b"\xe0\x04\x02\x50\x01\x02", AmqpArray([1, 2])),
    ("array32", b"\xf0\x00\x00\x00\x0b\x00\x00\x00\x02\xa3\x01a\x03abc", AmqpArray(["a", "abc"])),
    ("empty array", b"\xe0\x01\x00", AmqpArray()),
    ("array of described", b"\xe0\x06\x02\x00\x53\x09\x50\x01\x02"[:1] + b"\x07\x02\x00\x53\x09\x50\x01\x02", None),
    ("described", b"\x00\x53\x24\x45", Described(0x24, [])),
    ("described by name", b"\x00\xa3\x01d\x52\x01", Described(Symbol("d"), 1)),
]


@pytest.mark.parametrize(("name", "data", "value"), VALUES, ids=[name for name, _, _ in VALUES])
def test_every_constructor_is_read_and_every_cut_is_refused(name: str, data: bytes, value: Any) -> None:
    got, end = decode(data)
    assert end == len(data)
    if name == "array of described":
        assert got == [Described(9, 1), Described(9, 2)]
    else:
        assert (got, type(got)) == (value, type(value))
    assert skip(data, 0) == len(data)
    assert decode(b"\x40" + data + b"\x40", 1)[1] == len(data) + 1
    for end in range(len(data)):
        for read in (lambda cut: decode(cut), lambda cut: skip(cut, 0)):
            with pytest.raises(DecodeError):
                read(data[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"\x01",
        b"\x57",
        b"\xc2\x00",
        b"\x56\x02",
        b"\x73\x00\x11\x00\x00",
        b"\x73\xff\xff\xff\xff",
        b"\xa1\x01\xff",
        b"\xa3\x01\xff",
        b"\xc0\x03\x03\x40\x40",
        b"\xc0\x04\x02\x40\x40\x40",
        b"\xc1\x02\x01\x40",
        b"\xc1\x04\x02\x45\x40\x40"[:1] + b"\x03\x02\x45\x40",
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",
        b"\xf0\x00\x00\x00\x05\x00\x02\x00\x00\x45",
        b"\xe0\x01\x01",
        b"\x00" * 50,
        b"\xc0\xff\x01" * 80,
    ],
)
def test_what_is_no_value_is_refused_with_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(data)
    assert refused.value.condition == "amqp:decode-error"


@pytest.mark.parametrize("nested", [b"\x00\x53\x01" * 40 + b"\x40", b"\x00" * 5_000])
def test_nesting_is_bounded_for_both_ways_of_reading(nested: bytes) -> None:
    for deep in (nested, encode.list_of([encode.list_of([])])):
        for _ in range(40):
            deep = encode.list_of([deep])
        for read in (decode, lambda data: skip(data, 0)):
            with pytest.raises(DecodeError, match="nested deeper"):
                read(deep)
    for read in (decode, lambda data: skip(data, 0)):
        with pytest.raises(DecodeError):
            read(nested)


@settings(max_examples=400)
@given(st.binary(max_size=60))
def test_skip_ends_where_decode_ends_and_neither_fails_otherwise(data: bytes) -> None:
    try:
        end = decode(data)[1]
    except DecodeError:
        end = None
    try:
        skipped = skip(data, 0)
    except DecodeError:
        assert end is None
        return
    assert end in (None, skipped)


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (encode.boolean(None), None),
        (encode.boolean(True), True),
        (encode.ubyte(200), 200),
        (encode.ushort(60_000), 60_000),
        (encode.uint(0), 0),
        (encode.uint(255), 255),
        (encode.uint(256), 256),
        (encode.ulong(255), 255),
        (encode.ulong(2**63), 2**63),
        (encode.int_(-5), -5),
        (encode.long(-(2**62)), -(2**62)),
        (encode.timestamp(-1), -1),
        (encode.uuid(ID), ID),
        (encode.binary(b"x" * 300), b"x" * 300),
        (encode.string("é" * 200), "é" * 200),
        (encode.symbol("s"), "s"),
        (encode.list_of([]), []),
        (encode.list_of([encode.uint(1)] * 300), [1] * 300),
        (encode.map_of([(encode.symbol("k"), encode.NULL)]), {"k": None}),
        (encode.array_of_symbols(["a", "bc"]), ["a", "bc"]),
        (encode.array_of_strings([]), []),
        (encode.described(0x24, encode.EMPTY_LIST), Described(0x24, [])),
    ],
)
def test_what_is_written_is_read_back(encoded: bytes, value: Any) -> None:
    assert decode(encoded) == (value, len(encoded))
