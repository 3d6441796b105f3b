"""The views of `sql/` answered here: the same T-SQL, run by DuckDB over the same Delta tables.

Owns: one DuckDB database, in UTC and without downloads, and the DuckDB text of each question, made once. Each time it
is asked, the files of one version of each of its tables are bound to it as parameters: an answer sees whole versions,
whatever is committed meanwhile. Threads ask beside each other.
Refuses to know: what the rows mean, and which tables and files there are (`tables`). What T-SQL may be asked is decided
in `subset`, what an OPENROWSET may say in `rowsets`; here its declared columns are compared with the table's.

Tables in a folder are read by DuckDB's own Parquet reader from the files that the Delta log names; the value of a
partition column is in the path, so a condition on it leaves files out. Who knows the days beforehand says so, and files
of other days are not even named. In a file that is older than a column, that column is null. Tables at a URL are read
through PyArrow, because DuckDB's Azure extension would have to be downloaded.

Source: duckdb.org/docs/data/partitioning/hive_partitioning.
Known gap: Delta's TIMESTAMP is DATETIME2 (UTC without saying so) in Synapse and an aware instant here.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import sqlglot
from deltalake.exceptions import DeltaError
from sqlglot import exp

from labkit.read_queries.rowsets import Finding, OutsideSubset
from labkit.read_queries.subset import AVERAGE_MACRO, Statement, read_statement
from labkit.read_queries.tables import Days, Hub, TableMissing, Tables, TableVersion

__all__ = ["Answer", "FilesRead", "Hub", "Synapse", "TableMissing"]

SQL_FOLDER = Path(__file__).resolve().parents[2] / "sql"
DELTA_TYPE = {"INT": "integer", "BIGINT": "long", "DATETIME2(6)": "timestamp", "DATE": "date"}
"""T-SQL type -> Delta type, beside VARCHAR(n) -> string and DECIMAL(p,s) -> decimal(p,s)."""
DUCKDB_TYPE = {"integer": "INTEGER", "long": "BIGINT", "timestamp": "TIMESTAMPTZ", "date": "DATE", "string": "VARCHAR"}
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
    """The earliest of the tables' last commits: nothing that happened later is in this answer. None: not known."""

    def frame(self) -> pd.DataFrame:
        """Typed by Arrow: decimals stay decimals, days are days. What the answer rests on is in `attrs`."""
        frame: pd.DataFrame = self.rows.to_pandas(types_mapper=pd.ArrowDtype)
        frame.attrs |= {"table_versions": self.versions, "positions": self.positions, "as_of": self.as_of}
        return frame


class Synapse:
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
        self._tables = Tables(tables_url, storage_options, hub)
        self._texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(sql_folder.glob("*.sql"))}
        self._views = {name: read_statement(text, f"sql/{name}.sql") for name, text in self._texts.items()}
        self._asked: dict[tuple[str, frozenset[str]], _Question] = {}
        self._duckdb = duckdb.connect(
            config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        )
        self._duckdb.execute("SET GLOBAL TimeZone = 'UTC'")  # of every cursor
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
        """What DuckDB is given for this view; `read_store.orders` stands for the files of that table."""
        self.tsql(view)
        return _over_tables(self._views[view]).sql("duckdb", pretty=True)

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
        question = self._question(tsql, waive)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                tables = self._tables.now(question.tables)
                return self._run(question, tables, dict(parameters or {}), days)
            except (duckdb.IOException, DeltaError, TableMissing):
                if attempt == ATTEMPTS:
                    raise
                self._tables.forget()
        raise AssertionError("unreachable")

    def positions(self, table: str) -> Mapping[str, int]:
        """Hub partition -> the last sequence number that this table has now. Raises: `TableMissing`."""
        return self._tables.now([table])[table].positions

    def files_read(
        self,
        tsql: str,
        parameters: Mapping[str, object] | None = None,
        *,
        days: Days | None = None,
        waive: Collection[str] = (),
    ) -> FilesRead:
        """Run the query and count the data files it opened, as DuckDB's own profile says."""
        question = self._question(tsql, waive)
        tables = self._tables.now(question.tables)
        with self._duckdb.cursor() as cursor:
            sql, files = question.bound(cursor, tables, days)
            explained = cursor.execute(f"EXPLAIN (ANALYZE, FORMAT json) {sql}", {**(parameters or {}), **files})
            (profile,) = explained.fetchall()
        total = sum(len(table.files) for table in tables.values())
        return FilesRead(sum(_files(json.loads(profile[1])["operator"])), total)

    def close(self) -> None:
        self._duckdb.close()

    def __enter__(self) -> Synapse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _question(self, tsql: str, waive: Collection[str]) -> _Question:
        key = (tsql, frozenset(waive))
        if key not in self._asked:
            if len(self._asked) == MADE_TEXTS:
                self._asked.clear()
            self._asked[key] = self._read(*key)
        return self._asked[key]

    def _read(self, tsql: str, waive: frozenset[str]) -> _Question:
        statement = read_statement(tsql, waive=waive)
        if statement.view:
            raise OutsideSubset([Finding(statement.file, 1, "statement", "views are made by the files in sql/ alone")])
        named = [name for name in statement.tables if not name.startswith("rowset_")]
        for name in named:
            if name not in self._views:
                reason = f"no view {name}: there are {', '.join(self._views)}"
                raise OutsideSubset([Finding(statement.file, 1, "view", reason)])
        return _Question(statement, {name: self._views[name] for name in named})

    def _run(
        self, question: _Question, tables: Mapping[str, TableVersion], parameters: dict[str, object], days: Days | None
    ) -> Answer:
        with self._duckdb.cursor() as cursor:
            sql, files = question.bound(cursor, tables, days)
            rows = cursor.execute(sql, {**parameters, **files}).to_arrow_table()
        return Answer(
            rows,
            {name: table.version for name, table in tables.items()},
            {name: table.positions for name, table in tables.items()},
            min((table.committed_at for table in tables.values()), default=dt.datetime.now(dt.UTC)),
        )


class _Question:
    """An accepted statement with the views it names, and its DuckDB texts: one for each state of its tables."""

    def __init__(self, statement: Statement, views: Mapping[str, Statement]) -> None:
        self._statements = (statement, *views.values())
        self._views = {name: _over_tables(view) for name, view in views.items()}
        self._tree = _over_tables(statement)
        self._texts: dict[tuple[str, ...], str] = {}
        self.tables = {rowset.table for each in self._statements for rowset in each.rowsets}

    def bound(
        self, cursor: duckdb.DuckDBPyConnection, tables: Mapping[str, TableVersion], days: Days | None
    ) -> tuple[str, dict[str, object]]:
        """DuckDB's text, and the files as its parameters. Raises: `OutsideSubset` for columns that a table lacks."""
        sources: list[str] = []
        files: dict[str, object] = {}
        for name, table in tables.items():
            chosen = table.chosen(days)
            sources.append(_source(table, empty=not chosen))
            if table.dataset is not None:
                cursor.register(f"at_url_{name}", table.dataset)
            elif chosen:
                files[f"files_of_{name}"] = list(chosen)
        if tuple(sources) not in self._texts:
            self._check_columns(tables)
            self._texts[tuple(sources)] = self._text(dict(zip(tables, sources, strict=True)))
        return self._texts[tuple(sources)], files

    def _text(self, sources: Mapping[str, str]) -> str:
        read = {name: sqlglot.parse_one(source, read="duckdb", into=exp.Select) for name, source in sources.items()}

        def placed(node: exp.Expr) -> exp.Expr:
            if isinstance(node, exp.Table) and node.db == "dbo":
                return self._views[f"dbo.{node.name}".lower()].copy().subquery(node.alias or node.name)
            if isinstance(node, exp.Table) and node.db == "read_store":
                return read[node.name].copy().subquery(node.name)
            return node

        return self._tree.transform(placed).transform(placed).sql("duckdb")  # once for views, once within them

    def _check_columns(self, tables: Mapping[str, TableVersion]) -> None:
        findings = [
            Finding(each.file, column.line, "column", f"{rowset.table}.{column.name} is {there or 'missing'}")
            for each in self._statements
            for rowset in each.rowsets
            for column in rowset.columns
            if (there := tables[rowset.table].types.get(column.name)) != _delta_type(column.type)
        ]
        if findings:
            raise OutsideSubset(findings)


def _over_tables(statement: Statement) -> exp.Select:
    """The statement in DuckDB's words, over `read_store`: each rowset becomes the columns it declares."""
    rowsets = {rowset.placeholder: rowset for rowset in statement.rowsets}

    def placed(node: exp.Expr) -> exp.Expr:
        rowset = rowsets.get(node.name) if isinstance(node, exp.Table) else None
        if rowset is None:
            return node
        columns = [exp.column(column.name, quoted=True) for column in rowset.columns]
        inner = exp.select(*columns).from_(exp.table_(rowset.table, db="read_store"))
        return inner.subquery(node.alias or rowset.table)

    tree = statement.duckdb().transform(placed)
    assert isinstance(tree, exp.Select)
    return tree


def _source(table: TableVersion, *, empty: bool) -> str:
    """Where DuckDB finds the rows: in the files of a parameter, in a registered data set, or nowhere."""
    given = "NULL" if empty else '"{}"'
    columns = [(name, DUCKDB_TYPE.get(kind, kind.upper())) for name, kind in table.types.items()]
    typed = ", ".join(f'CAST({given.format(name)} AS {kind}) AS "{name}"' for name, kind in columns)
    if empty:
        return f"SELECT {typed} WHERE false"
    if table.dataset is not None:
        return f"SELECT {typed} FROM at_url_{table.name}"
    hive = ", ".join(f"'{column}': {dict(columns)[column]}" for column in table.partition_by)
    options = f", hive_partitioning = true, hive_types = {{{hive}}}" if hive else ", hive_partitioning = false"
    files = f"read_parquet($files_of_{table.name}{options}"
    if not table.uneven:
        return f"SELECT {typed} FROM {files})"
    nothing = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns)
    every = f"SELECT * FROM {files}, union_by_name = true) UNION ALL BY NAME SELECT {nothing} WHERE false"
    return f"SELECT {typed} FROM ({every})"


def _delta_type(tsql: str) -> str:
    if re.fullmatch(r"VARCHAR\(\d+\)", tsql):
        return "string"
    return DELTA_TYPE.get(tsql, tsql.lower())


def _files(operators: list[dict[str, Any]]) -> Iterator[int]:
    """The number of files that each table scan in a profile has opened."""
    for operator in operators:
        found = re.match(r"\d+", str(operator.get("extra_info", {}).get("Total Files Read", "")))
        if found:
            yield int(found.group())
        yield from _files(operator.get("children", []))
