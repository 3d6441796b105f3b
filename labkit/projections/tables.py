"""One Delta table of the read models: what it is called and holds, how its rows are read and changed, what is
refused.

Owns the three models (their columns are in `rows`), the one commit that holds rows and positions, and the words for a
table that is damaged and a disk that is full. Refuses to know where tables lie and what a batch is (`read_store`).

Two ways lead to the same rows. `merge` is Delta's own MERGE, for any number of them. `put` is for a part that has been
read: new rows are appended, else the part is written anew, for a third of the processor time. It commits on the version
that was read, or not at all.

Facts measured with deltalake 1.6.6 (a table of 200,000 orders in 20 days, 1,000 rows merged into the newest day):
- `t.created_day IN (DATE '2026-01-20')` on the date32 partition column reads 1 file of 20. The same day by a join
  (`t.created_day = s.created_day`) prunes by the source's values only in some plans: it took three times as long.
- A MERGE that changes nothing makes no commit, and so loses its `txn`: an empty commit carries the positions then.
- The handle that made an empty commit does not see it before `update_incremental()`.
- `txn` is compared between concurrent writers only: a handle that has not seen the other's commit of the same app id
  is refused (`CommitFailedError`); a handle that has may record a lower number.
- Dictionaries cost time where values are seldom repeated: 33,000 orders are written for 20 ms of processor time with
  one for each column but the key, for 16 with one for the status alone, as 400 and 405 KB (medians of 15 in turns).
  Writer properties lose the default compression.
- Of Arrow's allocators, mimalloc (its own choice) gives large arrays back to the system and gets them anew in each
  batch: 125 ms of processor time for 5,000 events with it, 111 with the system's, 99 with jemalloc.
- An append reads nothing, so Delta lets it go beside another writer's new row of the same key. With
  `max_commit_retries=0` anything committed in between refuses it.

Source: Delta protocol, "Transaction Identifiers" (github.com/delta-io/delta/blob/master/PROTOCOL.md).
"""

from __future__ import annotations

import datetime as dt
import errno
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import ColumnProperties, CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from labkit.errors import LabError
from labkit.projections import pointer
from labkit.projections.rows import CUSTOMER_COLUMNS, DAY_COLUMNS, ORDER_COLUMNS, to_arrow

with suppress(NotImplementedError):  # where the wheels have none, Arrow keeps its own choice
    pa.set_memory_pool(pa.jemalloc_memory_pool())

Positions = Mapping[str, int]
"""App id -> sequence number."""
NO_DICTIONARY, DICTIONARY = ColumnProperties(dictionary_enabled=False), ColumnProperties(dictionary_enabled=True)
CHECKPOINT_COMMITS = 50
"""So often upkeep writes a checkpoint. Who is further behind reads on for 10 ms of processor time or more, or opens the
table anew, from there, for 5."""
LONGEST_WHY = 200
"""Characters that are told of Delta's own words."""
NO_ROOM = f"(os error {112 if os.name == 'nt' else errno.ENOSPC})"
"""In Delta's own words: ERROR_DISK_FULL on Windows, ENOSPC elsewhere."""


@dataclass(frozen=True, slots=True)
class ReadModel:
    """One table: its name (and folder), the column that identifies a row, its columns, its partition columns, and the
    columns whose values repeat so often that a file has a dictionary of them."""

    name: str
    key: str
    schema: pa.Schema
    partition_by: tuple[str, ...] = ()
    repeating: tuple[str, ...] = ()

    @property
    def guard(self) -> str | None:
        """A row takes another's place only if its version is higher; figures have none, and always do."""
        return "s.version > t.version" if "version" in self.schema.names else None

    def bound(self, days: Collection[dt.date], alias: str = "") -> str | None:
        """The literal bound of these days; None for a table that is not by days."""
        return day_bound(f"{alias}{self.partition_by[0]}", days) if self.partition_by else None

    def matching(self, days: Collection[dt.date]) -> str:
        """What pairs a row `s` with the row `t` that it may replace, which is of these days."""
        return " AND ".join(filter(None, [f"t.{self.key} = s.{self.key}", self.bound(days, "t.")]))


ORDERS = ReadModel("orders", "order_id", ORDER_COLUMNS, ("created_day",), ("status",))
CUSTOMERS = ReadModel("customers", "customer_id", CUSTOMER_COLUMNS)
DAILY_ORDER_METRICS = ReadModel("daily_order_metrics", "day", DAY_COLUMNS)
READ_MODELS = (ORDERS, CUSTOMERS, DAILY_ORDER_METRICS)


def day_bound(column: str, days: Collection[dt.date]) -> str:
    """The literal bound that lets Delta leave out the files of all other days; never true for no days."""
    literals = ", ".join(f"DATE '{day.isoformat()}'" for day in sorted(days))
    return f"{column} IN ({literals})" if days else "false"


def committed(url: str, version: int) -> bool:
    """Whether the log of a table in a folder is seen to hold this version. False: not known."""
    return not pointer.is_url(url) and os.path.exists(os.path.join(url, "_delta_log", f"{version:020}.json"))


def is_newest(url: str, version: int) -> bool:
    """Whether the log is seen to end with this version: two looks instead of a reading, which takes the longer the more
    commits have come since the last checkpoint. False: not known."""
    return committed(url, version) and not committed(url, version + 1)


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
        problem = f"the table {url} cannot be read ({why}); if that lasts, move its folder away, and {what}"
        raise TableDamaged(problem) from error


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
        what = "free some space, and do the same again: nothing is lost or doubled"
        raise DiskFull(f"the disk is full: {url} is as it was; {what}") from error


def contents(table: DeltaTable, model: ReadModel, predicate: str | None = None) -> pa.Table:
    """The rows there are (those that fulfil the SQL `predicate`), in the model's own Arrow types; in no order.

    A column that the table was made without is null.
    """
    with reading(table.table_uri):
        found = pa.table(table.scan(predicate=predicate))
    names, none = model.schema.names, pa.nulls(found.num_rows)
    return pa.table([found[name] if name in found.column_names else none for name in names], names).cast(model.schema)


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


def put(
    table: DeltaTable, model: ReadModel, rows: pa.Table, there: pa.Table, bound: str | None, positions: Positions
) -> pa.Table:
    """As `merge` under the model's guard, where `there` are all rows of the part that `bound` names (None: the whole
    table) in the version that `table` shows. The part as it is afterwards.

    Raises: `CommitFailedError` when anything has been committed since that version.
    """
    rest, newer = guarded(model, rows, there)
    if not newer.num_rows:
        merge(table, newer, "false", None, positions)
        return there
    after = pa.concat_tables([rest, newer]).combine_chunks()
    sure = CommitProperties(app_transactions=[Transaction(*one) for one in positions.items()], max_commit_retries=0)
    repeat = dict.fromkeys(model.repeating, DICTIONARY)
    lean = WriterProperties(compression="SNAPPY", default_column_properties=NO_DICTIONARY, column_properties=repeat)
    if rest.num_rows == there.num_rows:
        write_deltalake(table, newer, mode="append", commit_properties=sure, writer_properties=lean)
    else:
        write_deltalake(table, after, mode="overwrite", predicate=bound, commit_properties=sure, writer_properties=lean)
    return after


def guarded(model: ReadModel, rows: pa.Table, there: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows there that stay, and those of `rows` that are new or take another's place."""
    follower = pc.index_in(there[model.key], rows[model.key].combine_chunks())
    known = pc.is_valid(follower)
    gone = pc.less(there["version"], rows["version"].take(follower)).fill_null(False) if model.guard else known
    refused = follower.filter(pc.and_not(known, gone))
    allowed = pc.invert(pc.is_in(pa.array(range(rows.num_rows), follower.type), refused))
    return there.filter(pc.invert(gone)), rows.filter(allowed)
