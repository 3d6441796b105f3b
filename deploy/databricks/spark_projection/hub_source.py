"""Event Hubs as a Python data source of Spark: the official SDK, run where Spark runs.

Owns how a hub becomes Spark's offsets (hub partition -> the last sequence number read, -1: none), and how much one
trigger takes. The driver asks for the ends of the partitions; each range is read by a worker (`follower`). Nothing is
remembered but where the next batch begins: Spark keeps the offsets.

An event that the hub has dropped before it was read fails the query: it is in the event store, and a rebuild has it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from spark_projection.folding import EVENT_COLUMNS
from spark_projection.offsets import capped, waiting


@dataclass(frozen=True)
class Range(InputPartition):
    """Of one hub partition, what lies behind `after` up to `last`."""

    hub_partition: str
    after: int
    last: int


class EventHubSource(DataSource):
    """Options: `hub`, `max_events`, and `after`: where the checkpoint ends, as JSON ("": at the hub's beginning)."""

    @classmethod
    def name(cls) -> str:
        return "azure-eventhub"

    def schema(self) -> StructType:
        return from_arrow_schema(EVENT_COLUMNS)

    def streamReader(self, schema: StructType) -> HubStreamReader:
        return HubStreamReader(self.options["hub"], int(self.options["max_events"]), self.options["after"])


class HubStreamReader(DataSourceStreamReader):
    """Lives in the driver for as long as the query; a copy of it reads in the workers."""

    def __init__(self, hub: str, max_events: int, after: str) -> None:
        self._hub = hub
        self._max_events = max_events
        self._after: dict[str, int] = json.loads(after) if after else {}
        self._ends: dict[str, int] = {}

    def initialOffset(self) -> dict[str, int]:
        self._after = {part: one.before for part, one in asyncio.run(bounds(self._hub)).items()}
        return self._after

    def latestOffset(self) -> dict[str, int]:
        """The hub is asked only when the ends it told last leave less than a trigger takes: asking takes its time."""
        if sum(waiting(self._after, self._ends).values()) < self._max_events:
            self._ends = {part: one.last for part, one in asyncio.run(bounds(self._hub)).items()}
        return capped(self._after, self._ends, self._max_events)

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[Range]:
        self._after = dict(end)
        ranges = [Range(part, start.get(part, -1), last) for part, last in end.items()]
        return [one for one in ranges if one.last > one.after]

    def read(self, partition: Range) -> Iterator[pa.RecordBatch]:
        from spark_projection.follower import followed  # the SDK: what only plans a source need not load it

        follower = followed(self._hub, partition.hub_partition, partition.after)
        arrivals = follower.take(partition.after, partition.last)
        columns = [
            [one.hub_partition for one in arrivals],
            [one.sequence_number for one in arrivals],
            [one.body for one in arrivals],
            [one.named.encode() for one in arrivals],
        ]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, EVENT_COLUMNS, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=EVENT_COLUMNS)


@dataclass(frozen=True)
class Bounds:
    """Of one hub partition: the number before its first event, and that of its last one. The same if it is empty."""

    before: int
    last: int


async def bounds(hub: str) -> dict[str, Bounds]:
    """What the hub holds now, by hub partition."""
    from spark_projection.follower import consumer

    async with consumer(hub) as client:
        parts = await client.get_partition_ids()
        told = await asyncio.gather(*(client.get_partition_properties(part) for part in parts))
    lasts = [one["last_enqueued_sequence_number"] for one in told]
    firsts = [
        last + 1 if one["is_empty"] else one["beginning_sequence_number"] for one, last in zip(told, lasts, strict=True)
    ]
    return {part: Bounds(first - 1, last) for part, first, last in zip(parts, firsts, lasts, strict=True)}
