"""The views of `sql/` answered here: the same T-SQL, run by DuckDB over the same Delta tables.

Owns: one DuckDB connection, in UTC and without downloads, whose schema `read_store` holds one relation per Delta table
and whose schema `dbo` holds the views. A relation is made again only when its table's version has changed; one query
sees one version of each table. Which tables are in use is looked up at each question: after a rebuild they are others.
Refuses to know: what the rows mean. What T-SQL may be asked is decided in `subset`, what an OPENROWSET may say in
`rowsets`; here its declared columns are compared with the table's.

Tables in a folder are read by DuckDB's own Parquet reader from the files that the Delta log names; the value of a
partition column is in the path, so a condition on it leaves files out. Tables at a URL are read through PyArrow,
because DuckDB's Azure extension would have to be downloaded.

Source: docs.delta.io; duckdb.org/docs/data/partitioning/hive_partitioning.
Known gap: Delta's TIMESTAMP is DATETIME2 (UTC without saying so) in Synapse and an aware instant here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pandas as pd
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from sqlglot import exp

from labkit.errors import LabError
from labkit.projections import pointer
from labkit.read_queries.rowsets import Finding, OutsideSubset, Rowset
from labkit.read_queries.subset import AVERAGE_MACRO, Statement, read_statement

SQL_FOLDER = Path(__file__).resolve().parents[2] / "sql"
DELTA_TYPE = {"INT": "integer", "BIGINT": "long", "DATETIME2(6)": "timestamp", "DATE": "date"}
"""T-SQL type -> Delta type, beside VARCHAR(n) -> string and DECIMAL(p,s) -> decimal(p,s)."""
DUCKDB_TYPE = {"integer": "INTEGER", "long": "BIGINT", "timestamp": "TIMESTAMPTZ", "date": "DATE", "string": "VARCHAR"}


class TableMissing(LabError, LookupError):
    """The read store has no such table: no projector has written here yet."""


@dataclass(frozen=True, slots=True)
class FilesRead:
    """How many data files a query opened, of how many that its tables consist of."""

    read: int
    of: int


class Synapse:
    """Answers T-SQL over the tables below `tables_url`. Threads may share it; a context manager, or `close` it."""

    def __init__(
        self, tables_url: str, storage_options: Mapping[str, str] | None = None, sql_folder: Path = SQL_FOLDER
    ) -> None:
        self._root_url = tables_url.rstrip("/")
        self._tables_url = ""
        self._options = dict(storage_options) if storage_options else None
        self._tables: dict[str, _Table] = {}
        self._texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(sql_folder.glob("*.sql"))}
        self._views = {name: read_statement(text, f"sql/{name}.sql") for name, text in self._texts.items()}
        self._made: set[str] = set()
        self._lock = threading.RLock()
        self._duckdb = duckdb.connect(
            config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        )
        self._duckdb.execute("SET TimeZone = 'UTC'; CREATE SCHEMA read_store; CREATE SCHEMA dbo")
        self._duckdb.execute(AVERAGE_MACRO)

    @property
    def views(self) -> tuple[str, ...]:
        return tuple(self._texts)

    def tsql(self, view: str) -> str:
        """The view's text as it is deployed. Raises: `LookupError` for a view that `sql/` does not hold."""
        if view not in self._texts:
            raise LookupError(f"no view {view!r} in sql/: there are {', '.join(self._texts)}")
        return self._texts[view]

    def runs_as(self, view: str) -> str:
        """What DuckDB is given for this view."""
        self.tsql(view)
        return self._sql(self._views[view], pretty=True)

    def query(
        self, tsql: str, parameters: Mapping[str, object] | None = None, *, waive: Collection[str] = ()
    ) -> pd.DataFrame:
        """The rows, in typed Arrow-backed columns; `attrs["table_versions"]` says which version of each table was read.

        Parameters are bound by name (`@day` to `parameters["day"]`), never pasted.
        Raises: `OutsideSubset` for T-SQL outside the subset; `TableMissing` before a projector has made the tables.
        """
        with self._lock:
            sql, versions = self._ready(tsql, waive)
            arrow = self._duckdb.sql(sql, params=dict(parameters or {})).to_arrow_table()
        frame: pd.DataFrame = arrow.to_pandas(types_mapper=pd.ArrowDtype)
        frame.attrs["table_versions"] = versions
        return frame

    def files_read(
        self, tsql: str, parameters: Mapping[str, object] | None = None, *, waive: Collection[str] = ()
    ) -> FilesRead:
        """Run the query and count the data files it opened, as DuckDB's own profile says."""
        with self._lock:
            sql, versions = self._ready(tsql, waive)
            rows = self._duckdb.execute(f"EXPLAIN (ANALYZE, FORMAT json) {sql}", dict(parameters or {})).fetchall()
            total = sum(len(self._tables[name].delta.file_uris()) for name in versions)
        return FilesRead(sum(_files(json.loads(rows[0][1])["operator"])), total)

    def close(self) -> None:
        self._duckdb.close()

    def __enter__(self) -> Synapse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready(self, tsql: str, waive: Collection[str]) -> tuple[str, dict[str, int]]:
        """The DuckDB text of the question, and the version of each table it will read, all relations up to date."""
        statement = read_statement(tsql, waive=frozenset(waive))
        if statement.view:
            raise OutsideSubset([Finding(statement.file, 1, "statement", "views are made by the files in sql/ alone")])
        named = [name for name in statement.tables if not name.startswith("rowset_")]
        for name in named:
            if name not in self._views:
                reason = f"no view {name}: there are {', '.join(self._views)}"
                raise OutsideSubset([Finding(statement.file, 1, "view", reason)])
        self._follow_the_pointer()
        asked = [statement, *(self._views[name] for name in named)]
        names = sorted({rowset.table for each in asked for rowset in each.rowsets})
        versions = {name: self._refresh(name) for name in names}
        for name in named:
            self._make_view(name)
        return self._sql(statement), versions

    def _make_view(self, name: str) -> None:
        if name not in self._made:
            self._duckdb.execute(f"CREATE OR REPLACE VIEW {name} AS {self._sql(self._views[name])}")
            self._made.add(name)

    def _follow_the_pointer(self) -> None:
        """Forget the tables known so far if others are in use by now; all of one query come from the same place."""
        in_use = pointer.tables_in_use(self._root_url, self._options)
        if in_use != self._tables_url:
            self._tables_url, self._tables = in_use, {}

    def _refresh(self, name: str) -> int:
        """Register the table's newest version, if it is another one than before."""
        try:
            table = self._tables.get(name) or _Table(
                DeltaTable(f"{self._tables_url}/{name}", storage_options=self._options)
            )
        except TableNotFoundError:
            raise TableMissing(f"the read store has no table {name!r} yet: start the projector") from None
        self._tables[name] = table
        table.delta.update_incremental()
        if table.registered != table.delta.version():
            source = self._source(name, table.delta)
            self._duckdb.execute(f"CREATE OR REPLACE VIEW read_store.{name} AS {source}")
            table.registered = table.delta.version()
        return int(table.delta.version())

    def _source(self, name: str, delta: DeltaTable) -> str:
        columns = _delta_types(delta)
        typed = ", ".join(f'CAST("{column}" AS {_duckdb_type(kind)}) AS "{column}"' for column, kind in columns.items())
        files = delta.file_uris()
        if not files:
            nothing = ", ".join(f'CAST(NULL AS {_duckdb_type(kind)}) AS "{column}"' for column, kind in columns.items())
            return f"SELECT {nothing} WHERE false"
        if "://" in self._tables_url:
            self._duckdb.register(f"{name}_at_url", delta.to_pyarrow_dataset())
            return f"SELECT {typed} FROM {name}_at_url"
        listed = ", ".join("'" + unquote(file).replace("'", "''") + "'" for file in files)
        partitions = delta.metadata().partition_columns
        hive = ", ".join(f"'{column}': {_duckdb_type(columns[column])}" for column in partitions)
        options = (
            f", hive_partitioning = true, hive_types = {{{hive}}}" if partitions else ", hive_partitioning = false"
        )
        return f"SELECT {typed} FROM read_parquet([{listed}]{options})"

    def _sql(self, statement: Statement, pretty: bool = False) -> str:
        """The statement over `read_store`: each rowset becomes the columns it declares, of the table it names."""
        rowsets = {rowset.placeholder: rowset for rowset in statement.rowsets}

        def placed(node: exp.Expr) -> exp.Expr:
            rowset = rowsets.get(node.name) if isinstance(node, exp.Table) else None
            if rowset is None:
                return node
            self._check_columns(rowset, statement.file)
            columns = [exp.column(column.name, quoted=True) for column in rowset.columns]
            inner = exp.select(*columns).from_(exp.table_(rowset.table, db="read_store"))
            return inner.subquery(node.alias or rowset.table)

        return statement.duckdb().transform(placed).sql("duckdb", pretty=pretty)

    def _check_columns(self, rowset: Rowset, file: str) -> None:
        """Raises: `OutsideSubset` for a column that the table does not have, or has with another type."""
        if rowset.table not in self._tables:
            return
        there = _delta_types(self._tables[rowset.table].delta)
        findings = [
            Finding(file, column.line, "column", f"{rowset.table}.{column.name} is {there.get(column.name, 'missing')}")
            for column in rowset.columns
            if there.get(column.name) != _delta_type(column.type)
        ]
        if findings:
            raise OutsideSubset(findings)


@dataclass(slots=True)
class _Table:
    delta: DeltaTable
    registered: int = -1


def _delta_types(delta: DeltaTable) -> dict[str, str]:
    """Column -> Delta type in the protocol's words: "decimal(18,2)"."""
    return {str(field.name): str(getattr(field.type, "type", field.type)) for field in delta.schema().fields}


def _delta_type(tsql: str) -> str:
    if re.fullmatch(r"VARCHAR\(\d+\)", tsql):
        return "string"
    return DELTA_TYPE.get(tsql, tsql.lower())


def _duckdb_type(delta: str) -> str:
    return DUCKDB_TYPE.get(delta, delta.upper())


def _files(operators: list[dict[str, Any]]) -> Iterator[int]:
    """The number of files that each table scan in a profile has opened."""
    for operator in operators:
        found = re.match(r"\d+", str(operator.get("extra_info", {}).get("Total Files Read", "")))
        if found:
            yield int(found.group())
        yield from _files(operator.get("children", []))
