"""The Delta tables as a query finds them: one version of each, its files, and how far it had come.

Owns: which tables are in use (after a rebuild they are others), when a table must be looked at again, and which of its
files hold which days. Refuses to know SQL. A version once looked at stays what it is, whatever is committed meanwhile;
threads look one at a time and read beside each other.

Positions are what the projector recorded in the commit (`read_store`); nothing is asked of Event Hubs.
Source: docs.delta.io.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from labkit.errors import LabError
from labkit.projections import pointer
from labkit.projections.folds import NOTHING
from labkit.projections.tables import is_newest

DAY_OF_FILE = re.compile(r"/created_day=(\d{4}-\d{2}-\d{2})/")
UPKEEP = ("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "ADD COLUMN")
"""Commits that change no row: a table is no fresher for them."""
LAST_COMMITS = 6

Days = tuple[dt.date, dt.date]
"""First and last day, both included."""


class TableMissing(LabError, LookupError):
    """The read store has no such table: no projector has written here yet."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Whose positions are reported: a name and the numbers of its partitions."""

    name: str
    partition_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One version of one table."""

    name: str
    version: int
    types: Mapping[str, str]
    """Column -> type in Delta's words: "decimal(18,2)"."""
    files: Sequence[str]
    of_day: Mapping[str, Sequence[str]]
    """Day -> files, in a table by days."""
    partition_by: Sequence[str]
    uneven: bool
    """Whether a file may lack a column: it was written before that column came."""
    positions: Mapping[str, int]
    """Hub partition -> the last sequence number in it; empty if no hub was named."""
    committed_at: dt.datetime
    """Of the last commit of rows: nothing that happened later is in it."""
    rows_of: Mapping[str, int | None]
    """File -> how many rows, if its statistics tell."""
    entry: tuple[int, int] | None
    """The mark of the log's entry that made it."""
    dataset: Any = None
    """For a table at a URL."""

    def chosen(self, days: Days | None) -> Sequence[str]:
        """The files of these days; all of them if no day was named, or the table is not by days."""
        if days is None or not self.of_day:
            return self.files
        first, last = (day.isoformat() for day in days)
        if first == last:
            return self.of_day.get(first, ())
        return [file for day, files in self.of_day.items() if first <= day <= last for file in files]

    def rows(self, days: Days | None = None) -> int | None:
        """How many there are in the files of these days; None if one of them does not tell."""
        counts = [self.rows_of[file] for file in self.chosen(days)]
        return None if None in counts else sum(cast(list[int], counts))


class Tables:
    """The tables below one URL. Threads may share it."""

    def __init__(self, root_url: str, options: Mapping[str, str] | None, hub: Hub | None) -> None:
        self._root_url = root_url.rstrip("/")
        self._options = dict(options) if options else None
        self._hub = hub or Hub("", ())
        self._in_use = ""
        self._known: dict[str, tuple[DeltaTable, TableVersion]] = {}
        self._lock = threading.Lock()

    def now(self, names: Collection[str]) -> dict[str, TableVersion]:
        """The newest version of each, all of them from the tables in use. Raises: `TableMissing`."""
        with self._lock:
            return self._now(names)

    def recorded(self, name: str, app: str) -> int:
        """The number of this app id in the table as it is now (`read_store`). Raises: `TableMissing`."""
        with self._lock:
            self._now([name])
            return _recorded(self._known[name][0], app)

    def forget(self) -> None:
        """Look at everything anew next time."""
        with self._lock:
            self._in_use, self._known = "", {}

    def _now(self, names: Collection[str]) -> dict[str, TableVersion]:
        in_use = pointer.folder_url(self._root_url, pointer.read(self._root_url, self._options).current)
        if in_use != self._in_use:
            self._in_use, self._known = in_use, {}
        return {name: self._newest(name) for name in sorted(set(names))}

    def _newest(self, name: str) -> TableVersion:
        url = f"{self._in_use}/{name}"
        delta, table = self._known.pop(name, (None, None))
        if table and not pointer.is_url(url) and (table.entry is None or table.entry != _entry(url, table.version)):
            delta, table = None, None  # another table has taken its place, or the log was cleaned
        if delta is None or table is None or not is_newest(url, table.version):
            try:
                delta = delta or DeltaTable(url, storage_options=self._options)
                delta.update_incremental()
                if table is None or table.version != delta.version():
                    table = self._looked_at(name, delta, table)
            except TableNotFoundError:
                raise TableMissing(f"the read store has no table {name!r} yet: start the projector") from None
        self._known[name] = (delta, table)
        return table

    def _looked_at(self, name: str, delta: DeltaTable, before: TableVersion | None) -> TableVersion:
        noted = _noted(f"{self._in_use}/{name}", before.version, int(delta.version())) if before else None
        told = {action["txn"]["appId"]: action["txn"]["version"] for action in noted or () if "txn" in action}
        apps = {part: f"{name}/{self._hub.name}/{part}" for part in self._hub.partition_ids}
        positions = {
            part: _recorded(delta, app) if before is None or noted is None else told.get(app, before.positions[part])
            for part, app in apps.items()
        }
        files = [unquote(file) for file in delta.file_uris()]
        of_day: dict[str, list[str]] = {}
        for file in files:
            if day := DAY_OF_FILE.search(file):
                of_day.setdefault(day[1], []).append(file)
        added, by = pa.table(delta.get_add_actions(flatten=True)), delta.metadata().partition_columns
        types = {str(field.name): str(getattr(field.type, "type", field.type)) for field in delta.schema().fields}
        # a file's statistics count the nulls of every column that it has
        counts = [f"null_count.{column}" for column in types if column not in by]
        at_url = pointer.is_url(self._in_use)
        return TableVersion(
            name,
            int(delta.version()),
            types,
            files,
            of_day,
            by,
            any(column not in added.column_names or added[column].null_count > 0 for column in counts),
            positions,
            _committed_at(delta, before, noted),
            dict(zip(files, added["num_records"].to_pylist(), strict=True)),
            _entry(f"{self._in_use}/{name}", int(delta.version())),
            delta.to_pyarrow_dataset() if at_url and files else None,
        )


def _noted(url: str, after: int, last: int) -> list[dict[str, Any]] | None:
    """What the log's entries after this version say beside files; None if one is not there, as of any table at a URL.

    These are small, and delta-rs reads the log from its last checkpoint for each number that it is asked for.
    Source: the protocol of Delta Lake, "Delta Log Entries".
    """
    said: list[dict[str, Any]] = []
    with suppress(OSError):
        for version in range(after + 1, last + 1):
            lines = Path(url, "_delta_log", f"{version:020}.json").read_bytes().splitlines()
            said += [json.loads(line) for line in lines if not line.startswith((b'{"add"', b'{"remove"'))]
        return said
    return None


def _entry(url: str, version: int) -> tuple[int, int] | None:
    """The mark of this version's entry in the log of a table in a folder; None if it has gone into a checkpoint."""
    with suppress(OSError):  # as at a URL
        entry = os.stat(os.path.join(url, "_delta_log", f"{version:020}.json"))
        return entry.st_mtime_ns, entry.st_size
    return None


def _recorded(delta: DeltaTable, app: str) -> int:
    number = delta.transaction_version(app)
    return NOTHING if number is None else int(number)


def _committed_at(delta: DeltaTable, before: TableVersion | None, noted: list[dict[str, Any]] | None) -> dt.datetime:
    """When rows were committed last. Upkeep may have taken that commit from the log: then what was known before."""
    seen = [action["commitInfo"] for action in reversed(noted or ()) if "commitInfo" in action]
    commits = seen or delta.history(LAST_COMMITS)
    if not commits:
        raise TableNotFoundError("the log has been deleted since")
    of_rows = [commit for commit in commits if commit.get("operation") not in UPKEEP]
    if not of_rows and before:
        return before.committed_at
    return dt.datetime.fromtimestamp((of_rows or commits[-1:])[0]["timestamp"] / 1000, dt.UTC)
