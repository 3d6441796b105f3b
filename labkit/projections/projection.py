"""A projection: one batch from the bytes of its events to all tables committed, and nothing of where events come from.

Owns the order of the steps, and what is new to which table. Each table has positions of its own, so after a crash
between two commits the same batch is new to one table and old to another. Parked first, then the positions move.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter

from labkit.projections.folds import Arrival, Folded, Reading, fold, read
from labkit.projections.parking import ParkingLane
from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.rows import Row
from labkit.projections.tables import CUSTOMERS, ORDERS

TABLE_OF = {"Order": ORDERS.name, "Customer": CUSTOMERS.name}


def is_fresh(reading: Reading, applied: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether the event's own table has not had it yet; `applied` is table -> hub partition -> sequence number.

    What cannot be read belongs to no table. It was parked before any of them moved on.
    """
    part, number = reading.arrival.hub_partition, reading.arrival.sequence_number
    if reading.event is not None and reading.event.aggregate_type in TABLE_OF:
        return number > applied[TABLE_OF[reading.event.aggregate_type]][part]
    return number > max(positions[part] for positions in applied.values())


def project(
    arrivals: Sequence[Arrival],
    store: ReadStore,
    parking: ParkingLane,
    hub: str,
    lane: dict[str, int],
    settle: Callable[[Iterable[str]], object] = lambda aggregate_ids: None,
) -> Folded:
    """One batch, from the bytes to all tables committed. Any number of times with the same batch: the same tables.

    `lane` (as `ParkingLane.firsts` tells it) is brought up to date for the aggregates met. `settle` is given those that
    were in it, after parking and before any position moves: what was parked behind an event that a replay has taken
    away meanwhile is applied there.
    Raises: `CommitFailedError` when another writer was faster; doing it again reads what that one has written.
    """
    ends = {one.hub_partition: one.sequence_number for one in sorted(arrivals, key=attrgetter("sequence_number"))}
    applied = store.positions(hub, ends)
    readings = [read(arrival) for arrival in arrivals]
    fresh = [reading for reading in readings if is_fresh(reading, applied)]
    in_lane = {reading.aggregate_id for reading in readings if reading.aggregate_id in lane} if lane else set()
    if in_lane:
        parking.refresh(hub, lane, in_lane)
    folded = fold(fresh, current_rows(store, fresh), lane)
    parking.park(hub, folded.parked)
    for event in folded.parked:
        if event.aggregate_id:
            lane.setdefault(event.aggregate_id, event.arrival.sequence_number)
    if in_lane:
        settle(in_lane)
    store.commit(Batch(hub, ends, list(folded.rows.values()), days_of(readings)))
    return folded


def current_rows(store: ReadStore, readings: Collection[Reading]) -> dict[str, Row]:
    """The rows there are of the aggregates of these events."""
    orders = {r.aggregate_id for r in readings if r.day}
    customers = {r.aggregate_id for r in readings if not r.day and r.event and r.event.aggregate_type == "Customer"}
    return store.orders(orders, days_of(readings)) | store.customers(customers)


def days_of(readings: Iterable[Reading]) -> set[dt.date]:
    """The days of the orders of these events."""
    return {r.day for r in readings if r.day}
