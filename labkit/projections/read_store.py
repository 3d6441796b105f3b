"""The read models as Delta tables: the current rows, and the one commit that holds rows and positions.

Owns where the three tables lie, how rows are merged (what a row holds is in `rows`), and what a reader may ask of the
tables themselves: current rows, an aggregate's version, the positions.
Knows nothing of events or of Event Hubs: a position is the last sequence number applied of a hub partition, kept in the
commit as a Delta transaction (`txn`: app id `<table>/<hub>/<hub partition>`, version = the sequence number).

One batch is three commits, one per table, in a fixed order. Each table keeps its own positions, so a crash between two
of them is found at the next start: the table that lags is the one that asks for the events again.

Facts measured with deltalake 1.6.6 (a table of 200,000 orders in 20 days, 1,000 rows merged into the newest day):
- `t.created_day IN (DATE '2026-01-20')` on the date32 partition column reads 1 file of 20. The same day by a join
  (`t.created_day = s.created_day`) prunes by the source's values only in some plans: it took three times as long.
- A MERGE that changes nothing makes no commit, and so loses its `txn`: an empty commit carries the positions then.
- The handle that made an empty commit does not see it before `update_incremental()`.
- `txn` is compared between concurrent writers only: a handle that has not seen the other's commit of the same app id
  is refused (`CommitFailedError`); a handle that has may record a lower number.


Source: Delta protocol, "Transaction Identifiers" (github.com/delta-io/delta/blob/master/PROTOCOL.md).
Known gap: `abfss://` is given to delta-rs as it is, and has been tried no further than that it asks the endpoint.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from labkit.errors import LabError
from labkit.projections import pointer
from labkit.projections.folds import NOTHING
from labkit.projections.rows import (
    CUSTOMER_COLUMNS,
    DAY_COLUMNS,
    ORDER_COLUMNS,
    CustomerRow,
    DayRow,
    OrderRow,
    Row,
    daily_metrics,
    from_arrow,
    order_day,
    to_arrow,
)

T = TypeVar("T")
CONFLICT_RETRIES = 20
"""Of one batch or replay, against another writer that commits many times a second."""
LONGEST_WHY = 200
"""Characters that are told of Delta's own words."""
NO_ROOM = f"(os error {112 if os.name == 'nt' else errno.ENOSPC})"
"""In Delta's own words: ERROR_DISK_FULL on Windows, ENOSPC elsewhere."""


@dataclass(frozen=True, slots=True)
class ReadModel:
    """One table: its name (and folder), the column that identifies a row, its columns, its partition columns."""

    name: str
    key: str
    schema: pa.Schema
    partition_by: tuple[str, ...] = ()


ORDERS = ReadModel("orders", "order_id", ORDER_COLUMNS, ("created_day",))
CUSTOMERS = ReadModel("customers", "customer_id", CUSTOMER_COLUMNS)
DAILY_ORDER_METRICS = ReadModel("daily_order_metrics", "day", DAY_COLUMNS)
READ_MODELS = (ORDERS, CUSTOMERS, DAILY_ORDER_METRICS)


def day_bound(column: str, days: Collection[dt.date]) -> str:
    """The literal bound that lets Delta leave out the files of all other days; never true for no days."""
    if not days:
        return "false"
    literals = ", ".join(f"DATE '{day.isoformat()}'" for day in sorted(days))
    return f"{column} IN ({literals})"


class TableDamaged(LabError):
    """Files of a table are missing, or are none any more."""


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Raises: `TableDamaged` for what Delta cannot make sense of."""
    try:
        yield
    except (CommitFailedError, TableNotFoundError):
        raise
    except (DeltaError, pa.ArrowInvalid) as error:
        why, what = str(error).splitlines()[0][:LONGEST_WHY], "`python3 lab.py rebuild` makes all tables anew"
        raise TableDamaged(
            f"the table {url} cannot be read ({why}); if that lasts, move its folder away, and {what}"
        ) from error


class DiskFull(LabError):
    """A commit found no room. The table is as it was before."""


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Raises: `DiskFull`, which Delta tells by several types and in its own words."""
    try:
        yield
    except (DeltaError, OSError) as error:
        if NO_ROOM not in str(error):
            raise
        raise DiskFull(
            f"the disk is full: {url} is as it was; free some space, and do the same again: nothing is lost or doubled"
        ) from error


def contents(table: DeltaTable, model: ReadModel, predicate: str | None = None) -> pa.Table:
    """The rows there are (those that fulfil the SQL `predicate`), in the model's own Arrow types; in no order.

    A column that the table was made without is null.
    """
    with reading(table.table_uri):
        found = pa.table(table.scan(predicate=predicate))
    for column in model.schema:
        if column.name not in found.column_names:
            found = found.append_column(column, pa.nulls(found.num_rows, column.type))
    return found.select(model.schema.names).cast(model.schema)


def to_table(model: ReadModel, rows: Iterable[object]) -> pa.Table:
    """Rows (any objects with the columns as attributes) as Arrow, in the model's own types."""
    return to_arrow(model.schema, rows)


def merge(table: DeltaTable, rows: pa.Table, matching: str, guard: str | None, positions: Mapping[str, int]) -> None:
    """Merge `rows` and record `positions` (app id -> sequence number) in one Delta commit.

    A crash leaves both or neither, so a redelivered batch can delay the read model and never count twice.
    Raises: `CommitFailedError` when another writer has moved the same positions since `table` was loaded.
    """
    both = CommitProperties(app_transactions=[Transaction(app, number) for app, number in positions.items()])
    before = table.version()
    if rows.num_rows:
        merger = table.merge(rows, matching, source_alias="s", target_alias="t", commit_properties=both)
        merger.when_matched_update_all(predicate=guard).when_not_matched_insert_all().execute()
    if table.version() == before:
        table.create_write_transaction(
            [], "append", table.schema(), table.metadata().partition_columns, commit_properties=both
        )
        table.update_incremental()


def until_first(work: Callable[[], T]) -> T:
    """Do it, and again on what another writer left behind when that one was faster. Raises: `CommitFailedError`."""
    for _ in range(CONFLICT_RETRIES):
        with suppress(CommitFailedError):
            return work()
    return work()


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch changes: rows, the days whose figures it touches, and how far it read each hub partition.

    `aside` names what does not come from the hub at the positions (app id -> number, recorded with the rows): a replay,
    a scan of the history. It is written whatever the positions are, so its rows must be guarded by their versions."""

    hub: str
    positions: Mapping[str, int]
    rows: Sequence[Row] = ()
    days: Collection[dt.date] = ()
    aside: Mapping[str, int] = field(default_factory=dict)


class ReadOnly(LabError):
    """A store that was opened for reading was asked to write."""


@dataclass(slots=True)
class _Handle:
    """One thread's view of a table: as of one version, until it is refreshed."""

    table: DeltaTable
    version: int = NOTHING
    known: dict[str, int] = field(default_factory=dict)
    """App id -> number, as of `version`."""

    def number(self, app: str) -> int:
        if self.version != self.table.version():
            self.version, self.known = self.table.version(), {}
        if app not in self.known:
            number = self.table.transaction_version(app)
            self.known[app] = NOTHING if number is None else number
        return self.known[app]

    def commit(self, write: Callable[[DeltaTable], None], numbers: Mapping[str, int]) -> None:
        """Write to the table a commit that holds these numbers. If others came between, `number` asks anew."""
        before, known = self.table.version(), self.known if self.version == self.table.version() else {}
        write(self.table)
        self.version, self.known = before + 1, {**known, **numbers}


class ReadStore:
    """The three tables below one URL (a folder, or `abfss://` with its `storage_options`).

    Opening makes missing tables, and adds to those that an older labkit made the columns that came later: null in all
    rows there are. With `read_only` nothing is made or changed, and a missing table is an empty one.
    Each thread works on table handles of its own. One writer per table; any number of readers.

    A store stays with the tables that the pointer named when it was opened (or with those in `folder`, whatever the
    pointer says); `current` gives the one of today. So nobody writes half a batch here and half there, and who reads
    on and on asks `current` first.
    """

    def __init__(
        self,
        tables_url: str,
        storage_options: Mapping[str, str] | None = None,
        *,
        read_only: bool = False,
        folder: str | None = None,
    ) -> None:
        self.root_url = tables_url.rstrip("/")
        self.options = dict(storage_options) if storage_options else None
        chosen = pointer.folder_in_use(self.root_url, self.options) if folder is None else folder
        self.tables_url = pointer.folder_url(self.root_url, chosen)
        self._read_only = read_only
        self._of_thread = threading.local()
        if not read_only:
            for model in READ_MODELS:
                self._make(model)

    def _make(self, model: ReadModel) -> None:
        url, by, options = self.url(model), [*model.partition_by], self.options
        with reading(url), writing(url):
            DeltaTable.create(url, model.schema, mode="ignore", partition_by=by, storage_options=options)
        there = {column.name for column in self.table(model).schema().fields}
        new = pa.schema([column for column in model.schema if column.name not in there])
        if new.names:
            self.table(model).alter.add_columns(list(Schema.from_arrow(new).fields))

    def current(self) -> ReadStore:
        """This store, or another one if the pointer names other tables by now (see `rebuild`)."""
        if pointer.tables_in_use(self.root_url, self.options) == self.tables_url:
            return self
        return ReadStore(self.root_url, self.options, read_only=self._read_only)

    def url(self, model: ReadModel) -> str:
        """Where the table lies."""
        return f"{self.tables_url}/{model.name}"

    def table(self, model: ReadModel) -> DeltaTable:
        """This thread's handle of the table, at the table's latest version. Raises: `TableNotFoundError`."""
        return self._handle(model, latest=True).table

    def _handle(self, model: ReadModel, *, latest: bool) -> _Handle:
        handles: dict[str, _Handle] = self._of_thread.__dict__.setdefault("handles", {})
        with reading(self.url(model)):
            if model.name not in handles:
                handles[model.name] = _Handle(DeltaTable(self.url(model), storage_options=self.options))
            elif latest:
                handles[model.name].table.update_incremental()
        return handles[model.name]

    def positions(self, hub: str, partitions: Iterable[str]) -> dict[str, dict[str, int]]:
        """Table name -> hub partition -> the last sequence number applied there (-1: none), as of now."""
        partitions = list(partitions)
        return {model.name: self._positions(model, hub, partitions, latest=True) for model in READ_MODELS}

    def lowest(self, hub: str, partitions: Iterable[str], first: Mapping[str, int]) -> dict[str, int]:
        """Hub partition -> the last sequence number that needs no reading: every table has it, or it came before
        `first`, where the hub ended when the lab was opened (-1: there is none)."""
        partitions = list(partitions)
        tables = self.positions(hub, partitions).values()
        return {part: max(first.get(part, NOTHING), min(table[part] for table in tables)) for part in partitions}

    def _positions(self, model: ReadModel, hub: str, partitions: Iterable[str], *, latest: bool) -> dict[str, int]:
        try:
            handle = self._handle(model, latest=latest)
        except TableNotFoundError:
            return dict.fromkeys(partitions, NOTHING)
        return {part: handle.number(f"{model.name}/{hub}/{part}") for part in partitions}

    def orders(self, order_ids: Collection[str], days: Collection[dt.date]) -> dict[str, Row]:
        """The rows there are of these orders, which carry these days."""
        found = self._rows(ORDERS, order_ids, day_bound("created_day", days))
        return {row.order_id: row for row in from_arrow(OrderRow, found)}

    def customers(self, customer_ids: Collection[str]) -> dict[str, Row]:
        """The rows there are of these customers."""
        found = self._rows(CUSTOMERS, customer_ids, None)
        return {row.customer_id: row for row in from_arrow(CustomerRow, found)}

    def _rows(self, model: ReadModel, ids: Collection[str], bound: str | None) -> pa.Table:
        with suppress(TableNotFoundError):
            if ids:
                found = contents(self.table(model), model, bound)
                return found.filter(pc.is_in(found[model.key], pa.array(ids, pa.string())))
        return model.schema.empty_table()

    def version_of(self, aggregate_id: str) -> int:
        """The version the tables show now of an order or a customer; 0 when they show none."""
        try:
            rows = self.orders([aggregate_id], [order_day(aggregate_id)])
        except ValueError:
            rows = self.customers([aggregate_id])
        return rows[aggregate_id].version if aggregate_id in rows else 0

    def commit(self, batch: Batch) -> None:
        """Write the batch into each table together with its positions; a table that has them already is left alone.

        Raises: `CommitFailedError` when another writer has committed since this thread's last look at the table; the
        tables before it in the order have committed. `ReadOnly`.
        """
        if self._read_only:
            raise ReadOnly(f"the store {self.tables_url} was opened for reading")
        orders = [row for row in batch.rows if isinstance(row, OrderRow)]
        days = {row.created_day for row in orders}
        matching = f"t.order_id = s.order_id AND {day_bound('t.created_day', days)}"
        self._commit(ORDERS, batch, lambda: orders, matching, "s.version > t.version")
        customers = [row for row in batch.rows if isinstance(row, CustomerRow)]
        self._commit(CUSTOMERS, batch, lambda: customers, "t.customer_id = s.customer_id", "s.version > t.version")
        matching = f"t.day = s.day AND {day_bound('t.day', batch.days)}"
        self._commit(DAILY_ORDER_METRICS, batch, lambda: self._figures(batch.days), matching, None)

    def _figures(self, days: Collection[dt.date]) -> list[DayRow]:
        orders = self._handle(ORDERS, latest=False).table
        return daily_metrics(contents(orders, ORDERS, day_bound("created_day", days)))

    def _commit(
        self, model: ReadModel, batch: Batch, rows: Callable[[], Iterable[object]], matching: str, guard: str | None
    ) -> None:
        there = self._positions(model, batch.hub, batch.positions, latest=False)
        ahead = {
            f"{model.name}/{batch.hub}/{part}": number
            for part, number in batch.positions.items()
            if number > there[part]
        }
        if not ahead and not batch.aside:
            return
        changed, numbers = to_table(model, rows()), {**ahead, **batch.aside}
        if ahead or changed.num_rows:
            handle = self._handle(model, latest=False)
            with writing(self.url(model)):
                handle.commit(lambda table: merge(table, changed, matching, guard, numbers), numbers)
