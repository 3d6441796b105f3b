"""One thread's handle of one table: as of one version until it is refreshed, with what has been read of that version.

Owns what is remembered between two batches: the numbers of app ids, and the rows of the days read last, if they are
few. Whoever writes alone thus reads the rows of a day once, and not again for its figures nor for the next batch.
Refuses to know what a batch is (`read_store`) and what a commit is made of (`tables`). Whatever another has committed
makes the handle forget, and `tables.put` commits on the version that was read or not at all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import pyarrow as pa
from deltalake import DeltaTable

from labkit.projections import tables
from labkit.projections.folds import NOTHING
from labkit.projections.tables import Positions, ReadModel

FEW_ROWS = 100_000
"""Of the days of a batch. Up to here they are kept in memory and written anew; beyond it MERGE is cheaper."""


ALL = frozenset([dt.date.min])
"""In place of the days of a table that is not by days."""


class Handle:
    """`table` is one version of the table until it is refreshed."""

    def __init__(self, model: ReadModel, table: DeltaTable) -> None:
        self.table = table
        self._model = model
        self._nothing: tuple[frozenset[dt.date], pa.Table] = frozenset(), model.schema.empty_table()
        self._held = self._nothing
        """Days and all rows of them."""
        self._numbers: dict[str, int] = {}
        self._version = NOTHING
        """What these two are of."""
        self._many: frozenset[dt.date] = frozenset()
        """Days that were seen to have more than a few rows together; they do not become fewer."""

    def number(self, app: str) -> int:
        """The number of this app id; -1 if there is none."""
        self._look()
        if app not in self._numbers:
            number = self.table.transaction_version(app)
            self._numbers[app] = NOTHING if number is None else number
        return self._numbers[app]

    def rows(self, days: Collection[dt.date]) -> pa.Table:
        """All rows of these days; of a table that is not by days, all rows."""
        self._look()
        wanted = self._wanted(days)
        if wanted != self._held[0]:
            found = tables.contents(self.table, self._model, self._model.bound(days))
            if found.num_rows > FEW_ROWS:
                self._many = wanted
                return found
            self._held = wanted, found
        return self._held[1]

    def commit(self, rows: pa.Table, days: Collection[dt.date], numbers: Positions) -> None:
        """Bring these rows, all of these days, into the table, and these numbers with them.

        Raises: `CommitFailedError` when another writer was faster.
        """
        self._look()
        model, before, wanted, there = self._model, self._version, self._wanted(days), None
        if rows.num_rows and not (self._many and self._many <= wanted):
            there = self.rows(days)
        if there is not None and there.num_rows <= FEW_ROWS:
            self._held = wanted, tables.put(self.table, model, rows, there, model.bound(days), numbers)
        else:
            tables.merge(self.table, rows, model.matching(days), model.guard, numbers)
            self._held = self._nothing if rows.num_rows else self._held
        self._version = before + 1  # not the table's if others came between: then all is forgotten
        self._numbers |= numbers

    def _wanted(self, days: Collection[dt.date]) -> frozenset[dt.date]:
        return frozenset(days) if self._model.partition_by else ALL

    def _look(self) -> None:
        """Forget what was remembered of another version."""
        if self._version != self.table.version():
            self._version, self._numbers, self._held = self.table.version(), {}, self._nothing
