"""Upkeep: what keeps tables that are written all day small and fast, in the writer's own loop.

Each commit leaves a small file, and the old version of each file that it rewrote. So every so many commits:
compaction (one file per day again), vacuum (files that no version of the last `retention_seconds` needs, and those of
commits that never came about), a checkpoint of the log, and the removal of log entries before it.

Who has opened a version reads it undisturbed for `retention_seconds`; going back in time ends there as well. The
retention is a property of each table, since delta-rs takes it from there to the second, and drops tombstones from
checkpoints by it. Vacuum looks at the files themselves, because a tombstone that a checkpoint has dropped is forgotten.

Source: Delta protocol, "Table properties"; deltalake 1.6.6, `vacuum(full=True)`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from labkit.projections.read_store import READ_MODELS, ReadStore, writing

logger = logging.getLogger(__name__)

FILE_RETENTION = "delta.deletedFileRetentionDuration"
LOG_RETENTION = "delta.logRetentionDuration"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How often, and how long an opened version stays readable. The next one is due `every_commits` later."""

    every_commits: int = 50
    retention_seconds: int = 120


UPKEEP = Upkeep()


@dataclass(frozen=True, slots=True)
class Kept:
    """What one turn did to one table, and the files and bytes that its latest version holds afterwards."""

    table: str
    files: int
    size_bytes: int
    compacted_files: int
    """Replaced by fewer, larger ones."""
    vacuumed_files: int


def keep(store: ReadStore, upkeep: Upkeep) -> list[Kept]:
    """One turn over all tables. Another writer's commit in between ends the turn of that table; the next one is due.

    Raises: `DiskFull`.
    """
    kept = []
    for model in READ_MODELS:
        try:
            with writing(store.url(model)):
                kept.append(keep_table(model.name, store.table(model), upkeep))
        except CommitFailedError as error:
            logger.info("no upkeep of %s this time: %s", model.name, error)
    return kept


def keep_table(name: str, table: DeltaTable, upkeep: Upkeep) -> Kept:
    """Raises: `CommitFailedError` when another writer came between."""
    wanted = dict.fromkeys((FILE_RETENTION, LOG_RETENTION), f"interval {upkeep.retention_seconds} seconds")
    if not wanted.items() <= table.metadata().configuration.items():
        table.alter.set_table_properties(wanted)
    compacted = table.optimize.compact()
    vacuumed = table.vacuum(dry_run=False, full=True)
    table.create_checkpoint()
    table.cleanup_metadata()
    sizes = pa.table(table.get_add_actions(flatten=True))["size_bytes"]
    return Kept(name, len(sizes), pc.sum(sizes).as_py() or 0, int(compacted["numFilesRemoved"]), len(vacuumed))
