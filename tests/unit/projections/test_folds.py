"""The fold, given what arrived: which rows, what is dropped, what is parked."""

from __future__ import annotations

import json
from datetime import UTC, date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from labkit.events.envelope import EnvelopeError, EventEnvelope, from_json, to_json
from labkit.projections.folds import (
    HIGHEST_TOTAL,
    Arrival,
    CannotApply,
    Folded,
    OrderRow,
    Row,
    fold,
    money,
    read,
)
from labkit.write_model import orders
from tests.unit.projections.streams import CREATED, CUSTOMER, NINE, ORDER, arrivals, event, life_of


def folded(arrived: list[Arrival], current: dict[str, Row] | None = None, lane: dict[str, int] | None = None) -> Folded:
    return fold([read(arrival) for arrival in arrived], current or {}, lane or {})


def test_a_whole_life_folds_to_one_row() -> None:
    outcome = folded(arrivals(*life_of()))
    assert outcome.rows == {
        ORDER: OrderRow(
            ORDER, CUSTOMER, "Shipped", 1, Decimal("4.00"), life_of()[0].timestamp, life_of()[3].timestamp, 4
        )
    }
    assert (outcome.applied, outcome.dropped, outcome.parked) == (4, 0, [])
    assert outcome.rows[ORDER].created_day == date(2026, 1, 5)


def test_a_batch_in_the_middle_of_a_life_goes_on_from_the_current_row() -> None:
    life = life_of()
    before = folded(arrivals(*life[:2])).rows
    assert folded(arrivals(*life[2:], first=2), before).rows == folded(arrivals(*life)).rows


def test_a_re_sent_event_is_dropped_though_its_sequence_number_is_new() -> None:
    life = life_of()
    outcome = folded(arrivals(*life, *life[1:3]))
    assert (outcome.applied, outcome.dropped, outcome.parked) == (4, 2, [])


def test_a_gap_parks_its_aggregate_and_all_behind_it_while_others_go_on() -> None:
    life, other = life_of(), life_of("order-20260105-b")
    outcome = folded(arrivals(life[0], other[0], life[2], life[3], other[1]))
    assert [(parked.arrival.sequence_number, parked.aggregate_id) for parked in outcome.parked] == [
        (2, ORDER),
        (3, ORDER),
    ]
    assert "version 3 arrived while the row holds version 1" in outcome.parked[0].reason
    assert "behind" in outcome.parked[1].reason
    assert {who: row.version for who, row in outcome.rows.items()} == {ORDER: 1, "order-20260105-b": 2}


def test_bytes_that_are_no_event_park_the_aggregate_that_their_properties_name() -> None:
    life = life_of()
    broken = Arrival("0", 1, b'{"eventId": ', ORDER)
    outcome = folded([*arrivals(life[0]), broken, *arrivals(life[1], first=2)])
    assert [parked.aggregate_id for parked in outcome.parked] == [ORDER, ORDER]
    assert outcome.parked[0].reason.startswith("cannot be read")
    assert outcome.rows[ORDER].version == 1


def test_bytes_that_name_no_aggregate_are_parked_alone() -> None:
    outcome = folded(arrivals(b"\xff", *life_of(), b"\xff"))
    assert [(parked.aggregate_id, parked.reason[:14]) for parked in outcome.parked] == [("", "cannot be read")] * 2
    assert outcome.applied == 4


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (event(ORDER, 2, "OrderTeleported"), "OrderTeleported is in no catalogue"),
        (event(ORDER, 2, "OrderCreated", CREATED), "OrderCreated does not follow the row"),
        (event(ORDER, 2, "OrderUpdated", {"items": [], "total": 4.0}), "total"),
        (event(ORDER, 2, "OrderUpdated", {"items": [], "total": "4.005"}), "at most two places"),
        (event(ORDER, 2, "OrderUpdated", {"total": "4.00"}), "items"),
        (event(ORDER, 2, "OrderUpdated", {"items": [], "total": "1000000000000.01"}), "1000000000000.00"),
        (replace(event(ORDER, 2, "OrderPaid"), aggregate_type="Customer"), "belongs to an aggregate of type Order"),
        (replace(event(ORDER, 2, "OrderPaid"), aggregate_type="Basket"), "belongs to an aggregate of type Order"),
    ],
)
def test_an_event_that_does_not_fit_is_parked_and_says_why(wrong, says) -> None:
    outcome = folded(arrivals(life_of()[0], wrong))
    assert [parked.arrival.sequence_number for parked in outcome.parked] == [1]
    assert says in outcome.parked[0].reason
    assert outcome.rows[ORDER].version == 1


@pytest.mark.parametrize(
    "body",
    [
        to_json(replace(life_of()[0], aggregate_id="order-20261305-a")),
        to_json(life_of()[0]).replace(b"2026-01-05T", b"0001-01-01T").replace(b'Z"', b'+14:00"'),
        to_json(life_of()[0]).replace(b'"29.00"', b"[" * 100_000 + b"]" * 100_000),
    ],
    ids=["no such day", "a time before the calendar", "nested without end"],
)
def test_what_would_break_the_reader_is_parked_instead(body: bytes) -> None:
    outcome = folded([Arrival("0", 0, body, ORDER)])
    assert [(parked.arrival.body, parked.reason[:14]) for parked in outcome.parked] == [(body, "cannot be read")]


@pytest.mark.parametrize(
    ("stranger", "says"),
    [
        (event("customer-", 1, "CustomerRegistered", {"name": "Ada"}), "is no customer id"),
        (event(ORDER, 1, "CustomerRegistered", {"name": "Ada"}), "belongs to an aggregate of type Customer"),
        (event(CUSTOMER, 1, "OrderCreated", CREATED), "belongs to an aggregate of type Order"),
        (event(ORDER, 1, "OrderCreated", {**CREATED, "customerId": "customer-1\n"}), "customerId"),
    ],
)
def test_an_aggregate_that_is_not_what_its_type_says_is_parked(stranger: EventEnvelope, says: str) -> None:
    outcome = folded(arrivals(stranger))
    assert outcome.rows == {}
    assert [(parked.aggregate_id, says in parked.reason) for parked in outcome.parked] == [
        (stranger.aggregate_id, True)
    ]


@pytest.mark.parametrize(
    "arrival",
    [
        Arrival("0", 0, to_json(replace(event("x" * 3000, 1, "Filled"), aggregate_type="Basket")), "x" * 3000),
        Arrival("0", 0, b"no event", "x" * 3000),
    ],
    ids=["in the envelope", "in the properties"],
)
def test_a_name_too_long_to_be_parked_under_is_left_out(arrival: Arrival) -> None:
    outcome = folded([arrival])
    assert [(parked.aggregate_id, parked.reason[:14]) for parked in outcome.parked] == [("", "cannot be read")]


def test_behind_a_parked_event_means_after_it_so_a_redelivered_predecessor_is_applied() -> None:
    life = life_of()
    outcome = folded(arrivals(*life), lane={ORDER: 2})
    assert outcome.rows[ORDER].version == 2
    assert [parked.arrival.sequence_number for parked in outcome.parked] == [2, 3]


def test_the_day_is_the_one_in_the_id_even_when_the_order_was_written_after_midnight() -> None:
    row = folded(arrivals(life_of("order-20260104-late")[0])).rows["order-20260104-late"]
    assert (row.created_day, row.created_at.date()) == (date(2026, 1, 4), NINE.date())


@pytest.mark.parametrize(
    "wrong", ["NaN", "Infinity", "1e40", "0.001", "", "ten", 12.5, None, "-0.01", "1000000000000.01"]
)
def test_money_is_a_string_with_at_most_two_places(wrong: object) -> None:
    with pytest.raises(CannotApply):
        money(wrong)


def test_the_highest_total_is_the_one_that_the_domain_can_reach() -> None:
    assert orders.MOST_ITEMS * orders.HIGHEST_QUANTITY * orders.HIGHEST_UNIT_PRICE == HIGHEST_TOTAL
    assert money(str(HIGHEST_TOTAL)) == HIGHEST_TOTAL


@given(st.data())
def test_any_cut_into_batches_with_any_repeats_gives_the_rows_of_the_history(data: st.DataObject) -> None:
    lives = [life_of(f"order-20260105-{name}") for name in "abc"]
    order = data.draw(st.permutations([index for index, life in enumerate(lives) for _ in life]))
    nexts = [iter(life) for life in lives]
    history = [next(nexts[index]) for index in order]
    sent = []
    for position, one in enumerate(history):
        sent.append(one)
        back = data.draw(st.integers(0, 3))
        sent.extend(history[max(0, position + 1 - back) : position + 1])
    rows: dict[str, Row] = {}
    arrived = arrivals(*sent)
    while arrived:
        size = data.draw(st.integers(1, len(arrived)))
        outcome = folded(arrived[:size], rows)
        assert outcome.parked == []
        rows |= outcome.rows
        arrived = arrived[size:]
    assert rows == folded(arrivals(*history)).rows


ENVELOPE = json.loads(to_json(life_of()[0]))


@st.composite
def almost_events(draw: st.DrawFn) -> bytes:
    """An event of some schema and offset, with one field changed or left out."""
    fields = {**ENVELOPE, "timestamp": draw(st.sampled_from(["2026-01-05T09:00:00Z", "2026-01-05T09:00:00+02:00"]))}
    name = draw(st.sampled_from(sorted(fields)))
    value = draw(
        st.sampled_from([None, "", 0, 1, 2, 3, {}, [], "OrderPaid", "Filled", "2026-01-05T09:00:00", ENVELOPE[name]])
    )
    if draw(st.booleans()):
        fields[name] = value
    else:
        del fields[name]
    return json.dumps(fields).encode()


@given(almost_events())
def test_what_is_almost_an_event_is_one_that_can_be_sent_again_or_is_refused(raw: bytes) -> None:
    try:
        event = from_json(raw)
    except EnvelopeError:
        return
    assert from_json(to_json(event)) == event
    assert event.timestamp.tzinfo is UTC
