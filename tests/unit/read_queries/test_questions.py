"""The questions of notebook 04 and the query API."""

from __future__ import annotations

import shutil
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from labkit.projections import pointer
from labkit.projections.pointer import Pointer
from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.upkeep import Upkeep, keep
from labkit.read_queries import questions
from labkit.read_queries.synapse import FilesRead, Hub, Synapse

FIRST, LAST = date(2026, 1, 1), date(2026, 1, 31)


@pytest.fixture
def ten_days(tables: Any) -> None:
    statuses = ["Created", "Paid", "Cancelled"]
    made = [
        tables.an_order(f"{n}", f"{n * n}.00", day=day, customer=f"customer-{n % 2}", status=statuses[n % 3])
        for day in range(1, 11)
        for n in range(6)
    ]
    tables.write([*made, tables.a_customer("0", "Ada")])


@pytest.mark.usefixtures("ten_days")
def test_one_order_is_looked_for_in_the_files_of_its_day_only(synapse: Synapse) -> None:
    question = questions.order_summary("order-20260103-4")
    answer = question.ask(synapse)
    assert answer[["order_id", "customer_name", "total"]].values.tolist() == [
        ["order-20260103-4", "Ada", Decimal("16.00")]
    ]
    assert question.files_read(synapse) == FilesRead(2, 11)


@pytest.mark.usefixtures("ten_days")
def test_an_order_that_does_not_exist_is_no_row_and_an_id_without_a_day_is_an_error(synapse: Synapse) -> None:
    assert len(questions.order_summary("order-20260103-none").ask(synapse)) == 0
    with pytest.raises(ValueError, match="no order id"):
        questions.order_summary("4711")


def pages(synapse: Synapse, size: int) -> list[list[str]]:
    """Each page, asked for by the last id of the one before, and the empty one at the end."""
    read = [questions.orders_between(FIRST, LAST, "Created", page_size=size).ask(synapse)["order_id"].tolist()]
    while read[-1]:
        after = questions.orders_between(FIRST, LAST, "Created", after=read[-1][-1], page_size=size)
        read.append(after.ask(synapse)["order_id"].tolist())
    return read


@pytest.mark.usefixtures("ten_days")
def test_pages_follow_one_another_without_gap_or_overlap_and_end_empty(synapse: Synapse) -> None:
    read = pages(synapse, 8)
    assert [len(page) for page in read] == [8, 8, 4, 0]
    assert [order for page in read for order in page] == sorted(
        f"order-202601{day:02}-{n}" for day in range(1, 11) for n in (0, 3)
    )


@pytest.mark.usefixtures("ten_days")
def test_an_order_that_is_made_between_two_pages_moves_no_other(synapse: Synapse, tables: Any) -> None:
    first = questions.orders_between(FIRST, LAST, page_size=10).ask(synapse)["order_id"].tolist()
    tables.write([tables.an_order("00", day=1)])
    second = questions.orders_between(FIRST, LAST, after=first[-1], page_size=10).ask(synapse)["order_id"].tolist()
    assert second == [f"order-202601{day:02}-{n}" for day, n in [(2, 4), (2, 5), *((3, n) for n in range(6))]] + [
        "order-20260104-0",
        "order-20260104-1",
    ]


@pytest.mark.usefixtures("ten_days")
def test_a_page_opens_no_file_of_a_day_before_the_one_that_it_goes_on_from(synapse: Synapse) -> None:
    page = questions.orders_between(FIRST, date(2026, 1, 9), after="order-20260108-2")
    assert page.ask(synapse)["created_day"].unique().tolist() == [date(2026, 1, 8), date(2026, 1, 9)]
    assert page.files_read(synapse) == FilesRead(3, 11)


def test_a_page_after_what_is_no_order_is_refused() -> None:
    with pytest.raises(ValueError, match="no order id"):
        questions.orders_between(FIRST, LAST, after="' OR 1 = 1 --")


@pytest.mark.usefixtures("ten_days")
def test_a_customers_orders_are_those_of_all_days(synapse: Synapse) -> None:
    assert len(questions.customer_orders("customer-1").ask(synapse)) == 30
    assert len(questions.customer_orders("customer-9").ask(synapse)) == 0


@pytest.mark.usefixtures("ten_days")
def test_the_best_customers_come_by_revenue_of_orders_not_cancelled(synapse: Synapse) -> None:
    answer = questions.best_customers(5).ask(synapse)
    assert answer[["customer_id", "orders", "cancelled", "revenue"]].values.tolist() == [
        ["customer-0", 30, 10, Decimal("160.00")],
        ["customer-1", 30, 10, Decimal("100.00")],
    ]


@pytest.mark.usefixtures("ten_days")
def test_the_days_figures_are_the_same_asked_of_the_orders_and_of_the_derived_table(synapse: Synapse) -> None:
    between = (date(2026, 1, 3), date(2026, 1, 5))
    asked = questions.daily_metrics(*between).ask(synapse)
    assert asked["day"].tolist() == [date(2026, 1, day) for day in (3, 4, 5)]
    pd.testing.assert_frame_equal(asked, questions.derived_daily_metrics(*between).ask(synapse))


@pytest.mark.usefixtures("ten_days")
def test_an_answer_tells_the_version_of_each_table_and_how_far_that_had_read_the_hub(tables: Any) -> None:
    with Synapse(str(tables.folder), hub=Hub("hub", ("0", "1"))) as synapse:
        question = questions.order_summary("order-20260103-4")
        before = question.ask(synapse).attrs
        tables.write([])
        after = question.ask(synapse).attrs
    assert before["positions"] == {"orders": {"0": 1, "1": -1}, "customers": {"0": 1, "1": -1}}
    assert after["positions"] == {"orders": {"0": 2, "1": -1}, "customers": {"0": 2, "1": -1}}
    assert {name: after["table_versions"][name] - 1 for name in ("orders", "customers")} == before["table_versions"]
    assert before["as_of"] < after["as_of"]


@pytest.mark.usefixtures("ten_days")
def test_upkeep_makes_no_answer_fresher_than_its_rows(synapse: Synapse, tables: Any) -> None:
    question = questions.daily_metrics(FIRST, LAST)
    tables.write([tables.an_order("more", day=1)])
    before = question.ask(synapse)
    keep(tables.store, Upkeep(every_commits=1, retention_seconds=0))
    after = question.ask(synapse)
    assert after.attrs["table_versions"]["orders"] > before.attrs["table_versions"]["orders"]
    assert after.attrs["as_of"] == before.attrs["as_of"]
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.usefixtures("ten_days")
def test_questions_follow_the_pointer_to_other_tables_and_back(synapse: Synapse, tables: Any) -> None:
    question = questions.derived_daily_metrics(FIRST, LAST)
    assert len(question.ask(synapse)) == 10
    other = ReadStore(str(tables.folder), folder="rebuilt")
    other.commit(Batch("hub", {"0": 1}, [tables.an_order("a")], {date(2026, 1, 5)}))
    for pointed, days in ((Pointer("rebuilt", ""), 1), (Pointer("", "rebuilt"), 10)):
        pointer.write(str(tables.folder), pointed)
        assert len(question.ask(synapse)) == days


@pytest.mark.usefixtures("ten_days")
def test_files_that_are_deleted_after_they_were_looked_up_are_looked_up_again(
    synapse: Synapse, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a rebuild deletes the tables of before in the middle of a question."""
    question, run, moved = questions.daily_metrics(FIRST, LAST), Synapse._run, iter([True])

    def slow(self: Synapse, *arguments: Any) -> Any:
        if next(moved, False):
            shutil.copytree(tables.folder / "orders", tables.folder / "rebuilt" / "orders")
            pointer.write(str(tables.folder), Pointer("rebuilt", ""))
            shutil.rmtree(tables.folder / "orders")
        return run(self, *arguments)

    monkeypatch.setattr(Synapse, "_run", slow)
    assert len(question.ask(synapse)) == 10
