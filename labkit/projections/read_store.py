"""The read models as a store: three Delta tables below one URL, the current rows, and the batches that change them.

Owns where the tables lie, what one batch writes to which of them, and what a reader may ask of the tables themselves:
current rows, an aggregate's version, the positions. How one table is read and changed is in `tables`, and
what a thread remembers of it in `handles`.
Knows nothing of events or of Event Hubs: a position is the last sequence number applied of a hub partition, kept in the
commit as a Delta transaction (`txn`: app id `<table>/<hub>/<hub partition>`, version = the sequence number).

One batch is three commits, one per table, in a fixed order. Each table keeps its own positions, so a crash between two
of them is found at the next start: the table that lags is the one that asks for the events again.

Known gap: `abfss://` is given to delta-rs as it is, and has been tried no further than that it asks the endpoint.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, Schema
from deltalake.exceptions import CommitFailedError

from labkit.projections import pointer, tables
from labkit.projections.folds import NOTHING
from labkit.projections.handles import Handle
from labkit.projections.rows import CustomerRow, OrderRow, Row, daily_metrics, from_arrow, order_day, to_arrow
from labkit.projections.tables import CUSTOMERS, DAILY_ORDER_METRICS, ORDERS, READ_MODELS, ReadModel, reading, writing

T = TypeVar("T")
CONFLICT_RETRIES = 20
"""Of one batch or replay, against another writer that commits many times a second."""


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


class ReadStore:
    """The three tables below one URL (a folder, or `abfss://` with its `storage_options`).

    Opening makes missing tables, and adds to those that an older labkit made the columns that came later: null in all
    rows there are. Any number may open them at once.
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
        folder: str | None = None,
    ) -> None:
        self.root_url = tables_url.rstrip("/")
        self.options = dict(storage_options) if storage_options else None
        chosen = pointer.folder_in_use(self.root_url, self.options) if folder is None else folder
        self.tables_url = pointer.folder_url(self.root_url, chosen)
        self._of_thread = threading.local()
        self._rebuilt: ReadStore | None = None
        for model in READ_MODELS:
            until_first(partial(self._make, model))

    def _make(self, model: ReadModel) -> None:
        url, by, options = self.url(model), [*model.partition_by], self.options
        with reading(url), writing(url):
            DeltaTable.create(url, model.schema, mode="ignore", partition_by=by, storage_options=options)
        there = {column.name for column in self.table(model).schema().fields}
        new = pa.schema([column for column in model.schema if column.name not in there])
        if new.names:
            self.table(model).alter.add_columns(list(Schema.from_arrow(new).fields))

    def current(self) -> ReadStore:
        """This store, or another one if the pointer names other tables by now (see `rebuild`), which is opened once.

        Raises: `PointerDamaged`, also when the folder has gone since the last look: what is known of it would answer.
        """
        url = pointer.folder_url(self.root_url, pointer.folder_in_use(self.root_url, self.options))
        if url == self.tables_url:
            return self
        if self._rebuilt is None or self._rebuilt.tables_url != url:
            self._rebuilt = ReadStore(self.root_url, self.options)
        return self._rebuilt

    def url(self, model: ReadModel) -> str:
        """Where the table lies."""
        return f"{self.tables_url}/{model.name}"

    def table(self, model: ReadModel) -> DeltaTable:
        """This thread's handle of the table, at the table's latest version."""
        return self._handle(model, latest=True).table

    def _handle(self, model: ReadModel, *, latest: bool) -> Handle:
        handles: dict[str, Handle] = self._of_thread.__dict__.setdefault("handles", {})
        url, known = self.url(model), handles.get(model.name)
        with reading(url):
            if known is None or (latest and tables.committed(url, known.table.version() + tables.CHECKPOINT_COMMITS)):
                handles[model.name] = Handle(model, DeltaTable(url, storage_options=self.options))
            elif latest and not tables.is_newest(url, known.table.version()):
                known.table.update_incremental()
        return handles[model.name]

    def positions(self, hub: str, partitions: Iterable[str]) -> dict[str, dict[str, int]]:
        """Table name -> hub partition -> the last sequence number applied there (-1: none), as of now."""
        partitions = list(partitions)
        return {model.name: self._positions(model, hub, partitions) for model in READ_MODELS}

    def lowest(self, hub: str, partitions: Iterable[str], first: Mapping[str, int]) -> dict[str, int]:
        """Hub partition -> the last sequence number that needs no reading: every table has it, or it came before
        `first`, where the hub ended when the lab was opened (-1: there is none)."""
        partitions = list(partitions)
        tables = self.positions(hub, partitions).values()
        return {part: max(first.get(part, NOTHING), min(table[part] for table in tables)) for part in partitions}

    def _positions(self, model: ReadModel, hub: str, partitions: Iterable[str]) -> dict[str, int]:
        handle = self._handle(model, latest=True)
        return {part: handle.number(f"{model.name}/{hub}/{part}") for part in partitions}

    def orders(self, order_ids: Collection[str], days: Collection[dt.date]) -> dict[str, Row]:
        """The rows there are of these orders, which carry these days."""
        return {row.order_id: row for row in from_arrow(OrderRow, self._rows(ORDERS, order_ids, days))}

    def customers(self, customer_ids: Collection[str]) -> dict[str, Row]:
        """The rows there are of these customers."""
        return {row.customer_id: row for row in from_arrow(CustomerRow, self._rows(CUSTOMERS, customer_ids))}

    def _rows(self, model: ReadModel, ids: Collection[str], days: Collection[dt.date] = ()) -> pa.Table:
        if not ids:
            return model.schema.empty_table()
        found = self._handle(model, latest=True).rows(days)
        return found.filter(pc.is_in(found[model.key], pa.array(ids, pa.string())))

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
        tables before it in the order have committed.
        """
        self._commit(ORDERS, batch, (row for row in batch.rows if isinstance(row, OrderRow)))
        self._commit(CUSTOMERS, batch, (row for row in batch.rows if isinstance(row, CustomerRow)))
        figures = daily_metrics(self._handle(ORDERS, latest=False).rows(batch.days))  # of the orders as they are now
        self._commit(DAILY_ORDER_METRICS, batch, figures)

    def _commit(self, model: ReadModel, batch: Batch, rows: Iterable[object]) -> None:
        handle = self._handle(model, latest=False)
        numbers = {f"{model.name}/{batch.hub}/{part}": number for part, number in batch.positions.items()}
        ahead = {app: number for app, number in numbers.items() if number > handle.number(app)}
        if not ahead and not batch.aside:
            return
        changed, numbers = to_arrow(model.schema, rows), {**ahead, **batch.aside}
        if ahead or changed.num_rows:
            days = changed[model.partition_by[0]].unique().to_pylist() if model.partition_by else ()
            with writing(self.url(model)):
                handle.commit(changed, days, numbers)
