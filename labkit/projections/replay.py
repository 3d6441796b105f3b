"""Replay: the parked events of one aggregate, applied after all, past the positions that have left them behind.

Owns in which order, under which name and with which guard: the rows are merged by version and recorded under the app
id `parked/<aggregateId>`, the day's figures are derived again, the query container gets the rows, and only then do the
events leave the lane. Killed anywhere, the next replay finds them still parked and drops what the rows have: the same
tables.

What still cannot be applied stays parked, with its reason of today, and all behind it. The projector may be running
meanwhile: one of two writers at the same rows is refused by Delta and tries again, and what the projector parks behind
the last event of the lane just before that one leaves is seen by the next look, here or in the projector (`settle`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from labkit.projections import pointer
from labkit.projections.folds import BEHIND, Folded, Reading, fold, read
from labkit.projections.parking import ParkedEvent, ParkingLane, place
from labkit.projections.projection import current_rows, days_of
from labkit.projections.query_container import QueryContainer
from labkit.projections.read_store import Batch, ReadStore, until_first
from labkit.projections.rows import OrderRow, Row


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of an aggregate's parked events: applied, dropped (the row had them), or parked still."""

    aggregate_id: str
    applied: int
    dropped: int
    parked: tuple[ParkedEvent, ...]

    def __str__(self) -> str:
        done = f"{self.aggregate_id}: {self.applied} applied, {self.dropped} were there, {len(self.parked)} stay parked"
        return f"{done} ({self.parked[0].place}: {self.parked[0].reason})" if self.parked else done


def replay(
    parking: ParkingLane, store: ReadStore, hub: str, aggregate_id: str, query_container: QueryContainer | None = None
) -> Replayed:
    """Apply what can be applied of the aggregate's parked events, in order, to the tables in use.

    Raises: `CommitFailedError` when another writer was faster all the time; nothing is lost, do it again.
    """
    applied = dropped = 0
    with pointer.locked(store.root_url):
        store = store.current()
        while True:
            parked = [event for event in parking.events(aggregate_id) if event.hub == hub]
            folded, rows = _apply(store, hub, aggregate_id, parked)
            if query_container is not None:
                query_container.write(row for row in rows if isinstance(row, OrderRow))
            applied, dropped = applied + folded.applied, dropped + folded.dropped
            reasons = {place(still.arrival): still.reason for still in folded.parked}
            for event in parked:
                reason = reasons.get(event.place)
                if reason is None:
                    parking.release(event)
                elif reason != event.reason:
                    parking.keep(event, reason)
            if len(reasons) == len(parked):
                return Replayed(aggregate_id, applied, dropped, tuple(parking.events(aggregate_id)))


def settle(parking: ParkingLane, store: ReadStore, hub: str, aggregate_ids: Iterable[str]) -> None:
    """Replay those of these aggregates that nothing holds up any more: the first parked event was parked for being
    behind another one, which has gone, or the row has it already."""
    for who in sorted(aggregate_ids):
        first = parking.first(hub, who)
        if first is not None:
            event = read(first.arrival).event
            if first.reason == BEHIND or (event is not None and event.version <= store.version_of(who)):
                replay(parking, store, hub, who)


def in_order(readings: Sequence[Reading]) -> list[Reading]:
    """As they arrived, but between two that cannot be read by version: a missing event that was sent again arrives
    late, and fills its gap."""
    placed = zip(accumulate(one.event is None for one in readings), readings, strict=True)
    ordered = sorted(placed, key=lambda one: (one[0], one[1].event.version if one[1].event else 0))
    return [reading for _, reading in ordered]


def _apply(
    store: ReadStore, hub: str, aggregate_id: str, parked: Iterable[ParkedEvent]
) -> tuple[Folded, Collection[Row]]:
    """What became of the events, and the rows afterwards."""
    readings = in_order([read(event.arrival) for event in parked])

    def attempt() -> tuple[Folded, Collection[Row]]:
        store.positions(hub, ())  # a look at all tables before any row is read
        current = current_rows(store, readings)
        folded = fold(readings, current, {})
        rows = (current | folded.rows).values()
        if folded.applied or folded.dropped:
            name, version = f"parked/{aggregate_id}", max(row.version for row in rows)
            store.commit(Batch(hub, {}, list(folded.rows.values()), days_of(readings), {name: version}))
        return folded, rows

    return until_first(attempt)
