"""Rows to Arrow and back, and what a worker of another engine has to import for it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from labkit.projections.folds import HIGHEST_TOTAL
from labkit.projections.rows import CUSTOMER_COLUMNS, ORDER_COLUMNS, CustomerRow, OrderRow, from_arrow, to_arrow

INSTANTS = st.datetimes(timezones=st.just(UTC))
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ORDERS = st.builds(
    OrderRow,
    order_id=st.dates().map(lambda day: f"order-{day.year:04}{day:%m%d}-x"),
    customer_id=NAMES,
    status=st.sampled_from(["Created", "Paid", "Shipped", "Cancelled"]),
    item_count=st.integers(0, 100),
    total=st.decimals(0, HIGHEST_TOTAL, places=2),
    created_at=INSTANTS,
    updated_at=INSTANTS,
    version=st.integers(1, 2**62),
)
CUSTOMERS = st.builds(CustomerRow, customer_id=NAMES, name=NAMES, registered_at=INSTANTS, version=st.integers(1, 2**62))


@given(st.lists(ORDERS, max_size=5))
def test_orders_come_back_from_arrow_as_they_went(rows: list[OrderRow]) -> None:
    table = to_arrow(ORDER_COLUMNS, rows)
    assert table.schema.equals(ORDER_COLUMNS)
    assert from_arrow(OrderRow, table) == rows
    assert table["created_day"].to_pylist() == [row.created_day for row in rows]


@given(st.lists(CUSTOMERS, max_size=5))
def test_customers_come_back_from_arrow_as_they_went(rows: list[CustomerRow]) -> None:
    assert from_arrow(CustomerRow, to_arrow(CUSTOMER_COLUMNS, rows)) == rows


def test_money_with_three_places_does_not_fit_the_column() -> None:
    row = OrderRow("order-20260105-x", "c", "Created", 1, Decimal("0.001"), datetime.now(UTC), datetime.now(UTC), 1)
    try:
        to_arrow(ORDER_COLUMNS, [row])
    except ValueError:
        return
    raise AssertionError("a fraction of a cent was taken")


def test_a_worker_of_another_engine_imports_the_folds_without_delta_the_sdks_or_duckdb() -> None:
    code = (
        "import sys, labkit.projections.folds, labkit.projections.rows\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "sys.exit(', '.join(loaded & {'deltalake', 'azure', 'duckdb', 'pandas', 'fastapi', 'localazure'}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
