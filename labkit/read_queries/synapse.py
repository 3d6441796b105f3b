"""The views of `sql/` answered here: the same T-SQL, run by DuckDB over the same Delta tables.

Owns: one DuckDB database, in UTC and without downloads, and the translated questions. Each time one is asked, the rows
of one version of each of its tables are bound to it: an answer sees whole versions, whatever is committed meanwhile.
Threads ask beside each other.
Refuses to know: what the rows mean, which tables and files there are (`tables`), where DuckDB finds their rows
(`texts`). What T-SQL may be asked is decided in `subset`, what an OPENROWSET may say in `rowsets`.

Who knows beforehand of which days the rows can be says so, and files of other days are not even named.
"""

from __future__ import annotations

import datetime as dt
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pandas as pd
import pyarrow as pa
from deltalake.exceptions import DeltaError

from labkit.read_queries.rowsets import Finding, OutsideSubset
from labkit.read_queries.subset import AVERAGE_MACRO, read_statement
from labkit.read_queries.tables import Days, Hub, TableMissing, Tables, TableVersion
from labkit.read_queries.texts import Text, over_tables

T = TypeVar("T")

__all__ = ["Answer", "FilesRead", "Hub", "Synapse", "TableMissing"]

SQL_FOLDER = Path(__file__).resolve().parents[2] / "sql"
ATTEMPTS = 3
"""Between the look at the log and the reading, a rebuild may delete the files of tables that are no longer in use."""
MADE_TEXTS = 500
"""So many translated questions are kept."""

# It advises `cursor.sql`, which plans every query twice: dearer than the copy of an answer's rows.
warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)


@dataclass(frozen=True, slots=True)
class FilesRead:
    """How many data files a query opened, of how many that its tables consist of."""

    read: int
    of: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, and of each table they come from: its version, and how far that had come."""

    rows: Any
    """An Arrow table."""
    versions: Mapping[str, int]
    positions: Mapping[str, Mapping[str, int]]
    """Table -> hub partition -> the last sequence number in it."""
    as_of: dt.datetime | None
    """The earliest of the tables' last commits: what each had then is in this answer, of some also what came later.
    None: not known."""
    tables: Mapping[str, TableVersion] = field(default_factory=dict)
    """Those versions themselves; none of an answer from elsewhere."""

    def frame(self) -> pd.DataFrame:
        """Typed by Arrow: decimals stay decimals, days are days. What the answer rests on is in `attrs`."""
        frame: pd.DataFrame = self.rows.to_pandas(types_mapper=pd.ArrowDtype)
        frame.attrs |= {"table_versions": self.versions, "positions": self.positions, "as_of": self.as_of}
        return frame


class Synapse(AbstractContextManager["Synapse"]):
    """Answers T-SQL over the tables below `tables_url`. Threads may share it; a context manager, or `close` it.

    With a `hub`, each answer tells how far its tables have read it.
    """

    def __init__(
        self,
        tables_url: str,
        storage_options: Mapping[str, str] | None = None,
        sql_folder: Path = SQL_FOLDER,
        hub: Hub | None = None,
    ) -> None:
        self.tables = Tables(tables_url, storage_options, hub)
        self._texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(sql_folder.glob("*.sql"))}
        self._views = {name: read_statement(text, f"sql/{name}.sql") for name, text in self._texts.items()}
        self._question = lru_cache(MADE_TEXTS)(self._read)
        self._duckdb = duckdb.connect(
            config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        )
        self._duckdb.execute("SET GLOBAL TimeZone = 'UTC'")  # of every cursor
        self._duckdb.execute(AVERAGE_MACRO)

    def tsql(self, view: str) -> str:
        """The view's text as it is deployed. Raises: `LookupError` for a view that `sql/` does not hold."""
        if view not in self._texts:
            raise LookupError(f"no view {view!r} in sql/: there are {', '.join(self._texts)}")
        return self._texts[view]

    def runs_as(self, view: str) -> str:
        """What DuckDB is given for this view; `read_store.orders` stands for the files of that table."""
        self.tsql(view)
        return over_tables(self._views[view]).sql("duckdb", pretty=True)

    def query(
        self, tsql: str, parameters: Mapping[str, object] | None = None, *, waive: Collection[str] = ()
    ) -> pd.DataFrame:
        """As `answer`, as a frame: `attrs["table_versions"]` says which version of each table was read."""
        return self.answer(tsql, parameters, waive=waive).frame()

    def answer(
        self,
        tsql: str,
        parameters: Mapping[str, object] | None = None,
        *,
        days: Days | None = None,
        waive: Collection[str] = (),
    ) -> Answer:
        """The rows. Parameters are bound by name (`@day` to `parameters["day"]`), never pasted.

        `days`: files of orders of other days are not looked at, so the question must ask for no others.
        Raises: `OutsideSubset` for T-SQL outside the subset; `TableMissing` before a projector has made the tables.
        """
        question = self._question(tsql, frozenset(waive))
        given = dict(parameters or {})
        return self._again(lambda: self._run(question, self.tables.now(question.tables), given, days))

    def tables_of(self, tsql: str) -> dict[str, TableVersion]:
        """The newest version of each table that this text reads. Raises: as `answer`."""
        return self._again(lambda: self.tables.now(self._question(tsql, frozenset()).tables))

    def files_read(
        self,
        tsql: str,
        parameters: Mapping[str, object] | None = None,
        *,
        days: Days | None = None,
        waive: Collection[str] = (),
    ) -> FilesRead:
        """Run the query, and count those that it opened, as DuckDB's own profile says."""
        question = self._question(tsql, frozenset(waive))
        tables = self.tables.now(question.tables)
        with self._duckdb.cursor() as cursor:
            sql, files = question.bound(cursor, tables, days)
            explained = cursor.execute(f"EXPLAIN (ANALYZE, FORMAT json) {sql}", {**(parameters or {}), **files})
            (profile,) = explained.fetchall()
        total = sum(len(table.files) for table in tables.values())
        return FilesRead(sum(map(int, re.findall(r'"Total Files Read":\s*"(\d+)', profile[1]))), total)

    def close(self) -> None:
        self._duckdb.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _again(self, read: Callable[[], T]) -> T:
        for _ in range(1, ATTEMPTS):
            try:
                return read()
            except (duckdb.IOException, DeltaError, TableMissing):
                self.tables.forget()
        return read()

    def _read(self, tsql: str, waive: frozenset[str]) -> Text:
        statement = read_statement(tsql, waive=waive)
        if statement.view:
            raise OutsideSubset([Finding(statement.file, 1, "statement", "views are made by the files in sql/ alone")])
        return Text(statement, self._views)

    def _run(
        self, question: Text, tables: Mapping[str, TableVersion], parameters: dict[str, object], days: Days | None
    ) -> Answer:
        with self._duckdb.cursor() as cursor:
            sql, files = question.bound(cursor, tables, days)
            rows = cursor.execute(sql, {**parameters, **files}).to_arrow_table()
        return resting_on(tables, rows)


def resting_on(tables: Mapping[str, TableVersion], rows: pa.Table) -> Answer:
    """The answer with these rows, which were found in these tables."""
    versions = {name: table.version for name, table in tables.items()}
    positions = {name: table.positions for name, table in tables.items()}
    as_of = min((table.committed_at for table in tables.values()), default=dt.datetime.now(dt.UTC))
    return Answer(rows, versions, positions, as_of, tables)
