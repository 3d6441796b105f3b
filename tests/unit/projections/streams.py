"""Histories of events for the tests of this folder, as arrivals of a hub partition."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from labkit.events.envelope import EventEnvelope, to_json
from labkit.events.ids import event_id
from labkit.projections.folds import Arrival

NINE = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
ORDER = "order-20260105-a"
CUSTOMER = "customer-ada"
ITEMS = [
    {"productId": "tea", "quantity": 2, "unitPrice": "12.50"},
    {"productId": "cup", "quantity": 1, "unitPrice": "4.00"},
]
CREATED = {"customerId": CUSTOMER, "items": ITEMS, "total": "29.00"}


def event(aggregate_id: str, version: int, event_type: str, data: dict[str, object] | None = None) -> EventEnvelope:
    kind = "Customer" if aggregate_id.startswith("customer-") else "Order"
    name = event_id(aggregate_id, version)
    at = NINE + timedelta(minutes=version)
    metadata = {"userId": "tester", "source": "tests", "traceparent": ""}
    return EventEnvelope(
        name, event_type, aggregate_id, kind, version, at, name, name, data or {}, metadata, schema(event_type)
    )


def schema(event_type: str) -> int:
    return 2 if event_type in {"OrderCreated", "OrderUpdated"} else 1


def life_of(order_id: str = ORDER, customer_id: str = CUSTOMER) -> list[EventEnvelope]:
    """Created for 29.00, updated to 4.00, paid, shipped."""
    return [
        event(order_id, 1, "OrderCreated", {**CREATED, "customerId": customer_id}),
        event(order_id, 2, "OrderUpdated", {"items": ITEMS[1:], "total": "4.00"}),
        event(order_id, 3, "OrderPaid"),
        event(order_id, 4, "OrderShipped"),
    ]


def arrivals(*events: EventEnvelope | bytes, partition: str = "0", first: int = 0) -> list[Arrival]:
    """These events (or bytes that are none, naming no aggregate) under sequence numbers from `first` on."""
    made = []
    for number, one in enumerate(events, first):
        body, named = (one, "") if isinstance(one, bytes) else (to_json(one), one.aggregate_id)
        made.append(Arrival(partition, number, body, named))
    return made
