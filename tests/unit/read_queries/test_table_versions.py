"""When a table is looked at again, and what is kept of it meanwhile: never an answer of yesterday."""

from __future__ import annotations

import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from labkit.projections.tables import CUSTOMERS, ORDERS
from labkit.projections.upkeep import Upkeep, keep
from labkit.read_queries import questions
from labkit.read_queries.synapse import Hub, Synapse, TableMissing

NAMES = "SELECT order_id, customer_name FROM dbo.vw_order_summary ORDER BY order_id"

CUSTOMERS_ALONE = """SELECT c.name FROM OPENROWSET(BULK 'customers/', DATA_SOURCE = 'read_store', FORMAT = 'DELTA')
    WITH (name VARCHAR(8000) COLLATE Latin1_General_100_BIN2_UTF8) AS c ORDER BY name"""


def customers(synapse: Synapse) -> list[str]:
    """Of the table that is not by days."""
    found: list[str] = synapse.answer(CUSTOMERS_ALONE).rows["name"].to_pylist()
    return found


def names(synapse: Synapse) -> list[Any]:
    return [name or None for name in synapse.answer(NAMES).rows["customer_name"].to_pylist()]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables whose log was read, one entry for each reading."""
    read: list[str] = []
    update = DeltaTable.update_incremental

    def noting(table: DeltaTable) -> None:
        read.append(Path(table.table_uri).name)
        update(table)

    monkeypatch.setattr(DeltaTable, "update_incremental", noting)
    return read


def test_the_log_is_read_once_for_each_version_and_not_for_each_question(
    synapse: Synapse, tables: Any, looks: list[str]
) -> None:
    tables.write([tables.an_order("a"), tables.a_customer("1", "Ada")])
    for _ in range(3):
        names(synapse)
    assert sorted(looks) == ["customers", "orders"]
    tables.write([tables.an_order("b")])
    looks.clear()
    assert [names(synapse), names(synapse)] == [["Ada", "Ada"]] * 2
    assert sorted(looks) == ["customers", "orders"]


def test_a_reader_that_slept_until_the_log_was_cleaned_sees_the_newest_version(synapse: Synapse, tables: Any) -> None:
    tables.write([tables.a_customer("1", "Ada")])
    assert customers(synapse) == ["Ada"]
    seen = tables.store.table(CUSTOMERS).version()
    for number in range(2, 5):
        tables.write([tables.a_customer(f"{number}", "Zoë")])
        keep(tables.store, Upkeep(retention_seconds=0))
    log = Path(tables.store.url(CUSTOMERS), "_delta_log")
    assert not any((log / f"{number:020}.json").exists() for number in (seen, seen + 1))
    assert customers(synapse) == ["Ada", "Zoë", "Zoë", "Zoë"]


@pytest.mark.parametrize("commits", [1, 2, 3, 4, 5])
def test_a_table_that_was_made_anew_is_another_table_however_many_commits_it_has(
    commits: int, synapse: Synapse, tables: Any
) -> None:
    """Asked for a day of which the table before had no file, so that no missing file tells that it is another."""
    orders = questions.orders_between(date(2026, 1, 9), date(2026, 1, 9))
    for number in range(3):
        tables.write([tables.an_order(f"{number}")])
    assert orders.answer(synapse).rows.num_rows == 0
    shutil.rmtree(tables.folder)
    again = type(tables)(tables.folder)
    for number in range(commits):
        again.write([again.an_order(f"{number}", day=9)])
    assert orders.answer(synapse).rows.num_rows == commits


def test_what_was_recorded_is_read_while_another_thread_forgets_the_tables(synapse: Synapse, tables: Any) -> None:
    tables.write([tables.an_order("a")])
    done = threading.Event()

    def forget() -> None:
        while not done.is_set():
            synapse.tables.forget()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as other:
            other.submit(forget)
            try:
                for _ in range(300):
                    synapse.tables.recorded(ORDERS.name, "nobody")
            finally:
                done.set()
    finally:
        sys.setswitchinterval(before)


def test_a_table_at_a_url_is_looked_at_each_time(tables: Any) -> None:
    folder = Path(str(tables.folder).replace(" ", "-"))
    store = type(tables)(folder)
    store.write([store.an_order("a")])
    with Synapse(folder.as_uri()) as by_url:
        assert len(names(by_url)) == 1
        store.write([store.an_order("b")])
        assert len(names(by_url)) == 2


@pytest.mark.parametrize("cleaned", [False, True])
def test_who_followed_the_log_tells_the_same_positions_and_age_as_who_reads_it_anew(
    cleaned: bool, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub("hub", ["0", "1"])
    asked = []
    number_of = DeltaTable.transaction_version
    monkeypatch.setattr(
        DeltaTable, "transaction_version", lambda table, app: asked.append(app) or number_of(table, app)
    )
    with Synapse(str(tables.folder), hub=hub) as followed:
        for commits in (1, 1, 3):
            for number in range(commits):
                tables.write([tables.an_order(f"{number}", version=commits + number)])
                if cleaned:
                    keep(tables.store, Upkeep(retention_seconds=0))
            answer = followed.answer(NAMES)
            followed_asked, asked[:] = len(asked), []
            with Synapse(str(tables.folder), hub=hub) as anew:
                expected = anew.answer(NAMES)
            assert (answer.versions, answer.positions, answer.as_of) == (
                expected.versions, expected.positions, expected.as_of,
            )  # fmt: skip
            asked.clear()
    assert answer.positions["orders"] == {"0": 5, "1": -1}
    assert bool(followed_asked) == cleaned


def test_a_table_that_is_deleted_while_its_log_is_read_is_missing(
    synapse: Synapse, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write([tables.a_customer("1", "Ada")])
    monkeypatch.setattr(DeltaTable, "history", lambda table, limit: [])
    with pytest.raises(TableMissing, match="customers"):
        customers(synapse)


def test_threads_that_ask_while_names_come_and_old_files_are_deleted_at_once_see_no_name_go(
    synapse: Synapse, tables: Any
) -> None:
    tables.write(tables.an_order(f"{n}", customer=f"customer-{n}") for n in range(8))

    def ask() -> list[int]:
        return [sum(name is not None for name in names(synapse)) for _ in range(12)]

    with ThreadPoolExecutor(3) as readers:
        asking = [readers.submit(ask) for _ in range(3)]
        for number in range(8):
            tables.write([tables.a_customer(f"{number}", "Ada")])
            keep(tables.store, Upkeep(retention_seconds=0))
        answers = [each.result() for each in asking]
    assert all(seen == sorted(seen) for seen in answers)
    assert names(synapse) == ["Ada"] * 8
