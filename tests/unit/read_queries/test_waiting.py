"""When a write counts as visible, and what a look costs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.tables import DAILY_ORDER_METRICS
from labkit.read_queries import waiting
from labkit.read_queries.synapse import Synapse
from labkit.read_queries.waiting import in_figures, in_tables

MINE = "order-20260105-a"


def test_a_table_is_asked_once_for_each_of_its_versions_however_often_one_looks(
    synapse: Synapse, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answer = Synapse.answer
    monkeypatch.setattr(
        Synapse, "answer", lambda self, tsql, *rest, **more: asked.append(tsql) or answer(self, tsql, *rest, **more)
    )
    tables.write([tables.an_order("a")])
    visible = in_tables(synapse)
    assert not any(visible(MINE, 2) for _ in range(5))
    tables.write([tables.an_order("b")])
    assert not any(visible(MINE, 2) for _ in range(5))
    assert len(asked) == 2
    tables.write([tables.an_order("a", version=2)])
    assert visible(MINE, 2)


def test_figures_after_a_replay_wait_for_the_replays_own_commit(
    synapse: Synapse, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay moves no position: the orders show its rows while the figures are still those of before."""
    tables.write([tables.an_order("a")])
    parked = tables.an_order("a", "12.00", version=2)
    replay = Batch("hub", {}, [parked], {parked.created_day}, {f"parked/{MINE}": 2})
    commit = ReadStore._commit

    def killed_before_the_figures(self: ReadStore, model: Any, *rest: Any) -> None:
        if model is not DAILY_ORDER_METRICS:
            commit(self, model, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(ReadStore, "_commit", killed_before_the_figures)
        tables.store.commit(replay)
    visible = in_figures(synapse)
    assert in_tables(synapse)(MINE, 2)
    assert not visible(MINE, 2)
    tables.store.commit(replay)
    assert visible(MINE, 2)
    (revenue,) = synapse.answer("SELECT revenue FROM dbo.vw_daily_order_metrics").rows["revenue"].to_pylist()
    assert str(revenue) == "12.00"


@pytest.mark.parametrize(("longest", "looks"), [((), 201), ((waiting.LONGEST_BETWEEN_READS_SECONDS,), 44)])
def test_a_look_that_is_charged_is_taken_four_times_a_second_and_one_at_a_table_twenty_times(
    longest: tuple[float, ...], looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds of waiting on a clock of the test's own."""
    clock = [0.0]

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(waiting.asyncio, "sleep", sleep)
    monkeypatch.setattr(waiting.time, "monotonic", lambda: clock[0])
    asked: list[str] = []
    wait = waiting.Waiting(10.0).until_visible(f"{MINE}@2", lambda order, _: bool(asked.append(order)), *longest)
    assert asyncio.run(wait) is False
    assert abs(len(asked) - looks) <= 2
