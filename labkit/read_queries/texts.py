"""A question of the subset in DuckDB's words, over the tables as they are now.

Owns how the views' texts are put into a question's text, and where it finds the rows of each table: in its files; in a
data set, for tables at a URL, because DuckDB's Azure extension would have to be downloaded; or nowhere, where no file
can hold an answer. The text is made once for each of these, in as few subqueries as can be, because planning them takes
time in each question; the files are its parameters. The value of a partition column is in the path, so that a condition
on it leaves files out. In a file that is older than a column, that column is null.
Refuses to know how a text is run (`synapse`), and what T-SQL may be asked (`subset`); the columns that an OPENROWSET
declares are compared with the table's here.

Source: duckdb.org/docs/data/partitioning/hive_partitioning.
Known gap: Delta's TIMESTAMP is DATETIME2 (UTC without saying so) in Synapse and an aware instant here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.optimizer import merge_subqueries, qualify

from labkit.read_queries.rowsets import Finding, OutsideSubset
from labkit.read_queries.subset import Statement, line_of, name_of
from labkit.read_queries.tables import Days, TableVersion

DELTA_TYPE = {"INT": "integer", "BIGINT": "long", "DATETIME2(6)": "timestamp", "DATE": "date"}
"""T-SQL type -> Delta type, beside VARCHAR(n) -> string and DECIMAL(p,s) -> decimal(p,s)."""
DUCKDB_TYPE = {"integer": "INTEGER", "long": "BIGINT", "timestamp": "TIMESTAMPTZ", "date": "DATE", "string": "VARCHAR"}


class Text:
    """An accepted statement with those views that it names, and its DuckDB texts: one for each state of its tables.

    Raises: `OutsideSubset` for a view that there is not, and for a column that no table in it has, or several.
    """

    def __init__(self, statement: Statement, views: Mapping[str, Statement]) -> None:
        named = {name: view for name, view in views.items() if name in statement.tables}
        self._statements = (statement, *named.values())
        if findings := [finding for each in self._statements for finding in misnamed(each, views)]:
            raise OutsideSubset(findings)
        self._views = {name: over_tables(view) for name, view in named.items()}
        self._tree = over_tables(statement)
        self._texts: dict[tuple[str, ...], str] = {}
        self.tables = {rowset.table for each in self._statements for rowset in each.rowsets}

    def bound(
        self, cursor: duckdb.DuckDBPyConnection, tables: Mapping[str, TableVersion], days: Days | None
    ) -> tuple[str, dict[str, object]]:
        """DuckDB's text, and as its parameters the files. Raises: `OutsideSubset` for columns that a table lacks."""
        sources: list[str] = []
        given: dict[str, object] = {}
        for name, table in tables.items():
            if not (chosen := table.chosen(days)):
                sources.append(f"SELECT {typed(table, 'NULL')} WHERE false")
                continue
            if table.dataset is not None:
                rows = f"at_url_{name}"
                cursor.register(rows, table.dataset)
            else:
                rows = of_files(table, f"files_of_{name}")
                given[f"files_of_{name}"] = list(chosen)
            sources.append(f"""SELECT {typed(table, 't."{}"')} FROM {rows} AS t""")
        if tuple(sources) not in self._texts:
            self._check_columns(tables)
            self._texts[tuple(sources)] = self._text(dict(zip(tables, sources, strict=True)))
        return self._texts[tuple(sources)], given

    def _text(self, sources: Mapping[str, str]) -> str:
        read = {name: sqlglot.parse_one(source, read="duckdb", into=exp.Select) for name, source in sources.items()}

        def placed(node: exp.Expr) -> exp.Expr:
            if isinstance(node, exp.Table) and node.db == "dbo":
                return self._views[name_of(node)].copy().subquery(node.alias or node.name)
            if isinstance(node, exp.Table) and node.db == "read_store":
                return read[node.name].copy().subquery(node.name)
            return node

        tree = self._tree.transform(placed).transform(placed)  # once for views, once within them
        told = qualify.qualify(tree, dialect="duckdb", quote_identifiers=False, validate_qualify_columns=False)
        return merge_subqueries.merge_subqueries(told).sql("duckdb")

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


def misnamed(statement: Statement, views: Mapping[str, Statement]) -> Iterator[Finding]:
    """A table that is no view, or is called as another one; columns that no table here has, or several.

    ON sees the tables up to its own. ORDER BY may name what SELECT makes, alone and not within an expression."""
    there = {rowset.placeholder: (rowset.table, [one.name for one in rowset.columns]) for rowset in statement.rowsets}
    there |= {name: (name, view.select.named_selects) for name, view in views.items() if not statement.view}
    known, select = dict[str, tuple[str, list[str]]](), statement.select
    for table in select.find_all(exp.Table):
        name, columns = there.get(name_of(table), ("", []))
        if not name or (whose := table.alias or name.removeprefix("dbo.")) in known:
            there_are = "a view reads OPENROWSET alone" if statement.view else f"there are {', '.join(views)}"
            reason = f"two tables are called {whose}" if name else f"no view {name_of(table)}: {there_are}"
            yield Finding(statement.file, line_of(table), "view", reason)
            return
        known[whose] = f"{name} AS {table.alias}" if table.alias else name, columns
    for column in select.find_all(exp.Column):
        join, said = column.find_ancestor(exp.Join), ".".join(part.name for part in column.parts[:-1])
        later = {one.this.alias_or_name for one in select.args.get("joins", ()) if join and one.index > join.index}
        seen = {whose: of for whose, of in known.items() if whose not in later}
        owners = [whose for whose, of in seen.items() if said in ("", whose, of[0]) and column.name in of[1]]
        if not said and column.find_ancestor(exp.Order):
            alone = isinstance(column.parent, exp.Ordered)
            named = (exp.Alias, exp.Column) if alone else exp.Alias
            made = [e.sql("tsql") for e in select.expressions if isinstance(e, named) and e.output_name == column.name]
            owners = (made or owners) if alone else owners and owners + made
        if len(owners) != 1:
            there_are = "; ".join(f"{name} has {', '.join(columns)}" for name, columns in seen.values()) or "no table"
            several = f"{column.name} is in {' and in '.join(owners)}: say whose"
            reason = several if owners else f"no column {column.sql('tsql')}: {there_are}"
            yield Finding(statement.file, line_of(column), "column", reason)


def typed(table: TableVersion, value: str) -> str:
    """Each column in DuckDB's words, cast from `value`, in which `{}` is its name."""
    kinds = {name: DUCKDB_TYPE.get(kind, kind.upper()) for name, kind in table.types.items()}
    return ", ".join(f'CAST({value.format(name)} AS {kind}) AS "{name}"' for name, kind in kinds.items())


def of_files(table: TableVersion, parameter: str) -> str:
    """What DuckDB reads from the files that the parameter lists."""
    hive = ", ".join(f"'{name}': {DUCKDB_TYPE[table.types[name]]}" for name in table.partition_by)
    options = f"hive_partitioning = true, hive_types = {{{hive}}}" if hive else "hive_partitioning = false"
    if not table.uneven:
        return f"read_parquet(${parameter}, {options})"
    every = f"SELECT * FROM read_parquet(${parameter}, {options}, union_by_name = true)"
    return f"({every} UNION ALL BY NAME SELECT {typed(table, 'NULL')} WHERE false)"


def over_tables(statement: Statement) -> exp.Select:
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


def _delta_type(tsql: str) -> str:
    return "string" if tsql.startswith("VARCHAR(") else DELTA_TYPE.get(tsql, tsql.lower())
