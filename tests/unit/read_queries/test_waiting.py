"""When a write counts as visible, and what a look costs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from deltalake.exceptions import DeltaError

from labkit.problems import Problem
from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.rows import CustomerRow
from labkit.projections.tables import DAILY_ORDER_METRICS
from labkit.read_queries import questions, waiting
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Synapse
from labkit.read_queries.tables import Tables
from labkit.read_queries.waiting import Waiting
from tests.unit.read_queries.conftest import NINE

MINE = "order-20260105-a"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Of each question for versions, whose."""
    whose: list[set[str]] = []
    shown_of = questions.shown_of
    monkeypatch.setattr(
        questions,
        "shown_of",
        lambda names: whose.append(set(names)) or shown_of(names),  # type: ignore[func-returns-value]
    )
    return whose


async def looks(waits: Waiting, how_many: int) -> None:
    """Let so many looks be taken."""
    begun = {waits._next_at}
    while len(begun) < how_many + 2:
        await asyncio.sleep(0.001)
        begun.add(waits._next_at)


def test_all_who_wait_share_one_look_and_a_table_is_asked_once_for_each_of_its_versions(
    synapse: Synapse, tables: Any, asked: list[set[str]]
) -> None:
    tables.write([tables.an_order("a"), tables.an_order("b")])

    async def waited() -> None:
        waits = Waiting(60.0, synapse)
        orders = [MINE, "order-20260105-b", "order-20260105-c"]
        all_of_them = [asyncio.create_task(waits.until_visible(f"{order}@2", waits.in_tables)) for order in orders]
        await looks(waits, 4)
        assert asked == [set(orders)]
        tables.write([tables.an_order("a", version=2)])
        assert await all_of_them[0]
        await looks(waits, 4)
        assert [one.done() for one in all_of_them] == [True, False, False]
        assert asked == [set(orders), set(orders)]
        tables.write([tables.an_order("b", version=3), tables.an_order("c", version=2)])
        assert await asyncio.gather(*all_of_them) == [True, True, True]
        assert await waits.until_visible(f"{MINE}@1", waits.in_tables)

    asyncio.run(waited())


def test_an_app_that_is_served_again_has_another_event_loop(synapse: Synapse, tables: Any) -> None:
    tables.write([tables.an_order("a")])
    waits = Waiting(0.1, synapse)

    async def waited() -> list[bool]:
        first = [asyncio.create_task(waits.until_visible(f"{MINE}@{n}", waits.in_tables)) for n in (1, 2)]
        await asyncio.sleep(0)
        await looks(waits, 1)
        more = [asyncio.create_task(waits.until_visible(f"{MINE}@{n}", waits.in_tables)) for n in (1, 3)]
        return list(await asyncio.gather(*first, *more))

    assert [asyncio.run(waited()) for _ in range(2)] == [[True, False, True, False]] * 2


def test_a_look_that_hangs_holds_nobody_beyond_the_limit(synapse: Synapse) -> None:
    looked = []

    async def hanging(aggregate_id: str, version: int) -> bool:
        looked.append(aggregate_id)
        if len(looked) > 1:
            await asyncio.Event().wait()
        return False

    async def waited() -> bool:
        return await asyncio.wait_for(Waiting(0.1, synapse).until_visible(f"{MINE}@1", hanging), 20)

    assert not asyncio.run(waited())
    assert len(looked) == 2


def test_who_asks_again_for_what_was_shown_is_shown_it_again_and_who_was_missed_is_not_asked_for_again(
    synapse: Synapse, tables: Any, asked: list[set[str]]
) -> None:
    """A look can find what its only waiter no longer waits for: the next one must not take it for missed."""
    tables.write([tables.an_order("a")])

    async def waited() -> None:
        waits = Waiting(60.0, synapse)
        missed = asyncio.create_task(waits.until_visible("order-20260105-b@1", waits.in_tables))
        await looks(waits, 2)
        for _ in range(2):
            assert await waits.until_visible(f"{MINE}@1", waits.in_tables)
        assert asked == [{"order-20260105-b"}, {MINE}, {MINE}]
        missed.cancel()

    asyncio.run(waited())


def test_a_commit_in_the_middle_of_a_look_leaves_all_who_wait_together(
    synapse: Synapse, tables: Any, asked: list[set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {MINE, "order-20260105-b"}
    tables.write([tables.an_order("a"), tables.an_order("b")])
    waits, now = Waiting(60.0, synapse), Tables.now
    commits = [[tables.an_order("a", version=2), tables.an_order("b", version=2)]]

    def overtaken(self: Tables, names: Collection[str]) -> Any:
        found = now(self, names)
        if commits:
            tables.write(commits.pop())
        return found

    wanted = {(order, 2) for order in both}
    assert waits._shown(wanted) == {}
    monkeypatch.setattr(Tables, "now", overtaken)
    assert waits._shown(wanted) == {}
    assert waits._shown(wanted).keys() == wanted
    assert asked == [both, both]


def test_orders_of_several_days_and_customers_are_each_looked_for_where_they_are(
    synapse: Synapse, tables: Any, asked: list[set[str]]
) -> None:
    tables.write([tables.an_order("a"), tables.an_order("b", day=6), CustomerRow("customer-1", "Ada", NINE, 1)])
    tokens = (f"{MINE}@1", "order-20260106-b@1", "customer-1@1")

    async def waited() -> list[bool]:
        waits = Waiting(60.0, synapse)
        return await asyncio.gather(*(waits.until_visible(token, waits.in_tables) for token in tokens))

    assert asyncio.run(waited()) == [True, True, True]
    assert sorted(map(len, asked)) == [1, 1, 1]


def test_who_waited_for_an_order_has_it_with_that_look_and_who_waited_for_another_asks(
    synapse: Synapse, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write([tables.an_order("a", version=3), tables.an_order("b", "12.00")])
    questions_asked: list[str] = []
    answer = Synapse.answer
    monkeypatch.setattr(
        Synapse,
        "answer",
        lambda self, tsql, *rest, **more: questions_asked.append(tsql) or answer(self, tsql, *rest, **more),
    )

    async def told(order: str, token: str) -> httpx.Response:
        transport = httpx.ASGITransport(query_app(synapse, None, "hub"))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            return await http.get(f"/orders/{order}", headers={"If-Version-At-Least": token})

    mine, other = asyncio.run(told(MINE, f"{MINE}@2")), asyncio.run(told("order-20260105-b", f"{MINE}@2"))
    assert (mine.json()["version"], mine.headers["Version-Token"]) == (3, f"{MINE}@3")
    assert (other.json()["total"], other.headers["Version-Token"]) == ("12.00", "order-20260105-b@1")
    assert len(questions_asked) == 1 + 2


def test_a_look_that_fails_is_told_to_all_who_wait_and_the_next_one_is_taken_anew(
    synapse: Synapse, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write([tables.an_order("a")])

    def broken(*_: object, **__: object) -> None:
        raise DeltaError("torn")

    async def waited() -> None:
        waits = Waiting(60.0, synapse)
        with monkeypatch.context() as patched:
            patched.setattr(Synapse, "answer", broken)
            both = (waits.until_visible(f"{MINE}@{version}", waits.in_tables) for version in (1, 2))
            assert [str(error) for error in await asyncio.gather(*both, return_exceptions=True)] == ["torn", "torn"]
        assert await waits.until_visible(f"{MINE}@1", waits.in_tables)

    asyncio.run(waited())


def test_a_day_of_no_calendar_is_refused_before_anybody_waits(synapse: Synapse) -> None:
    waits = Waiting(60.0, synapse)
    with pytest.raises(Problem, match="no calendar"):
        asyncio.run(waits.until_visible("order-20261345-a@1", waits.in_tables))


def test_who_waits_longer_than_may_be_is_told_so(synapse: Synapse, tables: Any) -> None:
    tables.write([tables.an_order("a")])

    async def waited() -> None:
        waits = Waiting(0.0, synapse)
        assert not await waits.until_visible(f"{MINE}@2", waits.in_tables)
        assert await waits.until_visible(f"{MINE}@1", waits.in_tables), "there is one look, however little time"
        assert await waits.until_visible(f"{MINE}@1", waits.in_figures())

    asyncio.run(waited())


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

    async def waited() -> None:
        waits, looked_in_vain = Waiting(60.0, synapse), asyncio.Event()
        look = waits.in_figures()

        async def noted(aggregate_id: str, version: int) -> object:
            if not (found := await look(aggregate_id, version)):
                looked_in_vain.set()
            return found

        figures = asyncio.create_task(waits.until_visible(f"{MINE}@2", noted))
        assert await waits.until_visible(f"{MINE}@2", waits.in_tables)
        await looked_in_vain.wait()
        assert not figures.done()
        tables.store.commit(replay)
        assert await figures

    asyncio.run(waited())
    (revenue,) = synapse.answer("SELECT revenue FROM dbo.vw_daily_order_metrics").rows["revenue"].to_pylist()
    assert str(revenue) == "12.00"


def test_a_look_that_is_charged_is_taken_four_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds of waiting on a clock of the test's own, which other threads' loops do not move."""
    clock, looks_taken = [0.0], [0]

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    def version_of(customer_id: str, order_id: str) -> int:
        looks_taken[0] += 1
        return int(clock[0] >= 10.0)

    async def waited() -> None:
        container: Any = SimpleNamespace(version_of=version_of)
        look = waiting.in_query_container(container, "customer-1")
        while not await look(MINE, 1):
            pass

    monkeypatch.setattr(waiting, "asyncio", SimpleNamespace(sleep=sleep))
    asyncio.run(waited())
    assert looks_taken[0] == 41
