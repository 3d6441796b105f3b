"""Given a history, when a command, then an event or a refusal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.events.envelope import CATALOGUE
from labkit.write_model import orders
from labkit.write_model.orders import (
    CancelOrder,
    Command,
    CreateOrder,
    CustomerRegistered,
    Event,
    Item,
    OrderCancelled,
    OrderCreated,
    OrderPaid,
    OrderShipped,
    OrderUpdated,
    PayOrder,
    Refusal,
    RefusalCode,
    RegisterCustomer,
    ShipOrder,
    State,
    UpdateOrder,
    decide,
    evolve,
)

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
ID = "order-20260105-0001"
TEA = Item("tea", 3, Decimal("12.10"))
CAKE = Item("cake", 1, Decimal("0.99"))
CREATED = OrderCreated("customer-1", (TEA,), Decimal("36.30"))
UPDATED = OrderUpdated((TEA, CAKE), Decimal("37.29"))
CREATE = CreateOrder(ID, "customer-1", (TEA,))
UPDATE = UpdateOrder(ID, (TEA, CAKE))


def state_after(*events: Event) -> State | None:
    return reduce(evolve, events, None)  # type: ignore[arg-type]


def refused(history: tuple[Event, ...], command: Command, now: datetime = NOW) -> RefusalCode:
    outcome = decide(state_after(*history), command, now)
    assert isinstance(outcome, Refusal), outcome
    assert outcome.sentence.endswith(".")
    return outcome.code


@pytest.mark.parametrize(
    ("given_events", "command", "event"),
    [
        ((), RegisterCustomer("customer-1", "Ada"), CustomerRegistered("Ada")),
        ((), CREATE, CREATED),
        ((CREATED,), UPDATE, UPDATED),
        ((CREATED, UPDATED), PayOrder(ID), OrderPaid()),
        ((CREATED, OrderPaid()), ShipOrder(ID), OrderShipped()),
        ((CREATED,), CancelOrder(ID, "too slow"), OrderCancelled("too slow")),
        ((CREATED, OrderPaid()), CancelOrder(ID), OrderCancelled("")),
    ],
)
def test_a_command_in_its_time_causes_its_event(
    given_events: tuple[Event, ...], command: Command, event: Event
) -> None:
    assert decide(state_after(*given_events), command, NOW) == event


@pytest.mark.parametrize(
    ("given_events", "command", "code"),
    [
        ((), PayOrder(ID), RefusalCode.NOT_FOUND),
        ((), UPDATE, RefusalCode.NOT_FOUND),
        ((CustomerRegistered("Ada"),), RegisterCustomer("customer-1", "Ada"), RefusalCode.ALREADY_EXISTS),
        ((CREATED,), CREATE, RefusalCode.ALREADY_EXISTS),
        ((CREATED, OrderPaid()), UPDATE, RefusalCode.WRONG_STATUS),
        ((CREATED, OrderPaid()), PayOrder(ID), RefusalCode.WRONG_STATUS),
        ((CREATED,), ShipOrder(ID), RefusalCode.WRONG_STATUS),
        ((CREATED, OrderPaid(), OrderShipped()), CancelOrder(ID), RefusalCode.WRONG_STATUS),
        ((CREATED, OrderPaid(), OrderShipped()), ShipOrder(ID), RefusalCode.WRONG_STATUS),
        ((CREATED, OrderCancelled("")), CancelOrder(ID), RefusalCode.WRONG_STATUS),
        ((CREATED, OrderCancelled("")), PayOrder(ID), RefusalCode.WRONG_STATUS),
        ((CustomerRegistered("Ada"),), PayOrder("customer-1"), RefusalCode.NOT_FOUND),
    ],
)
def test_a_command_out_of_its_time_is_refused(
    given_events: tuple[Event, ...], command: Command, code: RefusalCode
) -> None:
    assert refused(given_events, command) == code


@pytest.mark.parametrize("reason", ["x" * 501, "because of \udfff"])
def test_a_reason_too_long_for_an_event_or_without_a_form_in_utf_8_is_refused(reason: str) -> None:
    assert refused((CREATED,), CancelOrder(ID, reason)) == RefusalCode.INVALID_REASON


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "Ad\ud800"])
def test_a_customer_without_a_name_is_refused(name: str) -> None:
    assert refused((), RegisterCustomer("customer-1", name)) == RefusalCode.INVALID_NAME


@pytest.mark.parametrize("customer_id", ["", "1", "order-20260105-1", "customer-", "customer-a/b", "customer-1\n"])
def test_a_customer_id_has_its_form_everywhere(customer_id: str) -> None:
    assert refused((), RegisterCustomer(customer_id, "Ada")) == RefusalCode.INVALID_ID
    assert refused((), CreateOrder(ID, customer_id, (TEA,))) == RefusalCode.INVALID_ID


@pytest.mark.parametrize(
    "item",
    [
        Item("tea", 0, Decimal("1.00")),
        Item("tea", 10_001, Decimal("1.00")),
        Item("tea", True, Decimal("1.00")),
        Item("tea", 1.5, Decimal("1.00")),  # type: ignore[arg-type]
        Item("tea", 1, 1.0),  # type: ignore[arg-type]
        Item("tea", 1, Decimal("-0.01")),
        Item("tea", 1, Decimal("1000000.01")),
        Item("tea", 1, Decimal("1.005")),
        Item("tea", 1, Decimal("NaN")),
        Item("tea", 1, Decimal("Infinity")),
        Item("tea", 1, Decimal("sNaN")),
        Item(" ", 1, Decimal("1.00")),
        Item("x" * 101, 1, Decimal("1.00")),
        Item("\ud800", 1, Decimal("1.00")),
    ],
)
def test_an_item_beyond_its_limits_is_refused_in_new_orders_and_in_updates(item: Item) -> None:
    assert refused((), CreateOrder(ID, "customer-1", (TEA, item))) == RefusalCode.INVALID_ITEMS
    assert refused((CREATED,), UpdateOrder(ID, (item,))) == RefusalCode.INVALID_ITEMS


@pytest.mark.parametrize("count", [0, 101])
def test_an_order_has_1_to_100_items(count: int) -> None:
    assert refused((), CreateOrder(ID, "customer-1", (TEA,) * count)) == RefusalCode.INVALID_ITEMS


def test_the_limits_themselves_are_accepted() -> None:
    dearest = Item("gold", 10_000, Decimal("1000000.00"))
    outcome = decide(None, CreateOrder(ID, "customer-1", (dearest,) * 100), NOW)
    assert isinstance(outcome, OrderCreated)
    assert outcome.total == Decimal("1000000000000.00")
    assert isinstance(decide(None, CreateOrder(ID, "customer-1", (Item("gift", 1, Decimal("0")),)), NOW), OrderCreated)
    assert decide(None, RegisterCustomer("customer-1", "😀" * 200), NOW) == CustomerRegistered("😀" * 200)
    assert decide(state_after(CREATED), CancelOrder(ID, "x" * 500), NOW) == OrderCancelled("x" * 500)
    assert isinstance(
        decide(None, CreateOrder(ID, "customer-1", (Item("x" * 100, 1, orders.CENT),)), NOW), OrderCreated
    )


def test_the_largest_event_of_all_is_far_smaller_than_the_largest_message_of_a_hub() -> None:
    longest = Item("\x01" * orders.LONGEST_PRODUCT_ID, orders.HIGHEST_QUANTITY, orders.HIGHEST_UNIT_PRICE)
    outcome = decide(None, CreateOrder(ID, "customer-1", (longest,) * orders.MOST_ITEMS), NOW)
    assert 50_000 < len(msgspec.json.encode(outcome)) < 256 * 1024


@pytest.mark.parametrize(("days", "accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_the_day_in_the_id_is_within_one_day_of_the_clock_unless_backfill_is_said(days: int, accepted: bool) -> None:
    order_id = f"order-{NOW + timedelta(days=days):%Y%m%d}-0001"
    outcome = decide(None, CreateOrder(order_id, "customer-1", (TEA,)), NOW)
    assert isinstance(outcome, OrderCreated) == accepted
    if not accepted:
        assert isinstance(outcome, Refusal)
        assert outcome.code == RefusalCode.DAY_OUT_OF_RANGE
    assert isinstance(decide(None, CreateOrder(order_id, "customer-1", (TEA,), backfill=True), NOW), OrderCreated)


@pytest.mark.parametrize("order_id", ["order-1", "order-20260231-1", "customer-1", ""])
def test_an_order_id_without_a_day_is_refused_even_as_backfill(order_id: str) -> None:
    assert refused((), CreateOrder(order_id, "customer-1", (TEA,), backfill=True)) == RefusalCode.INVALID_ID


def test_prices_are_written_with_two_places_and_totals_are_exact() -> None:
    many = Item("pin", 3, Decimal("0.1"))
    outcome = decide(None, CreateOrder(ID, "customer-1", (many,)), NOW)
    assert isinstance(outcome, OrderCreated)
    assert msgspec.json.encode(outcome) == (
        b'{"customerId":"customer-1","items":[{"productId":"pin","quantity":3,"unitPrice":"0.10"}],"total":"0.30"}'
    )


def test_a_history_of_another_domain_is_no_state() -> None:
    with pytest.raises(ValueError, match="OrderPaid cannot follow"):
        evolve(None, OrderPaid())
    with pytest.raises(ValueError, match="OrderCreated cannot follow"):
        evolve(state_after(CREATED), CREATED)


def test_the_events_of_the_domain_are_the_catalogue_of_the_envelope() -> None:
    assert {kind.__name__ for kind in get_args(Event)} == set(CATALOGUE)


prices = st.decimals(0, 1_000_000, places=2, allow_nan=False)
items = st.builds(Item, st.sampled_from(["tea", "cake", "mug"]), st.integers(1, 10_000), prices)
baskets = st.lists(items, min_size=1, max_size=5).map(tuple)
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(CreateOrder, st.just(ID), st.just("customer-1"), baskets),
    st.builds(UpdateOrder, st.just(ID), baskets),
    st.sampled_from([PayOrder(ID), ShipOrder(ID), CancelOrder(ID, "no")]),
)


@given(st.lists(commands, max_size=12))
def test_whatever_is_asked_the_events_fold_and_no_order_ships_unpaid_or_changes_after(asked: list[Command]) -> None:
    state: State | None = None
    history: list[Event] = []
    for command in asked:
        outcome = decide(state, command, NOW)
        if not isinstance(outcome, Refusal):
            history.append(outcome)
            state = evolve(state, outcome)
            assert isinstance(state, orders.Order)
            assert state.total == sum(item.quantity * item.unit_price for item in state.items)
    assert state == state_after(*history)
    kinds = [type(event) for event in history]
    assert kinds.count(OrderShipped) <= kinds.count(OrderPaid) <= 1
    assert OrderShipped not in kinds or kinds[-1] is OrderShipped
    assert OrderCancelled not in kinds or kinds[-1] is OrderCancelled


@given(st.lists(commands, max_size=6))
def test_events_and_states_survive_their_json_form(asked: list[Command]) -> None:
    state: State | None = None
    for command in asked:
        outcome = decide(state, command, NOW)
        if not isinstance(outcome, Refusal):
            assert msgspec.json.decode(msgspec.json.encode(outcome), type=type(outcome)) == outcome
            state = evolve(state, outcome)
            assert msgspec.json.decode(msgspec.json.encode(state), type=type(state)) == state
