"""Rows of orders to commit, and what a table then holds."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from labkit.projections.read_store import ReadStore
from labkit.projections.rows import OrderRow
from labkit.projections.tables import (
    ReadModel,
    contents,
)
from tests.unit.projections.streams import CUSTOMER, NINE

MONDAY = date(2026, 1, 5)


def order(
    suffix: str, total: str = "10.00", version: int = 1, status: str = "Created", day: str = "20260105"
) -> OrderRow:
    return OrderRow(f"order-{day}-{suffix}", CUSTOMER, status, 1, Decimal(total), NINE, NINE, version)


def rows(store: ReadStore, model: ReadModel) -> list[dict[str, object]]:
    return contents(store.table(model), model).sort_by(model.key).to_pylist()
