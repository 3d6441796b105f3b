"""A projection: one batch from the bytes of its events to all tables committed, and nothing of where events come from.

Owns the order of the steps, and what is new to which table. Each table has positions of its own, so after a crash
between two commits the same batch is new to one table and old to another. Parked first, then the positions move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.events.ids import order_day
from labkit.projections.folds import Arrival, Folded, Reading, fold, read
from labkit.projections.parking import ParkingLane
from labkit.projections.read_store import CUSTOMERS, ORDERS, Batch, ReadStore

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
    arrivals: Sequence[Arrival], store: ReadStore, parking: ParkingLane, hub: str, lane: Mapping[str, int]
) -> Folded:
    """One batch, from the bytes to all tables committed. Any number of times with the same batch: the same tables.

    Raises: `CommitFailedError` when another writer was faster; doing it again reads what that one has written.
    """
    ends: dict[str, int] = {}
    for arrival in arrivals:
        ends[arrival.hub_partition] = max(arrival.sequence_number, ends.get(arrival.hub_partition, -1))
    applied = store.positions(hub, ends)
    readings = [read(arrival) for arrival in arrivals]
    fresh = [reading for reading in readings if is_fresh(reading, applied)]
    orders = {r.aggregate_id for r in fresh if r.event and r.event.aggregate_type == "Order"}
    customers = {r.aggregate_id for r in fresh if r.event and r.event.aggregate_type == "Customer"}
    current = store.orders(orders, {order_day(order) for order in orders}) | store.customers(customers)
    folded = fold(fresh, current, lane)
    parking.park(hub, folded.parked)
    days = {order_day(r.aggregate_id) for r in readings if r.event and r.event.aggregate_type == "Order"}
    store.commit(Batch(hub, ends, list(folded.rows.values()), days))
    return folded
