"""Which hub partition a partition key belongs to: the hash of Azure's SDKs. Pure.

One batch of the SDK holds one partition key or goes to one partition id. Whoever wants many aggregates in one batch
must know their partition beforehand, and then sends by partition id.

Bob Jenkins' lookup3 (`hashlittle2`, both seeds 0) over the key's UTF-8; the two halves are folded to a signed 16-bit
number, and its remainder names the partition, as in azure-eventhub's buffered producer. The rule by which the service
itself spreads keys is documented only as stable: on Azure, one producer by key and another by this hash may choose
different partitions for one aggregate. So all events of an aggregate go through the relay.
Source: burtleburtle.net/bob/c/lookup3.c; `PartitionResolver` in Azure's SDKs, whose test vectors the unit test uses;
learn.microsoft.com/dotnet/api/azure.messaging.eventhubs.producer.eventhubbufferedproducerclient (the warning)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

_WORD = 0xFFFFFFFF


def _rotated(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _WORD


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits_of_three in ((4, 6, 8), (16, 19, 4)):
        first, second, third = bits_of_three
        a = ((a - c) & _WORD) ^ _rotated(c, first)
        c = (c + b) & _WORD
        b = ((b - a) & _WORD) ^ _rotated(a, second)
        a = (a + c) & _WORD
        c = ((c - b) & _WORD) ^ _rotated(b, third)
        b = (b + a) & _WORD
    return a, b, c


def _finished(a: int, b: int, c: int) -> tuple[int, int]:
    c = ((c ^ b) - _rotated(b, 14)) & _WORD
    a = ((a ^ c) - _rotated(c, 11)) & _WORD
    b = ((b ^ a) - _rotated(a, 25)) & _WORD
    c = ((c ^ b) - _rotated(b, 16)) & _WORD
    a = ((a ^ c) - _rotated(c, 4)) & _WORD
    b = ((b ^ a) - _rotated(a, 14)) & _WORD
    c = ((c ^ b) - _rotated(b, 24)) & _WORD
    return c, b


def _lookup3(data: bytes) -> tuple[int, int]:
    a = b = c = (0xDEADBEEF + len(data)) & _WORD
    if not data:
        return c, b
    blocks = (len(data) - 1) // 12
    for block in range(blocks + 1):
        words = data[block * 12 : block * 12 + 12].ljust(12, b"\0")
        a = (a + int.from_bytes(words[0:4], "little")) & _WORD
        b = (b + int.from_bytes(words[4:8], "little")) & _WORD
        c = (c + int.from_bytes(words[8:12], "little")) & _WORD
        if block < blocks:
            a, b, c = _mixed(a, b, c)
    return _finished(a, b, c)


def hash_code(partition_key: str) -> int:
    """The key's hash, -32768..32767."""
    high, low = _lookup3(partition_key.encode("utf-8"))
    folded = (high ^ low) & 0xFFFF
    return folded - 0x10000 if folded & 0x8000 else folded


@lru_cache(maxsize=65_536)
def _index(partition_key: str, partition_count: int) -> int:
    return hash_code(partition_key) % partition_count


def partition_of(partition_key: str, partition_ids: Sequence[str]) -> str:
    """The id of the hub partition that this key belongs to; `partition_ids` in the hub's own order."""
    return partition_ids[_index(partition_key, len(partition_ids))]
