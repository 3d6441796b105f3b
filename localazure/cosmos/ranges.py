"""Physical partitions: slices of the space of effective partition keys, and how they split.

Owns: how many there are, their ids and bounds. Refuses to know: how keys are hashed, what the slices hold.

How: a container starts with equal slices of [0, 40) in the leading byte (the two top bits of a hash are clear), the
last ending in "FF". More throughput splits slices in their middle; the halves get new ids and name their parents.
Nothing is ever merged.

Source: learn.microsoft.com/azure/cosmos-db/partitioning-overview#physical-partitions (10,000 RU/s each)
"""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass

from localazure.cosmos.partitioning import MAXIMUM, MINIMUM

REQUEST_UNITS_PER_PARTITION = 10_000
HASH_BITS = 126
HEX_DIGITS = 32


@dataclass(frozen=True, slots=True)
class PhysicalPartition:
    """`minimum` <= effective key < `maximum`."""

    id: str
    minimum: str
    maximum: str
    parents: tuple[str, ...] = ()


Partitions = tuple[PhysicalPartition, ...]
"""Ascending, without gaps."""


def count_for(request_units: int) -> int:
    """How many physical partitions a provisioned throughput needs."""
    return max(1, -(-request_units // REQUEST_UNITS_PER_PARTITION))


def equal_slices(count: int) -> Partitions:
    bounds = [MINIMUM, *(_as_key((index << HASH_BITS) // count) for index in range(1, count)), MAXIMUM]
    return tuple(PhysicalPartition(str(index), bounds[index], bounds[index + 1]) for index in range(count))


def split_to(partitions: Partitions, count: int) -> Partitions:
    """The same space in at least `count` slices: the widest are halved until there are enough."""
    current = list(partitions)
    next_id = 1 + max(int(name) for part in partitions for name in (part.id, *part.parents))
    while len(current) < count:
        widest = max(range(len(current)), key=lambda index: _width(current[index]))
        parent = current[widest]
        middle = _as_key((_as_number(parent.minimum) + _as_number(parent.maximum)) // 2)
        lineage = (*parent.parents, parent.id)
        current[widest : widest + 1] = [
            PhysicalPartition(str(next_id), parent.minimum, middle, lineage),
            PhysicalPartition(str(next_id + 1), middle, parent.maximum, lineage),
        ]
        next_id += 2
    return tuple(current)


def partition_of(partitions: Partitions, effective_key: str) -> PhysicalPartition:
    if len(partitions) == 1:
        return partitions[0]
    return partitions[bisect_right([part.minimum for part in partitions], effective_key) - 1]


def as_json(partitions: Partitions) -> str:
    return json.dumps([[part.id, part.minimum, part.maximum, list(part.parents)] for part in partitions])


def from_json(text: str) -> Partitions:
    return tuple(PhysicalPartition(row[0], row[1], row[2], tuple(row[3])) for row in json.loads(text))


def _width(part: PhysicalPartition) -> int:
    return _as_number(part.maximum) - _as_number(part.minimum)


def _as_number(bound: str) -> int:
    return 1 << HASH_BITS if bound == MAXIMUM else int(bound.ljust(HEX_DIGITS, "0") or "0", 16)


def _as_key(number: int) -> str:
    return f"{number:0{HEX_DIGITS}X}"
