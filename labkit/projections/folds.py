"""What events do to rows: pure functions from the bytes of events and the current rows to the rows that follow.

Owns the meaning of each event type for the read models, and the rule by which an event is applied, dropped or parked;
what a row holds and how it becomes Arrow is in `rows`. Does no I/O and knows neither Delta nor Event Hubs, so that a
Spark worker can import it as it is.

The rule, per aggregate, with `version` the row's version (0 without a row):
- an event of `version` or below was here before: dropped;
- the event of `version + 1` is applied;
- a later one shows a gap: parked, and so is everything of that aggregate behind it;
- an event that cannot be read, is of no known type, or does not fit the rows is parked likewise.
All other aggregates go on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Annotated

import msgspec

from labkit.events.envelope import AGGREGATE_TYPES, CATALOGUE, EnvelopeError, EventEnvelope, from_json
from labkit.events.ids import CUSTOMER_ID
from labkit.projections.rows import CustomerRow, OrderRow, Row, order_day

MONEY_PLACES = Decimal("0.01")
HIGHEST_TOTAL = Decimal("1000000000000.00")
"""Of one order: the domain's most items, each at its highest quantity and price. A total beyond it is parked, so that
it can break neither its own column nor the sum of its day."""
NOTHING = -1
"""The last sequence number of an empty hub partition, and the last applied one of an untouched table."""
LONGEST_NAME = 255
"""Characters of an aggregate id under which an event can be parked. The domain's are shorter by far, and Cosmos DB
takes no partition key beyond 2 KB."""


class CannotApply(ValueError):
    """The event does not fit the row before it, or its data does not fit the columns."""


def money(text: object) -> Decimal:
    """An amount as events carry it, a JSON string with at most two places. Raises: `CannotApply`."""
    with suppress(InvalidOperation):
        amount = Decimal(text if isinstance(text, str) else "NaN")
        exact = amount.quantize(MONEY_PLACES)
        if exact == amount and 0 <= exact <= HIGHEST_TOTAL:
            return exact
    raise CannotApply(f"{text!r} is not an amount of 0.00 to {HIGHEST_TOTAL} with at most two places")


class LineData(msgspec.Struct, frozen=True, gc=False):
    """What the projections read of an order's line; likewise of each event's data below."""

    quantity: int


class UpdatedData(msgspec.Struct, frozen=True, gc=False):
    items: list[LineData]
    total: str


class CreatedData(UpdatedData, frozen=True, gc=False, rename="camel"):
    customer_id: Annotated[str, msgspec.Meta(pattern=rf"\A{CUSTOMER_ID.pattern}\Z")]


class RegisteredData(msgspec.Struct, frozen=True):
    name: str


STATUS_AFTER = {"OrderPaid": "Paid", "OrderShipped": "Shipped", "OrderCancelled": "Cancelled"}


def apply(row: Row | None, event: EventEnvelope) -> Row:
    """The row after `event`. Raises: `CannotApply`, `msgspec.ValidationError` (the data lacks what the type says)."""
    who, when, version = event.aggregate_id, event.timestamp, event.version
    match event.event_type, row:
        case ("OrderPaid" | "OrderShipped" | "OrderCancelled") as event_type, OrderRow():
            return msgspec.structs.replace(row, status=STATUS_AFTER[event_type], updated_at=when, version=version)
        case "OrderCreated", None:
            new = msgspec.convert(event.data, CreatedData)
            return OrderRow(who, new.customer_id, "Created", len(new.items), money(new.total), when, when, version)
        case "OrderUpdated", OrderRow():
            data = msgspec.convert(event.data, UpdatedData)
            count, total = len(data.items), money(data.total)
            return msgspec.structs.replace(row, item_count=count, total=total, updated_at=when, version=version)
        case "CustomerRegistered", None:
            return CustomerRow(who, msgspec.convert(event.data, RegisteredData).name, when, version)
    if event.event_type not in CATALOGUE:
        raise CannotApply(f"{event.event_type} is in no catalogue; deploy readers before writers")
    raise CannotApply(f"{event.event_type} does not follow {'no row' if row is None else 'the row there is'}")


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One event as a hub partition delivered it; `named` is the aggregate its application properties name, or "";
    `enqueued_ms`, since 1970, is when the hub took it."""

    hub_partition: str
    sequence_number: int
    body: bytes
    named: str = ""
    enqueued_ms: int | None = None


class Reading(msgspec.Struct, frozen=True, gc=False):
    """An arrival that was read: either its event, or why it could not be (`fault`); of an order's event, the day."""

    arrival: Arrival
    aggregate_id: str
    event: EventEnvelope | None
    fault: str = ""
    day: dt.date | None = None


BEHIND = "behind a parked event of the same aggregate"
"""The reason of an event that nothing else is wrong with."""

UNREADABLE = (EnvelopeError, ValueError, OverflowError, RecursionError)
"""No JSON, no envelope, a name that is none, a time beyond the calendar, data nested without end."""


def read(arrival: Arrival) -> Reading:
    """Decode one arrival. What cannot be read is returned as such, under the aggregate its properties name."""
    named = arrival.named
    try:
        event = from_json(arrival.body)
        named = event.aggregate_id
        day = day_if_named_as_its_type(event)
    except UNREADABLE as error:
        who = named or getattr(error, "aggregate_id", None) or ""
        return Reading(arrival, who if len(who) <= LONGEST_NAME else "", None, f"cannot be read: {error}")
    return Reading(arrival, named, event, day=day)


def day_if_named_as_its_type(event: EventEnvelope) -> dt.date | None:
    """The day in an order's id; None for any other aggregate.

    Raises: `ValueError` for an aggregate of another type than the event's, or an id that is none of that type.
    """
    kind, who = event.aggregate_type, event.aggregate_id
    if kind != (belongs_to := AGGREGATE_TYPES.get(event.event_type, kind)):
        raise ValueError(f"{event.event_type} belongs to an aggregate of type {belongs_to}, not {kind}")
    if kind == "Customer" and CUSTOMER_ID.fullmatch(who) is None:
        raise ValueError(f"{who!r} is no customer id: customer-<suffix>")
    if len(who) > LONGEST_NAME:
        raise ValueError(f"the aggregate id has {len(who)} characters, more than {LONGEST_NAME}")
    return order_day(who) if kind == "Order" else None


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that could not be applied, and why."""

    arrival: Arrival
    aggregate_id: str
    reason: str


@dataclass(slots=True)
class Folded:
    """What a batch comes to: the rows it changed, the events to park, and how many were applied or dropped."""

    rows: dict[str, Row] = field(default_factory=dict)
    parked: list[Parked] = field(default_factory=list)
    applied: int = 0
    dropped: int = 0


def step(row: Row | None, reading: Reading, lane: Mapping[str, int]) -> Row | str | None:
    """The row that follows; None for an event that was here before; or, as a text, why it must be parked.

    `lane` holds the sequence number of each aggregate's first parked event: what arrived before it is not behind it.
    """
    event, version = reading.event, row.version if row else 0
    if event is not None and event.version <= version:
        return None
    if reading.aggregate_id in lane and reading.arrival.sequence_number >= lane[reading.aggregate_id]:
        return BEHIND
    if event is None:
        return reading.fault
    if event.version > version + 1:
        return f"gap: version {event.version} arrived while the row holds version {version}"
    try:
        return apply(row, event)
    except (CannotApply, msgspec.ValidationError) as error:
        return f"cannot be applied: {error}"


def fold(readings: Iterable[Reading], current: Mapping[str, Row], lane: Mapping[str, int]) -> Folded:
    """Fold a batch, in the order in which it arrived, to one row per aggregate; `current` holds the rows there are."""
    folded, lane = Folded(), dict(lane)
    for reading in readings:
        who = reading.aggregate_id
        match step(folded.rows.get(who) or current.get(who), reading, lane):
            case None:
                folded.dropped += 1
            case str() as reason:
                folded.parked.append(Parked(reading.arrival, who, reason))
                if who:
                    lane.setdefault(who, reading.arrival.sequence_number)
            case row:
                folded.rows[who] = row
                folded.applied += 1
    return folded
