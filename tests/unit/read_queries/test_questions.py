"""The questions of notebook 04 and the query API."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from labkit.read_queries import questions
from labkit.read_queries.synapse import FilesRead, Synapse

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
    assert synapse.files_read(question.tsql, question.parameters) == FilesRead(2, 11)


@pytest.mark.usefixtures("ten_days")
def test_an_order_that_does_not_exist_is_no_row_and_an_id_without_a_day_is_an_error(synapse: Synapse) -> None:
    assert len(questions.order_summary("order-20260103-none").ask(synapse)) == 0
    with pytest.raises(ValueError, match="no order id"):
        questions.order_summary("4711")


@pytest.mark.usefixtures("ten_days")
def test_pages_follow_one_another_without_gap_or_overlap_and_end_empty(synapse: Synapse) -> None:
    pages = [
        questions.orders_between(FIRST, LAST, "Created", page=page, page_size=8).ask(synapse)["order_id"].tolist()
        for page in (1, 2, 3, 4)
    ]
    assert [len(page) for page in pages] == [8, 8, 4, 0]
    assert [order for page in pages for order in page] == sorted(
        f"order-202601{day:02}-{n}" for day in range(1, 11) for n in (0, 3)
    )


@pytest.mark.parametrize(("page", "size"), [(0, 10), (-1, 10), (1, 0), (1, questions.LARGEST_PAGE + 1)])
def test_a_page_that_cannot_be_is_refused(page: int, size: int) -> None:
    with pytest.raises(ValueError, match="pages count from 1"):
        questions.orders_between(FIRST, LAST, page=page, page_size=size)


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
