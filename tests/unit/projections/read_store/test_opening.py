"""Opening tables: several at once, of an older labkit, in a data lake."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.tables import (
    ORDERS,
    contents,
    merge,
    to_table,
)
from tests.unit.projections.read_store.orders import MONDAY, order, rows


def test_of_several_that_open_at_once_where_nothing_is_none_is_refused(tmp_path: Path) -> None:
    for number in range(10):
        together = threading.Barrier(4)

        def opened(_: int, url: str = str(tmp_path / str(number)), together: threading.Barrier = together) -> int:
            together.wait(60)
            return contents(ReadStore(url).table(ORDERS), ORDERS).num_rows

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(opened, range(4))) == [0] * 4


def older_table(folder: Path) -> None:
    """`orders` as a labkit made it that did not know the number of items, with one order in it."""
    known = [column for column in ORDERS.schema if column.name != "item_count"]
    table = DeltaTable.create(f"{folder}/orders", pa.schema(known), partition_by=["created_day"])
    rows = to_table(ORDERS, [order("old")]).select([column.name for column in known])
    merge(table, rows, "t.order_id = s.order_id", None, {"orders/hub/0": 3})


def test_a_column_that_came_later_is_added_at_opening_and_nothing_is_rebuilt(tmp_path: Path) -> None:
    older_table(tmp_path)
    store = ReadStore(str(tmp_path))
    assert {field.name for field in store.table(ORDERS).schema().fields} == set(ORDERS.schema.names)
    assert store.positions("hub", ["0"])["orders"] == {"0": 3}
    store.commit(Batch("hub", {"0": 4}, [order("new"), order("old", version=2)], {MONDAY}))
    assert [(row["order_id"][-3:], row["item_count"], row["version"]) for row in rows(store, ORDERS)] == [
        ("new", 1, 1),
        ("old", 1, 2),
    ]
    version = store.table(ORDERS).version()
    assert ReadStore(str(tmp_path)).table(ORDERS).version() == version


def test_of_several_that_open_older_tables_at_once_none_is_refused(tmp_path: Path) -> None:
    for number in range(10):
        older_table(tmp_path / str(number))
        together = threading.Barrier(4)

        def opened(_: int, url: str = str(tmp_path / str(number)), together: threading.Barrier = together) -> int:
            together.wait(60)
            return len(ReadStore(url).table(ORDERS).schema().fields)

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(opened, range(4))) == [len(ORDERS.schema)] * 4


def test_what_an_older_labkit_wrote_reads_as_null_in_the_new_column(tmp_path: Path) -> None:
    older_table(tmp_path)
    assert contents(DeltaTable(f"{tmp_path}/orders"), ORDERS)["item_count"].to_pylist() == [None]
    assert contents(ReadStore(str(tmp_path)).table(ORDERS), ORDERS)["item_count"].to_pylist() == [None]


@pytest.mark.parametrize("folder", [None, ""], ids=["the pointer", "the tables"])
def test_a_data_lake_is_asked_with_the_storage_options_given(folder: str | None) -> None:
    # Nothing here speaks its protocol, so this is as far as it can be seen: nobody listens at the endpoint given.
    options = {"account_key": "a2V5", "azure_storage_endpoint": "https://127.0.0.1:9", "max_retries": "0"}
    with pytest.raises(OSError, match=r"MicrosoftAzure[\s\S]*https://127\.0\.0\.1:9/lab"):
        ReadStore("abfss://lab@account.dfs.core.windows.net/tables", options, folder=folder)
