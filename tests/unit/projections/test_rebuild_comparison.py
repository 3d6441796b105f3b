"""Two versions of the tables side by side: what counts as a difference, and what does not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from labkit.projections import comparison
from labkit.projections.comparison import Comparison, Difference, compared, same_figures
from labkit.projections.rows import CustomerRow, DayRow, OrderRow
from labkit.projections.tables import CUSTOMERS, DAILY_ORDER_METRICS, ORDERS, to_table
from tests.unit.projections.streams import CUSTOMER, NINE, ORDER

ROW = OrderRow(ORDER, CUSTOMER, "Created", 2, Decimal("29.00"), NINE, NINE, 1)
LATER = msgspec.structs.replace(ROW, version=2, status="Paid")
OTHER = msgspec.structs.replace(ROW, order_id="order-20260106-b", total=Decimal("0.10"))


def orders(*rows: OrderRow) -> pa.Table:
    return to_table(ORDERS, rows)


def nobody(aggregate_id: str, version: int) -> Mapping[str, Any] | None:
    raise AssertionError("no row is ahead")


def compare(in_use: pa.Table, rebuilt: pa.Table, at_version: Any = nobody) -> Comparison:
    return compared("orders", "order_id", in_use, rebuilt, at_version)


def test_equal_tables_in_another_order_do_not_differ() -> None:
    assert compare(orders(ROW, OTHER), orders(OTHER, ROW)) == Comparison(2, 0, 0, [])
    assert compare(orders(), orders()) == Comparison(0, 0, 0, [])


@pytest.mark.parametrize(
    "change",
    [
        {"total": Decimal("29.01")},
        {"status": "Paid"},
        {"item_count": 3},
        {"updated_at": NINE + dt.timedelta(microseconds=1)},
        {"customer_id": "customer-eve"},
    ],
    ids=str,
)
def test_any_column_of_a_row_can_differ(change: dict[str, Any]) -> None:
    (found,) = compare(orders(ROW, OTHER), orders(msgspec.structs.replace(ROW, **change), OTHER)).differences
    (column,) = change
    assert str(found).startswith(f"orders {ORDER}: {column} ")
    assert str(found).count("->") == 1


def test_a_row_that_only_one_side_has() -> None:
    missing = compare(orders(ROW, OTHER), orders(OTHER))
    assert [str(one) for one in missing.differences] == [f"orders {ORDER}: only in the used table"]
    assert compare(orders(OTHER), orders(ROW, OTHER)) == Comparison(1, 1, 0, [])


def test_a_rebuilt_row_that_is_ahead_is_folded_again_to_the_version_in_use() -> None:
    asked: list[tuple[str, int]] = []

    def then(aggregate_id: str, version: int) -> Mapping[str, Any]:
        asked.append((aggregate_id, version))
        return dict(orders(ROW).to_pylist()[0])

    assert compare(orders(ROW), orders(LATER), then) == Comparison(1, 1, 0, [])
    wrong = msgspec.structs.replace(ROW, total=Decimal("1.00"))
    (found,) = compare(orders(wrong), orders(LATER), then).differences
    assert str(found) == f"orders {ORDER}: total 1.00 -> 29.00"
    assert asked == [(ORDER, 1), (ORDER, 1)]


def test_a_rebuilt_row_that_is_behind_differs() -> None:
    (found,) = compare(orders(LATER), orders(ROW)).differences
    assert str(found) == f"orders {ORDER}: status Paid -> Created, version 2 -> 1"


def test_rows_too_many_to_look_up_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "LOOKED_UP_AT_MOST", 1)
    ahead = msgspec.structs.replace(OTHER, version=2)
    found = compare(orders(ROW, OTHER), orders(LATER, ahead), lambda *_: orders(ROW).to_pylist()[0])
    assert (found.ahead, found.unchecked, found.differences) == (2, 1, [])


def test_customers_are_compared_as_well() -> None:
    ada = CustomerRow(CUSTOMER, "Ada", NINE, 1)
    eve = msgspec.structs.replace(ada, name="Eve")
    (found,) = compared(
        "customers", "customer_id", to_table(CUSTOMERS, [ada]), to_table(CUSTOMERS, [eve]), nobody
    ).differences
    assert str(found) == f"customers {CUSTOMER}: name Ada -> Eve"


def test_figures_differ_in_both_directions() -> None:
    monday = DayRow(dt.date(2026, 1, 5), 2, 1, Decimal("9.00"), Decimal("9.00"), 2)
    empty = DayRow(dt.date(2026, 1, 6), 1, 1, Decimal("0.00"), None, 1)
    model = DAILY_ORDER_METRICS
    here, there = to_table(model, [monday, empty]), to_table(model, [msgspec.structs.replace(monday, orders=3)])
    assert same_figures("days", model.key, here, here).differences == []
    found = same_figures("days", model.key, here, there).differences
    assert [str(one) for one in found] == ["days 2026-01-05: orders 2 -> 3", "days 2026-01-06: only in the used table"]
    assert isinstance(found[0], Difference)
