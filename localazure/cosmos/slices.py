"""Which part of a container a request asks: its partition key, its range, and how far a plain read has come.

Owns: the headers that say so, the continuation of a plain read. Refuses to know: documents, what is done with them.

How: a plain read serves one physical partition to a page, in their order. Its continuation says what is still to be
read: bounds, and the row to go on after. Where a partition has been split since, its parts go on one after the other,
each after the same row, so nothing is lost or told twice.

Source: the headers as azure-cosmos sends them
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from localazure.cosmos.errors import BadRequest, PartitionGone
from localazure.cosmos.feeds import Slice
from localazure.cosmos.partitioning import MAXIMUM, MINIMUM, KeyValues, canonical
from localazure.cosmos.ranges import Partitions, PhysicalPartition, partition_of
from localazure.cosmos.resources import Container
from localazure.cosmos.wire import Request

KEY_HEADER = "x-ms-documentdb-partitionkey"
RANGE_HEADER = "x-ms-documentdb-partitionkeyrangeid"
AFTER_A_KEY = "!"
"""Sorts below every hexadecimal digit: `key + AFTER_A_KEY` is the end of a slice that holds `key` alone."""

_BOUND = re.compile(r"[0-9A-F]*")
_PLACE = re.compile(rf"(\d{{1,18}}):({_BOUND.pattern}):({_BOUND.pattern}{AFTER_A_KEY}?)", re.ASCII)


def key_of(container: Container, request: Request) -> KeyValues | None:
    """The partition key a request names, or its first levels. Raises: `BadRequest`."""
    header = request.headers.get(KEY_HEADER)
    return None if header is None else container.key.of_header(header)


def range_of(container: Container, request: Request) -> str | None:
    """The physical partition a request names by key or id; None where only its answer tells.

    Raises: `BadRequest`, `PartitionGone`.
    """
    key = key_of(container, request)
    if key is not None and len(key) == len(container.key.paths):
        return partition_of(container.partitions, container.key.effective_key(key)).id
    part = _named_range(container, request)
    return None if part is None else part.id


def slice_of(container: Container, request: Request) -> Slice:
    """The part of the container that a feed request reads.

    Raises: `BadRequest`; `PartitionGone` where the range was split, or is not this container's.
    """
    key = key_of(container, request)
    if key is not None:
        epk = container.key.effective_key(key)
        if len(key) == len(container.key.paths):
            return Slice(epk, epk + AFTER_A_KEY, canonical(key))
        return Slice(epk, epk + MAXIMUM)
    part = _named_range(container, request)
    low, high = (part.minimum, part.maximum) if part else (MINIMUM, MAXIMUM)
    return Slice(*within(low, high, request.headers))


def ranges_in(partitions: Partitions, slice: Slice) -> tuple[str, ...]:
    """The ids of the physical partitions that hold a part of `slice`, at least one."""
    first = partition_of(partitions, slice.minimum)
    others = (part for part in partitions if slice.minimum < part.minimum < slice.maximum)
    return (first.id, *(part.id for part in others))


def _named_range(container: Container, request: Request) -> PhysicalPartition | None:
    range_id = request.headers.get(RANGE_HEADER)
    if range_id is None:
        return None
    wanted = range_id.rpartition(",")[2]  # some clients put the container's resource id before it
    for part in container.partitions:
        if part.id == wanted:
            return part
    raise PartitionGone(f"The partition key range {range_id} is gone; it was split.")


def within(low: str, high: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """The part of a range that the headers narrow it to. Raises: `BadRequest`."""
    return max(low, _bound(headers, "x-ms-start-epk", low)), min(high, _bound(headers, "x-ms-end-epk", high))


def _bound(headers: Mapping[str, str], header: str, default: str) -> str:
    bound = (headers.get(header) or default).upper()
    if _BOUND.fullmatch(bound) is None:
        raise BadRequest(f"The header {header} has the value {bound[:80]!r}, which is no effective partition key.")
    return bound


class _Place(NamedTuple):
    """Documents after the row `after` with `minimum` <= effective key < `until`."""

    after: int
    minimum: str
    until: str


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """How far a plain read has come: the parts that are still to be read, each of one physical partition, in order."""

    parts: tuple[_Place, ...]

    @classmethod
    def of(cls, container: Container, request: Request) -> FeedPlace:
        """Of a request with its continuation. Raises: as `slice_of`, `BadRequest`."""
        slice = slice_of(container, request)
        text = request.headers.get("x-ms-continuation")
        places = _read(text, slice) if text else [_Place(0, slice.minimum, slice.maximum)]
        return cls(tuple(part for place in places for part in _split(place, container.partitions)))

    def after_page(self, resume: int, more: bool) -> str | None:
        """The continuation after a page of the first part that ended at the row `resume`; None at the end."""
        first, *others = self.parts
        joined: list[_Place] = []
        for part in [first._replace(after=resume), *others] if more else others:
            if joined and (joined[-1].after, joined[-1].until) == (part.after, part.minimum):
                joined[-1] = joined[-1]._replace(until=part.until)
            else:
                joined.append(part)
        return ",".join(f"{place.after}:{place.minimum}:{place.until}" for place in joined) or None


def _read(text: str, slice: Slice) -> list[_Place]:
    found = [_PLACE.fullmatch(part) for part in text.split(",")]
    places = [_Place(int(match[1]), match[2], match[3]) for match in found if match]
    if len(places) < len(found) or any(not slice.minimum <= at.minimum < at.until <= slice.maximum for at in places):
        raise BadRequest(f"The continuation {text[:80]!r} is none of this feed.")
    return places


def _split(place: _Place, partitions: Partitions) -> list[_Place]:
    """`place` cut where physical partitions end."""
    bounds = [part.minimum for part in partitions if place.minimum < part.minimum < place.until]
    return [_Place(place.after, low, high) for low, high in pairwise([place.minimum, *bounds, place.until])]
