"""What a crash between two commits leaves, and what events that come again change: nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from labkit.projections.folds import Arrival, fold, read
from labkit.projections.projection import project
from labkit.projections.read_store import ReadStore
from labkit.projections.rows import OrderRow, Row
from labkit.projections.tables import (
    ORDERS,
    READ_MODELS,
    merge,
)
from tests.unit.projections.read_store.orders import MONDAY, rows
from tests.unit.projections.streams import CUSTOMER, ORDER, arrivals, event, life_of


class Killed(Exception):
    """The process ends here."""


class Lane:
    """A lane that expects so many events in all."""

    def __init__(self, expects: int = 0) -> None:
        self.expects = expects

    def park(self, hub: str, events: list[object]) -> None:
        self.expects -= len(events)
        assert self.expects >= 0


HISTORY = arrivals(
    event(CUSTOMER, 1, "CustomerRegistered", {"name": "Ada"}),
    *life_of(),
    *life_of("order-20260106-b")[:2],
    event("order-20260106-b", 3, "OrderCancelled", {"reason": "changed mind"}),
    *life_of()[1:3],
)


def expected() -> dict[str, Row]:
    return fold([read(arrival) for arrival in HISTORY], {}, {}).rows


def shown(store: ReadStore) -> dict[str, list[dict[str, object]]]:
    return {model.name: rows(store, model) for model in READ_MODELS}


@pytest.mark.parametrize("dies_after", [0, 1, 2], ids=["before the first commit", "after orders", "after customers"])
@pytest.mark.parametrize("batch", [1, 4, 6])
def test_a_crash_between_two_commits_is_healed_by_reading_on_from_the_lowest_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: int, batch: int
) -> None:
    whole = ReadStore(str(tmp_path / "whole"))
    project(HISTORY, whole, Lane(), "hub", {})
    store = ReadStore(str(tmp_path / "killed"))
    project(HISTORY[:batch], store, Lane(), "hub", {})
    commit, left = ReadStore._commit, [dies_after]

    def dying(self: ReadStore, *args: object) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        commit(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(ReadStore, "_commit", dying)
        with pytest.raises(Killed):
            project(HISTORY[batch : batch + 4], store, Lane(), "hub", {})

    again = ReadStore(store.tables_url)
    begin = min(positions["0"] for positions in again.positions("hub", ["0"]).values())
    assert begin < len(HISTORY) - 1
    project(HISTORY[begin + 1 :][:3], again, Lane(), "hub", {})
    project(HISTORY[begin + 1 :], again, Lane(), "hub", {})
    assert shown(again) == shown(whole)
    assert again.orders(list(expected()), {MONDAY, MONDAY + timedelta(days=1)}) == {
        who: row for who, row in expected().items() if isinstance(row, OrderRow)
    }


def test_the_same_batch_twice_changes_no_table_and_makes_no_commit(store: ReadStore) -> None:
    project(HISTORY, store, Lane(), "hub", {})
    versions = {model.name: store.table(model).version() for model in READ_MODELS}
    outcome = project(HISTORY, store, Lane(), "hub", {})
    assert (outcome.applied, outcome.dropped) == (0, 0)
    assert {model.name: store.table(model).version() for model in READ_MODELS} == versions


def test_what_was_parked_before_a_half_commit_is_not_parked_again(store: ReadStore) -> None:
    poison = arrivals(b"half an ev")
    merge(store.table(ORDERS), ORDERS.schema.empty_table(), "false", None, {"orders/hub/0": 0})
    project(poison, store, Lane(expects=0), "hub", {})
    assert store.positions("hub", ["0"])["daily_order_metrics"] == {"0": 0}
    lane = Lane(expects=1)
    project(arrivals(b"another", first=1), store, lane, "hub", {})
    assert lane.expects == 0


def test_events_sent_again_under_new_sequence_numbers_change_no_figure(store: ReadStore) -> None:
    project(HISTORY, store, Lane(), "hub", {})
    before = shown(store)
    again = [Arrival(one.hub_partition, one.sequence_number + len(HISTORY), one.body, one.named) for one in HISTORY]
    outcome = project(again, store, Lane(), "hub", {})
    assert (outcome.applied, outcome.dropped) == (0, len(HISTORY))
    assert shown(store) == before


def test_each_hub_partition_moves_by_itself(store: ReadStore) -> None:
    left, right = arrivals(*life_of()), arrivals(*life_of("order-20260105-b"), partition="1", first=40)
    project([*left[:2], *right], store, Lane(), "hub", {})
    project(left[2:], store, Lane(), "hub", {})
    assert store.positions("hub", ["0", "1"])["daily_order_metrics"] == {"0": 3, "1": 43}
    assert [row["version"] for row in rows(store, ORDERS)] == [4, 4]


def test_the_order_of_ids_asked_for_does_not_matter(store: ReadStore) -> None:
    project(HISTORY, store, Lane(), "hub", {})
    assert set(store.orders([ORDER, "order-20260105-none"], {MONDAY})) == {ORDER}
    assert store.orders([], set()) == {}
