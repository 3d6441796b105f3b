"""Two versions of the read models side by side, row by row. Pure: Arrow tables in, differences out.

Rows are compared at equal versions. Where one side is ahead (it was read from the history, which is ahead of the hub),
its row is folded again to the other's version by whoever asks, so that no row goes by unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

Values = Mapping[str, Any]
LOOKED_UP_AT_MOST = 1_000
"""Rows of a table that are folded again; each costs a query of the history."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not the same; None on the side that lacks it."""

    table: str
    key: str
    in_use: Values | None
    rebuilt: Values | None

    def __str__(self) -> str:
        if self.in_use is None or self.rebuilt is None:
            return f"{self.table} {self.key}: only in the {'rebuilt' if self.in_use is None else 'used'} table"
        changed = [name for name in self.in_use if self.in_use[name] != self.rebuilt[name]]
        told = ", ".join(f"{name} {self.in_use[name]} -> {self.rebuilt[name]}" for name in changed)
        return f"{self.table} {self.key}: {told}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out: `rows` compared, of which the rebuilt tables were `ahead`, the differences; `unchecked` rows were
    ahead too, and too many to be looked up."""

    rows: int
    ahead: int
    unchecked: int
    differences: list[Difference]

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def compared(
    table: str, key: str, in_use: pa.Table, rebuilt: pa.Table, at_version: Callable[[str, int], Values | None]
) -> Comparison:
    """Compare two tables that have a `version`; `at_version` folds an aggregate's history up to a version."""
    unlike = without(in_use, rebuilt)
    others = rebuilt.filter(pc.is_in(rebuilt[key], unlike[key].combine_chunks())).to_pylist()
    there = {row[key]: row for row in others}
    differences, ahead, unchecked = [], 0, 0
    for row in unlike.sort_by(key).to_pylist():
        other = there.get(row[key])
        if other is not None and other["version"] > row["version"]:
            ahead += 1
            if ahead > LOOKED_UP_AT_MOST:
                unchecked += 1
                continue
            other = at_version(row[key], row["version"])
        if other != row:
            differences.append(Difference(table, row[key], row, other))
    missing = pc.sum(pc.invert(pc.is_in(rebuilt[key], in_use[key].combine_chunks()))).as_py() or 0
    return Comparison(in_use.num_rows, ahead + missing, unchecked, differences)


def same_figures(table: str, key: str, in_use: pa.Table, derived: pa.Table) -> Comparison:
    """Compare two tables of figures, which have no version: they belong to the same moment, or to none."""
    here = {row[key]: row for row in without(in_use, derived).to_pylist()}
    there = {row[key]: row for row in without(derived, in_use).to_pylist()}
    differences = [Difference(table, str(day), here.get(day), there.get(day)) for day in sorted(here.keys() | there)]
    return Comparison(in_use.num_rows, 0, 0, differences)


def without(rows: pa.Table, others: pa.Table) -> pa.Table:
    """The rows that `others` does not hold exactly so."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("here", rows)
        connection.register("there", others)
        return connection.sql("SELECT * FROM here EXCEPT SELECT * FROM there").to_arrow_table().cast(rows.schema)
