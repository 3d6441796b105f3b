"""Rebuild: all read models anew from the history, beside the ones in use, which go on being read and written.

Owns the order of the steps (one method each, to be called in this order), and what may be deleted:
1. on entering, note how far the tables in use have read the hub: at or before its end. What is not in the history by
   the time it is scanned is published later than this;
2. `scan` the history in Cosmos DB by the change feed, which keeps the order of each aggregate, and fold it;
3. `compare`: follow the hub from the noted positions to where the tables in use stand, and look at every row. Events
   that the scan has brought come again here and are dropped by their version;
4. `switch`: follow the hub to its end, then replace the pointer. Readers find the new tables at their next question.

The projector writes the old tables all the while and finds the pointer moved at its next turn. It begins again then at
the positions of the new tables, so what it has applied to the old ones alone it reads once more.
The old tables are kept for `rolling_back`; those before them are deleted. A rebuild that was killed leaves a folder
that no pointer names; the next one deletes it and begins anew.

Known gaps: at a URL nobody keeps two rebuilds apart (see `pointer`). All events that arrive meanwhile are in memory.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa
from azure.cosmos import ContainerProxy
from azure.eventhub.aio import EventHubConsumerClient

from labkit.documents import queried
from labkit.errors import LabError
from labkit.events.envelope import as_written
from labkit.events.leases import Lease, pages
from labkit.events.reading import HubReader
from labkit.projections import pointer
from labkit.projections.comparison import Comparison, compared, same_figures
from labkit.projections.folds import Arrival, Folded, Reading, fold, read
from labkit.projections.inbox import arrival_of
from labkit.projections.parking import ParkingLane
from labkit.projections.pointer import Pointer
from labkit.projections.projection import current_rows, days_of, project
from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.replay import settle
from labkit.projections.rows import daily_metrics
from labkit.projections.tables import CUSTOMERS, DAILY_ORDER_METRICS, ORDERS, READ_MODELS, contents, to_table
from labkit.projections.upkeep import UPKEEP, keep

PREFIX = "rebuilt-"
LOCK = "rebuild.lock"
BATCH_EVENTS = 10_000
READ_SECONDS = 60.0
"""So long at most until what the hub brought since the beginning has been read."""
STEADY_TRIES = 20
COUNT = "SELECT VALUE COUNT(1) FROM c WHERE c.kind = 'event'"
ONE_HISTORY = "SELECT * FROM c WHERE c.kind = 'event' ORDER BY c.version"


class RebuildRefused(LabError):
    """Nothing was switched; the message says why."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the read models are made of. `first` tells where reading begins in a hub partition that the tables know
    nothing of (`lab.start_positions`); `open_consumer` makes a client of a group that the projector does not use."""

    hub: str
    first: Mapping[str, int]
    write_model: ContainerProxy
    open_consumer: Callable[[], EventHubConsumerClient]


@dataclass
class Rebuild:
    """One rebuild, as a context manager; without a `switch` it leaves nothing behind.

    Raises on entering: `NotYet` while another rebuild runs here; `RebuildRefused` when there is nothing to go back to.
    """

    sources: Sources
    store: ReadStore
    parking: ParkingLane
    back: bool = False
    """Into the tables that were in use before, instead of new ones."""
    stuck: dict[str, str] = field(default_factory=dict)
    """Aggregate id -> why one of its events could not be applied to the new tables."""

    def __enter__(self) -> Self:
        root, options = self.store.root_url, self.store.options
        with contextlib.ExitStack() as stack:
            stack.enter_context(pointer.locked(root, LOCK, timeout_seconds=0))
            self._began = pointer.read(root, options)
            if self.back and self._began.previous is None:
                raise RebuildRefused("there are no earlier tables to go back to")
            sweep(self.store)
            stack.callback(sweep, self.store)
            self._folder = self._began.previous if self.back else f"{PREFIX}{secrets.token_hex(4)}"
            self.old = self.store.current()
            self._noted = self.old.lowest(self.sources.hub, self.sources.first, self.sources.first)
            self.new = ReadStore(root, options, folder=self._folder)
            self._lane: dict[str, int] = {}
            self._scanned = False
            self._reader = stack.enter_context(HubReader(self.sources.open_consumer(), self._noted))
            self._exits = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def events(self) -> int:
        """How many events the history holds now."""
        return int(queried(self.sources.write_model, COUNT)[0])

    def scan(self, progress: Callable[[int], object] = lambda events: None) -> None:
        """Fold the whole history; `progress` is told of how many events each time. The day's figures come last, and
        with them the positions: without these a version is half-made."""
        days, scanned = set(), 0
        for readings in self._history():
            folded = fold(readings, current_rows(self.new, readings), {})
            scanned += len(readings)
            self._remember(folded)
            self.new.commit(Batch(self.sources.hub, {}, list(folded.rows.values()), (), {"rebuild": scanned}))
            days |= days_of(readings)
            progress(len(readings))
        self.new.commit(Batch(self.sources.hub, self._noted, (), days, {"rebuild": scanned}))
        keep(self.new, UPKEEP)
        self._scanned = True

    def follow(self, upto: Mapping[str, int] | None = None) -> None:
        """Apply what the hub brought since, in each hub partition up to this sequence number; to its end without."""
        there = self.new.lowest(self.sources.hub, self._noted, {})
        arrivals = [
            arrival_of(one.partition_id, one.event)
            for one in self._reader.read_to_end(READ_SECONDS, upto)
            if there[one.partition_id] < one.sequence_number
        ]
        for begin in range(0, len(arrivals), BATCH_EVENTS):
            batch = arrivals[begin : begin + BATCH_EVENTS]
            folded = project(batch, self.new, self.parking, self.sources.hub, self._lane)
            self._remember(folded)

    def compare(self) -> Comparison:
        """Every row in use against the rebuilt one, at equal positions of the hub and equal versions."""
        tables, steady = self._in_use()
        standing = self.old.positions(self.sources.hub, self._noted).values()  # they go on meanwhile: to the foremost
        self.follow({part: max(noted, *(table[part] for table in standing)) for part, noted in self._noted.items()})
        found = self._figures(self.new)
        if steady:
            found += self._figures(self.old, tables)
        for model in (ORDERS, CUSTOMERS):
            rebuilt = contents(self.new.table(model), model)
            found += compared(model.name, model.key, tables[model.name], rebuilt, self._row_at)
        return found

    def switch(self) -> None:
        """Let readers and the projector go over to the new tables. Raises: `RebuildRefused`."""
        if not self._scanned:
            raise RebuildRefused("scan the history first")
        self.follow()
        root, options = self.store.root_url, self.store.options
        with pointer.locked(root):
            if pointer.read(root, options) != self._began:
                raise RebuildRefused("the tables in use are others by now than when this rebuild began")
            lost = [who for who in self.stuck if self.old.version_of(who) > self.new.version_of(who)]
            if lost:
                reason = f"{lost[0]}: {self.stuck[lost[0]]}" + (f"; and {len(lost) - 1} more" if lost[1:] else "")
                raise RebuildRefused(f"the tables in use hold events that cannot be applied to the new ones ({reason})")
            pointer.write(root, Pointer(self._folder or "", self._began.current), options)
        settle(self.parking, self.new, self.sources.hub, self.parking.firsts(self.sources.hub))

    def _history(self) -> Iterator[list[Reading]]:
        """All events, page by page of the change feed; those of one aggregate in their order."""
        for feed_range in self.sources.write_model.read_feed_ranges():
            for documents, _ in pages(self.sources.write_model, Lease("", feed_range), BATCH_EVENTS):
                events = (document for document in documents if document.get("kind") == "event")
                yield [_reading(document, number) for number, document in enumerate(events)]

    def _remember(self, folded: Folded) -> None:
        new = {event.aggregate_id: event.reason for event in reversed(folded.parked) if event.aggregate_id}
        self.stuck = new | self.stuck  # the first reason stays

    def _in_use(self) -> tuple[dict[str, pa.Table], bool]:
        """The rows in use, and whether all tables stood still at the same positions while they were read."""
        steady, tables = False, {}
        for _ in range(STEADY_TRIES):
            before = self.old.positions(self.sources.hub, self._noted)
            tables = {model.name: contents(self.old.table(model), model) for model in READ_MODELS}
            after = self.old.positions(self.sources.hub, self._noted)
            steady = before == after and len({tuple(table.items()) for table in after.values()}) == 1
            if steady:
                break
        return tables, steady

    def _figures(self, store: ReadStore, tables: Mapping[str, pa.Table] | None = None) -> Comparison:
        """The day's figures of a version against its own orders."""
        read = tables or {model.name: contents(store.table(model), model) for model in (ORDERS, DAILY_ORDER_METRICS)}
        derived = to_table(DAILY_ORDER_METRICS, daily_metrics(read[ORDERS.name]))
        return same_figures(DAILY_ORDER_METRICS.name, DAILY_ORDER_METRICS.key, read[DAILY_ORDER_METRICS.name], derived)

    def _row_at(self, aggregate_id: str, version: int) -> dict[str, Any] | None:
        """The row that the aggregate's first events come to, up to this version."""
        found = queried(self.sources.write_model, ONE_HISTORY, aggregate_id)
        readings = [_reading(document, number) for number, document in enumerate(found)]
        rows = fold([r for r in readings if r.event and r.event.version <= version], {}, {}).rows
        model = ORDERS if aggregate_id.startswith("order-") else CUSTOMERS
        return next(iter(to_table(model, rows.values()).to_pylist()), None)


def sweep(store: ReadStore) -> None:
    """Delete the tables that the pointer names neither as current nor as previous."""
    keep = pointer.read(store.root_url, store.options)
    names: Sequence[str] = [model.name for model in READ_MODELS] if "" not in (keep.current, keep.previous) else ()
    for folder in pointer.folders(store.root_url, store.options):
        if folder in names or (folder.startswith(PREFIX) and folder not in (keep.current, keep.previous)):
            with contextlib.suppress(FileNotFoundError):
                pointer.delete(store.root_url, folder, store.options)


def _reading(document: Mapping[str, Any], number: int) -> Reading:
    return read(Arrival("", number, as_written(document), document["aggregateId"]))
