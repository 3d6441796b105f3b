"""Read models written by the projector's own read store, for the queries to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from labkit.projections.folds import CustomerRow, OrderRow, Row
from labkit.projections.read_store import Batch, ReadStore
from labkit.read_queries.synapse import Synapse

NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)


class Tables:
    """A read store with one pretended hub partition; `write` is one batch of the projector."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = ReadStore(str(folder))
        self._sequence = 0

    @staticmethod
    def an_order(
        suffix: str,
        total: str = "10.00",
        *,
        day: int = 5,
        customer: str = "customer-1",
        status: str = "Created",
        at: datetime | None = None,
        version: int = 1,
    ) -> OrderRow:
        made = at or NINE + timedelta(days=day - 5)
        return OrderRow(f"order-202601{day:02}-{suffix}", customer, status, 1, Decimal(total), made, made, version)

    @staticmethod
    def a_customer(suffix: str, name: str) -> CustomerRow:
        return CustomerRow(f"customer-{suffix}", name, NINE, 1)

    def write(self, rows: Iterable[Row]) -> None:
        rows = tuple(rows)
        self._sequence += 1
        days = {row.created_day for row in rows if isinstance(row, OrderRow)}
        self.store.commit(Batch("hub", {"0": self._sequence}, rows, days))


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path / "read models")


@pytest.fixture
def synapse(tables: Tables) -> Iterator[Synapse]:
    with Synapse(str(tables.folder)) as opened:
        yield opened
