"""Names of things: aggregate ids and the day inside an order's id, event ids, tokens.

Everything here is derived, nothing is drawn: the same aggregate and version always give the same event id, so that an
event sent twice is recognised as one event. Pure.
"""

from __future__ import annotations

import re
import uuid
from datetime import date
from typing import NewType

AggregateId = NewType("AggregateId", str)
EventId = NewType("EventId", str)
Token = NewType("Token", str)
"""`aggregateId@version`: what a writer holds to ask whether its write is visible yet."""

EVENT_NAMESPACE = uuid.UUID("6f1d3a0e-52c1-5a5b-9a0f-4d6c7be1c0a5")
"""Fixed for ever: another one would give every stored event a second name."""

ORDER_ID = re.compile(r"order-(\d{8})-[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.ASCII)
CUSTOMER_ID = re.compile(r"customer-[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.ASCII)


def event_id(aggregate_id: str, version: int) -> EventId:
    """The one name of this event."""
    return EventId(str(uuid.uuid5(EVENT_NAMESPACE, token(aggregate_id, version))))


def order_id(day: date, suffix: str) -> AggregateId:
    """Raises: `ValueError` for a suffix that is no plain word of letters, digits and hyphens."""
    made = f"order-{day:%Y%m%d}-{suffix}"
    if ORDER_ID.fullmatch(made) is None:
        raise ValueError(f"{suffix!r} cannot end an order id: 1 to 63 letters, digits and hyphens")
    return AggregateId(made)


def order_day(order: str) -> date:
    """The day inside an order's id, wherever a day is needed. Raises: `ValueError` if the id holds none."""
    form = ORDER_ID.fullmatch(order)
    if form is None:
        raise ValueError(f"{order!r} is no order id: order-YYYYMMDD-<suffix>")
    try:
        return date.fromisoformat(form[1])
    except ValueError:
        raise ValueError(f"{order!r} names a day that no calendar has: {form[1]}") from None


def token(aggregate_id: str, version: int) -> Token:
    return Token(f"{aggregate_id}@{version}")


def parse_token(text: str) -> tuple[AggregateId, int]:
    """Raises: `ValueError` for anything but `aggregateId@version` with a version of 1 or more."""
    aggregate_id, at, version = text.rpartition("@")
    if not at or not aggregate_id or not version.isascii() or not version.isdigit() or int(version) < 1:
        raise ValueError(f"{text!r} is no token: aggregateId@version")
    return AggregateId(aggregate_id), int(version)
