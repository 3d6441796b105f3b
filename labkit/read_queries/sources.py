"""Where DuckDB finds the rows of a table: in the files of one version, or in a copy of them in its memory.

Owns how files are read, which tables are copied, and how long a copy lives. Small tables are copied once for their
files, because most questions join one of them. A table that is by days is not: of its files, a question opens few. A
commit of positions alone changes no file, so the copy stays. Two copies of a table are kept, so that whoever has chosen
one can still ask it; who comes later than that chooses again (`Synapse.answer`).

The value of a partition column is in the path, so that a condition on it leaves files out. In a file that is older than
a column, that column is null.
Source: duckdb.org/docs/data/partitioning/hive_partitioning.
"""

from __future__ import annotations

import threading
from itertools import count

import duckdb

from labkit.read_queries.tables import TableVersion

DUCKDB_TYPE = {"integer": "INTEGER", "long": "BIGINT", "timestamp": "TIMESTAMPTZ", "date": "DATE", "string": "VARCHAR"}
ROWS_AT_MOST = 200_000
"""Larger tables are read from their files each time: copying one takes as long as some twenty questions save."""
COPIES = 2


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


class Held:
    """The copies in one DuckDB database. Threads may share it."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        self._copies: dict[str, dict[tuple[str, ...], str]] = {}
        self._numbers = count()
        self._lock = threading.Lock()

    def copy_of(self, table: TableVersion) -> str:
        """The name of the table in memory with the rows of these files. Raises: `duckdb.IOException`."""
        files = tuple(table.files)
        with self._lock:
            copies = self._copies.setdefault(table.name, {})
            if files not in copies:
                name = f"held_{table.name}_{next(self._numbers)}"
                with self._database.cursor() as cursor:
                    cursor.execute(f"CREATE TABLE {name} AS SELECT * FROM {of_files(table, 'files')}", {"files": files})
                    for old in list(copies)[: 1 - COPIES]:
                        cursor.execute(f"DROP TABLE {copies.pop(old)}")
                copies[files] = name
            return copies[files]
