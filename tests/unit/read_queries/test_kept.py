"""Whole answers that are kept: always what the T-SQL of the question itself finds, and never an answer of yesterday."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from labkit.projections.upkeep import Upkeep, keep
from labkit.read_queries import kept, questions
from labkit.read_queries.kept import Kept
from labkit.read_queries.questions import Question
from labkit.read_queries.synapse import Synapse
from labkit.read_queries.tables import TableVersion

FOURTH, FIFTH = date(2026, 1, 4), date(2026, 1, 5)
STATUSES = ["Created", "Paid", "Cancelled"]

ASKED: dict[str, Callable[[], Question]] = {
    "an order": lambda: questions.order_of_day("order-20260105-03"),
    "the first order": lambda: questions.order_of_day("order-20260105-00"),
    "the last order": lambda: questions.order_of_day("order-20260105-A"),
    "no order": lambda: questions.order_of_day("order-20260105-030"),
    "a page": lambda: questions.orders_between(FIFTH, FIFTH, page_size=7),
    "the next page": lambda: questions.orders_between(FIFTH, FIFTH, after="order-20260105-06", page_size=7),
    "after what is not there": lambda: questions.orders_between(FIFTH, FIFTH, after="order-20260105-060"),
    "the page after the last": lambda: questions.orders_between(FIFTH, FIFTH, after="order-20260105-A"),
    "a page of a status": lambda: questions.orders_between(FIFTH, FIFTH, "Paid", page_size=3),
    "the rest of a status": lambda: questions.orders_between(FIFTH, FIFTH, "Paid", after="order-20260105-04"),
    "the last day's rest of two": lambda: questions.orders_between(FOURTH, FIFTH, after="order-20260105-06"),
    "the figures of a day": lambda: questions.derived_daily_metrics(FIFTH, FIFTH),
    "the figures of some days": lambda: questions.derived_daily_metrics(date(2026, 1, 3), date(2026, 1, 9)),
    "the figures of days without any": lambda: questions.derived_daily_metrics(date(2027, 1, 1), date(2027, 1, 2)),
}


class Counted(Synapse):
    """How often T-SQL was run."""

    runs = 0

    def _run(self, *given: Any) -> Any:
        self.runs += 1
        return super()._run(*given)


@pytest.fixture
def counted(tables: Any) -> Any:
    orders = [
        tables.an_order(f"{n:02}", f"{n}.10", day=day, customer=f"customer-{n % 3}", status=STATUSES[n % 3])
        for day in (3, 4, 5)
        for n in reversed(range(20))
    ]
    tables.write(orders[1::2])
    tables.write([*orders[::2], tables.an_order("A"), tables.a_customer("0", "Ada"), tables.a_customer("2", "Zoë")])
    with Counted(str(tables.folder)) as synapse:
        yield synapse


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_part_of_a_kept_answer_is_what_the_t_sql_of_the_part_finds(
    asked: Callable[[], Question], counted: Counted
) -> None:
    answers = Kept(counted)
    found = [answers.answer(asked()) for _ in range(3)]
    assert counted.runs == 1
    expected = asked().answer(counted)
    assert [one.rows.to_pylist() for one in found] == [expected.rows.to_pylist()] * 3
    assert {one.rows.schema for one in found} == {expected.rows.schema}
    assert {str((one.versions, one.positions, one.as_of)) for one in found} == {
        str((expected.versions, expected.positions, expected.as_of))
    }


def test_orders_of_more_days_than_one_are_found_each_time(counted: Counted) -> None:
    answers = Kept(counted)
    for _ in range(3):
        assert answers.answer(questions.orders_between(FOURTH, FIFTH, page_size=30)).rows.num_rows == 30
    assert counted.runs == 3


def test_a_commit_to_an_order_of_the_day_or_to_a_name_is_seen_and_any_other_runs_nothing(
    counted: Counted, tables: Any
) -> None:
    answers = Kept(counted)

    def told() -> tuple[Any, ...]:
        answer = answers.answer(questions.order_of_day("order-20260105-00"))
        (row,) = answer.rows.to_pylist()
        return row["version"], row["customer_name"], answer.versions["orders"]

    _, _, version = told()
    tables.write([tables.an_order("new", day=4)])
    assert (told(), counted.runs) == ((1, "Ada", version + 1), 1)
    tables.write([tables.an_order("00", customer="customer-0", version=2)])
    assert (told(), counted.runs) == ((2, "Ada", version + 2), 2)
    tables.write([tables.a_customer("1", "Bea")])
    assert (told()[:2], counted.runs) == ((2, "Ada"), 3)
    keep(tables.store, Upkeep(retention_seconds=0))
    assert told()[:2] == (2, "Ada")


def test_rows_of_a_commit_that_came_after_the_look_at_the_log_are_not_taken_for_those_of_before(
    counted: Counted, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, seen = Kept(counted), counted.tables_of(questions.SUMMARY)
    tables.write([tables.an_order("03", version=2)])
    monkeypatch.setattr(counted, "tables_of", lambda tsql: seen)
    for _ in range(2):
        found = answers.answer(questions.order_of_day("order-20260105-03"))
        assert found.rows["version"].to_pylist() == [2]
        assert found.versions["orders"] == seen["orders"].version + 1


def test_a_whole_is_found_only_when_so_many_parts_were_asked_for_that_it_would_have_cost_no_more(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "ROWS_PER_QUESTION", 7)  # 21 orders
    answers, runs = Kept(counted), []
    for _ in range(5):
        answers.answer(questions.order_of_day("order-20260105-03"))
        runs.append(counted.runs)
    assert runs == [1, 2, 3, 3, 3]


@pytest.mark.parametrize("told", [True, False])
def test_a_whole_that_is_too_large_or_whose_files_do_not_tell_how_large_it_is_is_never_kept(
    told: bool, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told:
        monkeypatch.setattr(kept, "ROWS_AT_MOST", 20)
    else:
        monkeypatch.setattr(TableVersion, "rows", lambda table, days=None: None)
    answers = Kept(counted)
    for _ in range(4):
        assert answers.answer(questions.order_of_day("order-20260105-03")).rows.num_rows == 1
    assert counted.runs == 4


def test_nothing_is_kept_of_days_without_orders_of_which_there_is_no_end(counted: Counted) -> None:
    answers = Kept(counted)
    answers.answer(questions.order_of_day("order-20260105-03"))
    for day in (9, 10, 11):
        assert answers.answer(questions.order_of_day(f"order-202601{day:02}-03")).rows.num_rows == 0
    assert len(answers._wholes) == 1


def test_what_was_asked_for_longest_ago_goes_first_when_there_is_no_more_room(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Kept(counted)
    monkeypatch.setattr(kept, "ALL_ROWS_AT_MOST", 50)  # 20 or 21 on a day

    def runs_for(day: int) -> int:
        before = counted.runs
        answers.answer(questions.order_of_day(f"order-202601{day:02}-03"))
        return counted.runs - before

    assert [runs_for(day) for day in (3, 4, 3, 5, 3, 4, 5)] == [1, 1, 0, 1, 0, 1, 1]
