"""The parking lane from both sides: what cannot be applied waits, is replayed or discarded; the tables end right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from labkit.errors import NotYet
from labkit.events.envelope import to_json
from labkit.projections import folds
from labkit.projections.folds import BEHIND, Arrival, CannotApply, Parked, read
from labkit.projections.parking import NotParked, ParkedEvent, ParkingLane
from labkit.projections.projector import AggregateParked
from labkit.projections.replay import Replayed, in_order, replay, settle
from labkit.projections.tables import ORDERS
from labkit.write_model.handler import history
from labkit.write_model.orders import CancelOrder, PayOrder
from tests.contract.shop import PATIENCE_SECONDS, Shop, folded, killed_after
from tests.unit.projections.streams import life_of


@contextmanager
def code_that_cannot_cancel(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Until the code is mended."""
    apply = folds.apply

    def broken(row: folds.Row | None, event: folds.EventEnvelope) -> folds.Row:
        if event.event_type == "OrderCancelled":
            raise CannotApply("nobody thought of cancelling")
        return apply(row, event)

    with monkeypatch.context() as patch:
        patch.setattr(folds, "apply", broken)
        yield


def replayed(shop: Shop, number: int = 1) -> Replayed:
    return replay(shop.parking, shop.store, shop.lab.hub, shop.order(number))


def reasons(shop: Shop, number: int = 1) -> list[str]:
    return [event.reason.partition(":")[0] for event in shop.parking.events(shop.order(number))]


def parked_by_code(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order 1, paid; its cancelling parked, and the projector still running when the code is mended again."""
    with code_that_cannot_cancel(monkeypatch):
        projector = shop.projector()
        token = shop.does(
            shop.created(1), shop.created(2), PayOrder(shop.order(1)), CancelOrder(shop.order(1), "too late")
        )
        projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
        with pytest.raises(AggregateParked):
            projector.wait_until_visible(token, PATIENCE_SECONDS)


def test_after_the_code_is_mended_a_replay_makes_all_tables_right(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    parked_by_code(shop, monkeypatch)
    assert shop.tables() != folded(shop.history())
    outcome = replayed(shop)
    assert (outcome.applied, outcome.dropped, outcome.parked) == (1, 0, ())
    assert shop.tables() == folded(shop.history())
    assert shop.store.table(ORDERS).transaction_version(f"parked/{shop.order(1)}") == 3
    (projector,) = shop.started
    shop.send(shop.order(1), to_json(life_of(shop.order(1))[3]))
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert (shop.store.version_of(shop.order(1)), projector.counters["parked"]) == (4, 1)


def test_a_running_projector_notices_that_the_lane_is_empty_now(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    parked_by_code(shop, monkeypatch)
    assert replayed(shop).applied == 1
    (projector,) = shop.started
    projector.wait_until_visible(f"{shop.order(1)}@3", PATIENCE_SECONDS)
    with pytest.raises(NotYet):  # and not that it is parked
        projector.wait_until_visible(f"{shop.order(1)}@4", 0.1)
    shop.send(shop.order(1), to_json(life_of(shop.order(1))[3]))
    projector.wait_until_visible(f"{shop.order(1)}@4", PATIENCE_SECONDS)
    assert shop.parking.events(shop.order(1)) == []


def test_what_still_cannot_be_applied_stays_with_its_reason_of_today_and_all_behind_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    parked_by_code(shop, monkeypatch)
    shop.send(shop.order(1), b"poison")
    (projector,) = shop.started
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert reasons(shop) == ["cannot be applied", BEHIND]
    with monkeypatch.context() as patch:
        patch.setattr(folds, "apply", lambda row, event: (_ for _ in ()).throw(CannotApply("another reason")))
        outcome = replayed(shop)
    assert [event.reason for event in outcome.parked] == ["cannot be applied: another reason", BEHIND]
    assert replayed(shop).applied == 1
    assert reasons(shop) == ["cannot be read"]
    assert shop.tables() == folded(shop.history())


def test_an_event_that_waits_behind_nothing_is_applied_when_the_next_one_comes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The projector parked it just before the replay, elsewhere, took away what it stood behind."""
    parked_by_code(shop, monkeypatch)
    (first,) = shop.parking.events(shop.order(1))
    shop.parking.keep(first, BEHIND)
    (projector,) = shop.started
    again = history(shop.side.write_model, shop.order(1))[2]
    shop.send(shop.order(1), to_json(again))
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert shop.parking.events(shop.order(1)) == []
    assert shop.tables() == folded(shop.history())


def test_events_that_arrive_during_a_replay_are_neither_lost_nor_overtaken(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the replay's commit and the lane being emptied the projector parks one more; the replay looks again."""
    with code_that_cannot_cancel(monkeypatch):
        projector = shop.projector()
        shop.does(shop.created(1), PayOrder(shop.order(1)), CancelOrder(shop.order(1), "too late"))
        projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    projector.stop()
    release = ParkingLane.release

    def slow(lane: ParkingLane, event: ParkedEvent) -> None:
        monkeypatch.setattr(ParkingLane, "release", release)
        late = read(Arrival("0", event.arrival.sequence_number + 1, to_json(life_of(shop.order(1))[3]), "")).arrival
        lane.park(shop.lab.hub, [Parked(late, shop.order(1), BEHIND)])
        release(lane, event)

    monkeypatch.setattr(ParkingLane, "release", slow)
    outcome = replayed(shop)
    assert outcome.parked == ()
    assert reasons(shop) == []
    assert outcome.applied == 2


@pytest.mark.parametrize("commits", [0, 1])
def test_killed_between_the_tables_a_replay_again_makes_them_right(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    parked_by_code(shop, monkeypatch)
    shop.started[0].stop()
    with monkeypatch.context() as patch:
        killed_after(commits, patch)
        with pytest.raises(RuntimeError, match="killed here"):
            replayed(shop)
    assert len(shop.parking.events(shop.order(1))) == 1
    outcome = replayed(shop)
    assert (outcome.applied, outcome.dropped) == ((1, 0) if commits == 0 else (0, 1))
    assert shop.tables() == folded(shop.history())


def test_what_is_discarded_changes_no_table_and_is_kept_with_who_and_why(shop: Shop) -> None:
    projector = shop.projector()
    shop.does(shop.created(1))
    shop.send(shop.order(1), b"poison")
    shop.does(CancelOrder(shop.order(1), "too late"))
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    before = shop.tables()
    first = shop.parking.first(shop.lab.hub, shop.order(1))
    assert first is not None
    shop.parking.discard(first, "Ada", "no event at all")
    assert shop.tables() == before
    gone = shop.lab.container("parked-events", "projector").read_item(first.place, partition_key=shop.order(1))
    assert (gone["discarded"]["by"], gone["discarded"]["why"]) == ("Ada", "no event at all")
    assert reasons(shop) == [BEHIND]
    with pytest.raises(NotParked):
        shop.parking.discard(first, "Ben", "again")
    shop.parking.park(shop.lab.hub, [Parked(first.arrival, shop.order(1), "delivered again")])
    assert reasons(shop) == [BEHIND]
    assert replayed(shop).applied == 1
    assert shop.tables() == folded(shop.history())


def test_behind_a_discarded_version_there_is_a_gap_until_that_version_is_sent_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with code_that_cannot_cancel(monkeypatch):
        projector = shop.projector()
        shop.does(shop.created(1), PayOrder(shop.order(1)), CancelOrder(shop.order(1), "too late"))
        shop.send(shop.order(1), to_json(life_of(shop.order(1))[3]))
        projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    cancelled, fourth = shop.parking.events(shop.order(1))
    shop.parking.discard(cancelled, "Ada", "a mistake")
    assert [event.reason for event in replayed(shop).parked] == ["gap: version 4 arrived while the row holds version 2"]
    shop.send(shop.order(1), to_json(history(shop.side.write_model, shop.order(1))[2]))
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    outcome = replayed(shop)
    assert outcome.applied == 2
    assert outcome.parked == ()
    assert shop.store.version_of(shop.order(1)) == 4
    assert fourth.reason == BEHIND


def test_events_are_replayed_by_version_but_none_passes_one_that_cannot_be_read() -> None:
    created, updated, paid, shipped = (to_json(event) for event in life_of())
    bodies = [shipped, updated, b"poison", paid, created]
    readings = [read(Arrival("0", number, body)) for number, body in enumerate(bodies)]
    assert [reading.arrival.sequence_number for reading in in_order(readings)] == [1, 0, 2, 4, 3]


def test_the_lane_lists_who_is_held_up_since_when_and_by_what(shop: Shop) -> None:
    times = iter([datetime(2026, 1, 5, hour, tzinfo=UTC) for hour in (12, 13, 14)])
    lane = ParkingLane(shop.lab.container("parked-events", "projector"), now=lambda: next(times))
    who = "order-20260105-list"
    lane.park("list", [Parked(Arrival("0", 7, b"x"), who, "gap"), Parked(Arrival("0", 9, b"y"), "", "what")])
    lane.park("list", [Parked(Arrival("0", 10, b"z"), who, BEHIND)])
    assert [(held.aggregate_id, held.events, held.first, held.reason) for held in lane.held("list")] == [
        (who, 2, "0-7", "gap"),
        ("", 1, "0-9", "what"),
    ]
    known = {who: 10, shop.order(2): 3}
    lane.refresh("list", known, [who, shop.order(2), shop.order(3)])
    assert known == {who: 7}


def test_nothing_is_settled_while_something_holds_it_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    parked_by_code(shop, monkeypatch)
    settle(shop.parking, shop.store, shop.lab.hub, [shop.order(1), shop.order(2)])
    assert reasons(shop) == ["cannot be applied"]
    assert shop.store.version_of(shop.order(1)) == 2
