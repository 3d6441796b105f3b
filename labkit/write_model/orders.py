"""The domain: commands, events, and the two functions that join them. Pure.

`decide(state, command, now)` says what happens: one event, or a refusal. `evolve(state, event)` says what that makes of
the state. The state is always the fold of its events: `reduce(evolve, events, None)`.

Commands are imperative and may be refused; events are past tense and never are. Refusals are values. Money is decimal,
two places, a string in JSON (`msgspec` gives every type here its camelCase JSON form). Ids and versions are the
envelope's business, not the events'.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from labkit.events.ids import CUSTOMER_ID, order_day

CENT = Decimal("0.01")
HIGHEST_UNIT_PRICE = Decimal("1000000.00")
MOST_ITEMS = 100
HIGHEST_QUANTITY = 10_000
LONGEST_NAME = 200
LONGEST_PRODUCT_ID = 100
LONGEST_REASON = 500
"""Characters, so that every event is far smaller than what a hub takes: one that is not would end the relay."""
DAY_TOLERANCE = timedelta(days=1)


class Status(StrEnum):
    CREATED = "Created"
    PAID = "Paid"
    SHIPPED = "Shipped"
    CANCELLED = "Cancelled"


class Item(Struct, frozen=True, rename="camel"):
    product_id: str
    quantity: int
    unit_price: Decimal


class Order(Struct, frozen=True, rename="camel"):
    customer_id: str
    items: tuple[Item, ...]
    total: Decimal
    status: Status


class Customer(Struct, frozen=True, rename="camel"):
    name: str


State = Order | Customer


# --- commands ---------------------------------------------------------------------------------------------------------


class RegisterCustomer(Struct, frozen=True, rename="camel"):
    customer_id: str
    name: str

    @property
    def aggregate_id(self) -> str:
        return self.customer_id


class OrderCommand(Struct, frozen=True, rename="camel"):
    order_id: str

    @property
    def aggregate_id(self) -> str:
        return self.order_id


class CreateOrder(OrderCommand, frozen=True, rename="camel"):
    customer_id: str
    items: tuple[Item, ...]
    backfill: bool = False
    """Says that the day in the id is meant to be far from today."""


class UpdateOrder(OrderCommand, frozen=True, rename="camel"):
    items: tuple[Item, ...]


class PayOrder(OrderCommand, frozen=True, rename="camel"):
    pass


class ShipOrder(OrderCommand, frozen=True, rename="camel"):
    pass


class CancelOrder(OrderCommand, frozen=True, rename="camel"):
    reason: str = ""


Command = RegisterCustomer | CreateOrder | UpdateOrder | PayOrder | ShipOrder | CancelOrder


# --- events -----------------------------------------------------------------------------------------------------------


class CustomerRegistered(Struct, frozen=True, rename="camel"):
    name: str


class OrderCreated(Struct, frozen=True, rename="camel"):
    customer_id: str
    items: tuple[Item, ...]
    total: Decimal


class OrderUpdated(Struct, frozen=True, rename="camel"):
    items: tuple[Item, ...]
    total: Decimal


class OrderPaid(Struct, frozen=True, rename="camel"):
    pass


class OrderShipped(Struct, frozen=True, rename="camel"):
    pass


class OrderCancelled(Struct, frozen=True, rename="camel"):
    reason: str


Event = CustomerRegistered | OrderCreated | OrderUpdated | OrderPaid | OrderShipped | OrderCancelled


class RefusalCode(StrEnum):
    INVALID_ID = "invalid-id"
    INVALID_NAME = "invalid-name"
    INVALID_ITEMS = "invalid-items"
    INVALID_REASON = "invalid-reason"
    DAY_OUT_OF_RANGE = "day-out-of-range"
    ALREADY_EXISTS = "already-exists"
    NOT_FOUND = "not-found"
    WRONG_STATUS = "wrong-status"
    KEY_REUSED = "key-reused"
    INVALID_KEY = "invalid-key"
    STALE = "stale"
    CONTENDED = "contended"


class Refusal(Struct, frozen=True):
    """Why a command is not carried out: a code for programs, a sentence for people."""

    code: RefusalCode
    sentence: str


# --- the rules --------------------------------------------------------------------------------------------------------


def decide(state: State | None, command: Command, now: datetime) -> Event | Refusal:
    """The event that this command causes in this state, or why there is none."""
    match command, state:
        case RegisterCustomer(), None:
            return bad_customer(command) or CustomerRegistered(command.name)
        case CreateOrder(), None:
            refusal = bad_order_id(command, now) or bad_customer_id(command.customer_id) or bad_items(command.items)
            return refusal or OrderCreated(command.customer_id, in_cents(command.items), total_of(command.items))
        case ((RegisterCustomer() | CreateOrder()), _):
            return Refusal(RefusalCode.ALREADY_EXISTS, f"{command.aggregate_id} exists already.")
        case UpdateOrder(), Order(status=Status.CREATED):
            return bad_items(command.items) or OrderUpdated(in_cents(command.items), total_of(command.items))
        case PayOrder(), Order(status=Status.CREATED):
            return OrderPaid()
        case ShipOrder(), Order(status=Status.PAID):
            return OrderShipped()
        case CancelOrder(), Order(status=Status.CREATED | Status.PAID):
            return bad_reason(command.reason) or OrderCancelled(command.reason)
        case _, Order():
            sentence = f"{command.aggregate_id} is {state.status} and takes no {type(command).__name__}."
            return Refusal(RefusalCode.WRONG_STATUS, sentence)
        case _:
            return Refusal(RefusalCode.NOT_FOUND, f"There is no order {command.aggregate_id}.")


def evolve(state: State | None, event: Event) -> State:
    """The state after this event. Events are never refused.

    Raises: `ValueError` if the event cannot follow this state, so that the history is not one of this domain.
    """
    match event, state:
        case CustomerRegistered(name=name), None:
            return Customer(name)
        case OrderCreated(customer_id=customer_id, items=items, total=total), None:
            return Order(customer_id, items, total, Status.CREATED)
        case OrderUpdated(items=items, total=total), Order():
            return Order(state.customer_id, items, total, state.status)
        case OrderPaid(), Order():
            return Order(state.customer_id, state.items, state.total, Status.PAID)
        case OrderShipped(), Order():
            return Order(state.customer_id, state.items, state.total, Status.SHIPPED)
        case OrderCancelled(), Order():
            return Order(state.customer_id, state.items, state.total, Status.CANCELLED)
        case _:
            raise ValueError(f"{type(event).__name__} cannot follow {state!r}")


def bad_customer(command: RegisterCustomer) -> Refusal | None:
    if command.name.strip() == "":
        return Refusal(RefusalCode.INVALID_NAME, "A customer has a name.")
    misnamed = bad_text("A name", command.name, LONGEST_NAME, RefusalCode.INVALID_NAME)
    return misnamed or bad_customer_id(command.customer_id)


def is_text(text: str, longest: int) -> bool:
    """Whether it is short enough and has a form in UTF-8, which half of a surrogate pair has not."""
    return len(text) <= longest and not any("\ud800" <= letter <= "\udfff" for letter in text)


def bad_text(what: str, text: str, longest: int, code: RefusalCode) -> Refusal | None:
    if is_text(text, longest):
        return None
    return Refusal(code, f"{what} is text of at most {longest} characters, not {len(text)}.")


def bad_reason(reason: str) -> Refusal | None:
    return bad_text("A reason", reason, LONGEST_REASON, RefusalCode.INVALID_REASON)


def bad_customer_id(customer_id: str) -> Refusal | None:
    if CUSTOMER_ID.fullmatch(customer_id) is None:
        return Refusal(RefusalCode.INVALID_ID, f"{customer_id!r} is no customer id: customer-<suffix>.")
    return None


def bad_order_id(command: CreateOrder, now: datetime) -> Refusal | None:
    try:
        day = order_day(command.order_id)
    except ValueError as error:
        return Refusal(RefusalCode.INVALID_ID, f"{error}.")
    if abs(day - now.date()) > DAY_TOLERANCE and not command.backfill:
        sentence = f"{command.order_id} names {day}, more than a day from {now.date()}; say backfill if that is meant."
        return Refusal(RefusalCode.DAY_OUT_OF_RANGE, sentence)
    return None


def bad_items(items: tuple[Item, ...]) -> Refusal | None:
    if not 1 <= len(items) <= MOST_ITEMS:
        return Refusal(RefusalCode.INVALID_ITEMS, f"An order has 1 to {MOST_ITEMS} items, not {len(items)}.")
    return next((refusal for item in items if (refusal := bad_item(item)) is not None), None)


def bad_item(item: Item) -> Refusal | None:
    price = item.unit_price
    if item.product_id.strip() == "":
        return Refusal(RefusalCode.INVALID_ITEMS, "An item names its product.")
    if unnamed := bad_text("A product id", item.product_id, LONGEST_PRODUCT_ID, RefusalCode.INVALID_ITEMS):
        return unnamed
    if type(item.quantity) is not int or not 1 <= item.quantity <= HIGHEST_QUANTITY:
        sentence = f"{item.product_id}: a quantity is a whole number of 1 to {HIGHEST_QUANTITY}, not {item.quantity}."
        return Refusal(RefusalCode.INVALID_ITEMS, sentence)
    in_range = isinstance(price, Decimal) and price.is_finite() and 0 <= price <= HIGHEST_UNIT_PRICE
    if not in_range or price != price.quantize(CENT):
        sentence = f"{item.product_id}: a unit price is 0.00 to {HIGHEST_UNIT_PRICE} with two places, not {price}."
        return Refusal(RefusalCode.INVALID_ITEMS, sentence)
    return None


def in_cents(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The same items, each price written with exactly two places."""
    return tuple(Item(item.product_id, item.quantity, item.unit_price.quantize(CENT)) for item in items)


def total_of(items: tuple[Item, ...]) -> Decimal:
    return sum((item.quantity * item.unit_price for item in items), Decimal(0)).quantize(CENT)


def event_from(event_type: str, data: Mapping[str, Any]) -> Event:
    """The event in an envelope's data. Raises: `LookupError` for a type that is not of this domain."""
    return msgspec.convert(dict(data), EVENTS[event_type])


def state_from(aggregate_type: str, data: Mapping[str, Any]) -> State:
    """The state in a state document. Raises: `LookupError` for a type that is not of this domain."""
    return msgspec.convert(dict(data), STATES[aggregate_type])


EVENTS: Final[Mapping[str, type[Event]]] = {kind.__name__: kind for kind in get_args(Event)}
STATES: Final[Mapping[str, type[State]]] = {kind.__name__: kind for kind in get_args(State)}
