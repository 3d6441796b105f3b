"""Where a document lives: partition key values, their effective keys, and the physical partitions.

Owns: reading key values from documents and headers, Cosmos DB's hashes (v1: MurmurHash3 32 bit, v2: 128 bit),
hierarchical keys, slices of the key space and how they split. Refuses to know: documents' storage, HTTP.

How: an effective key is upper-case hex, ordered as text from "" to "FF". For v2 it is the 128-bit hash, most
significant byte first, with the two top bits cleared; for v1 the 32-bit hash and the value itself, both in an
order-preserving encoding; for a hierarchical key the v2 hashes of the levels in a row, so that a prefix of levels is
a prefix of text.

Source: azure-sdk-for-python, sdk/cosmos/azure-cosmos/azure/cosmos/partition_key.py and _cosmos_murmurhash3.py;
learn.microsoft.com/azure/cosmos-db/hierarchical-partition-keys,
learn.microsoft.com/azure/cosmos-db/concepts-limits (a key value has at most 2,048 bytes)
Known gap: v1 hashes integers above 2**32 as doubles (as .NET does); the Python SDK truncates them to 32 bits.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from localazure.cosmos.errors import BadRequest, PartitionKeyMismatch
from localazure.cosmos.murmur import MASK_64, murmur3_32, murmur3_128
from localazure.cosmos.sql.values import UNDEFINED, Undefined, number

KeyValues = tuple[Any, ...]
"""One scalar, None or UNDEFINED per level."""

MINIMUM, MAXIMUM = "", "FF"
MOST_LEVELS = 3
V1_TEXT_CHARACTERS = 100
MOST_INTEGER = int(sys.float_info.max)
MOST_KEY_BYTES = 2048


@dataclass(frozen=True, slots=True)
class KeyDefinition:
    """A container's partition key: its paths (each as a tuple of property names), its kind and its hash version."""

    paths: tuple[tuple[str, ...], ...]
    kind: str
    version: int

    @classmethod
    def from_json(cls, definition: Mapping[str, Any]) -> KeyDefinition:
        """Raises: `BadRequest` for a definition that Cosmos DB refuses."""
        paths = definition.get("paths")
        kind, version = definition.get("kind", "Hash"), definition.get("version", 1)
        if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
            raise BadRequest("The partition key definition has no paths.")
        if kind not in ("Hash", "MultiHash") or version not in (1, 2):
            raise BadRequest(f"The partition key kind {kind!r} version {version!r} is not one of Hash and MultiHash.")
        if len(paths) > (1 if kind == "Hash" else MOST_LEVELS) or (kind == "MultiHash" and version != 2):
            raise BadRequest(f"Too many partition key paths, or a wrong version, for the kind {kind}.")
        return cls(tuple(split_path(path) for path in paths), kind, version)

    def of_document(self, document: Mapping[str, Any]) -> KeyValues:
        """Raises: `BadRequest` where the key is an object or an array."""
        return tuple(_scalar(follow(document, path)) for path in self.paths)

    def of_header(self, header: str) -> KeyValues:
        """The values of an `x-ms-documentdb-partitionkey` header; `[{}]` means undefined, `[]` the same.

        Raises: `BadRequest` for a header that is no JSON array of scalars, `PartitionKeyMismatch` for more of them than
        the key has levels. Fewer are the prefix of a hierarchical key.
        """
        try:
            values = json.loads(header)
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"Partition key {header} is not a JSON array.") from error
        if not isinstance(values, list):
            raise BadRequest(f"Partition key {header} is not a JSON array.")
        if not values and self.kind == "Hash":
            values = [{}]
        given = tuple(UNDEFINED if value == {} else _scalar(value) for value in values)
        if len(given) > len(self.paths) or not given:
            self.check_full(given)
        return given

    def check_full(self, values: KeyValues) -> None:
        """Raises: `PartitionKeyMismatch` for too many levels or too few."""
        if len(values) != len(self.paths):
            raise PartitionKeyMismatch(
                "Partition key provided either doesn't correspond to definition in the collection or doesn't match "
                f"partition key field values specified in the document: {len(values)} levels of {len(self.paths)}."
            )

    def effective_key(self, values: Sequence[Any]) -> str:
        """Of a full value, or of a prefix of a hierarchical one."""
        if self.kind == "MultiHash":
            return "".join(_hash_v2(_encode((value,), b"\xff")) for value in values)
        if self.version == 2:
            return _hash_v2(_encode(values, b"\xff"))
        return _effective_v1(values[0])


def split_path(path: str) -> tuple[str, ...]:
    """The property names of "/a/b" or '/"a"/b'. Raises: `BadRequest`."""
    names, rest = [], path
    while rest:
        if rest[0] != "/" or len(rest) == 1:
            raise BadRequest(f"The path {path!r} is not a path of property names.")
        rest = rest[1:]
        if rest[0] in "\"'":
            end = rest.find(rest[0], 1)
            if end < 0:
                raise BadRequest(f"The path {path!r} has an open quote.")
            names.append(rest[1:end])
            rest = rest[end + 1 :]
        else:
            name, slash, rest = rest.partition("/")
            names.append(name)
            rest = slash + rest
    return tuple(names)


def canonical(values: Sequence[Any]) -> str:
    """One text per key value: 1 and 1.0 are the same number, undefined is not null."""
    plain: list[Any] = [
        {} if isinstance(value, Undefined) else int(value) if _is_whole(value) else value for value in values
    ]
    return json.dumps(plain, ensure_ascii=True, separators=(",", ":"))


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def follow(document: Any, path: Sequence[str]) -> Any:
    """The value at `path`, or UNDEFINED."""
    for name in path:
        if not isinstance(document, Mapping) or name not in document:
            return UNDEFINED
        document = document[name]
    return document


def _scalar(value: Any) -> Any:
    """A number as a double has it. Raises: `BadRequest` for what is no scalar, or too long or large to be a key."""
    if type(value) is int:
        if abs(value) > MOST_INTEGER:
            raise BadRequest("The partition key supplied is a number beyond the range of a double.")
        return number(value)
    if isinstance(value, str) and len(value) > MOST_KEY_BYTES // 4 and _bytes(value) > MOST_KEY_BYTES:
        raise BadRequest(f"The partition key supplied has {_bytes(value)} bytes, the most are {MOST_KEY_BYTES}.")
    if value is None or isinstance(value, str | int | float | bool | Undefined):
        return value
    raise BadRequest("The partition key supplied is not a string, a number, a boolean or null.")


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=4096)
def _hash_v2(data: bytes) -> str:
    high, low = murmur3_128(data)
    return f"{(low | high << 64) & ((1 << 126) - 1):032X}"


def _encode(values: Sequence[Any], end_of_text: bytes) -> bytes:
    """The bytes that are hashed: a type byte, then the value."""
    encoded = b""
    for value in values:
        if isinstance(value, Undefined):
            encoded += b"\x00"
        elif value is None:
            encoded += b"\x01"
        elif value is False:
            encoded += b"\x02"
        elif value is True:
            encoded += b"\x03"
        elif isinstance(value, str):
            encoded += b"\x08" + value.encode("utf-8", "surrogatepass") + end_of_text
        else:
            encoded += b"\x05" + struct.pack("<d", value + 0.0)  # minus zero is zero
    return encoded


def _effective_v1(value: Any) -> str:
    if isinstance(value, str):
        value = value[:V1_TEXT_CHARACTERS]
    hashed = float(murmur3_32(_encode((value,), b"\x00")))
    return (_ordered_number(hashed) + _ordered(value)).hex().upper()


def _ordered(value: Any) -> bytes:
    """A value such that bytes sort as values do (v1)."""
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        shifted = bytes(byte + 1 if byte < 0xFF else byte for byte in text[: V1_TEXT_CHARACTERS + 1])
        return b"\x08" + shifted + (b"\x00" if len(text) <= V1_TEXT_CHARACTERS else b"")
    if isinstance(value, bool) or value is None or isinstance(value, Undefined):
        return _encode((value,), b"")
    return _ordered_number(value + 0.0)


def _ordered_number(number: float) -> bytes:
    """8 bits of the payload, then 7 bits each with a continuation bit."""
    payload = struct.unpack("<Q", struct.pack("<d", number))[0]
    payload = payload ^ (1 << 63) if payload < 1 << 63 else (~payload + 1) & MASK_64
    encoded = bytearray([0x05, payload >> 56])
    payload = (payload << 8) & MASK_64
    last: int | None = None
    while payload:
        if last is not None:
            encoded.append(last)
        last = payload >> 56 | 0x01
        payload = (payload << 7) & MASK_64
    encoded.append((last or 0) & 0xFE)
    return bytes(encoded)
