"""Upkeep: what keeps tables that are written all day small and fast, in the writer's own loop.

Each commit leaves a small file, and the old version of each file that it rewrote. So every so many commits, first what
makes room and then what needs some: the removal of log entries before the last checkpoint, vacuum (files that no
version of the last `retention_seconds` needs, and those of commits that never came about), compaction (one file per day
again), a checkpoint of the log. What a turn has compacted is thus vacuumed by a later one.

A turn that fails ends no projector: the tables are right without it. It is told (a warning in the log),
and the next one is due as ever.

Who has opened a version reads it undisturbed for `retention_seconds`; going back in time ends there as well. The
retention is a property of each table, since delta-rs takes it from there to the second, and drops tombstones from
checkpoints by it. Vacuum looks at the files themselves, because a tombstone that a checkpoint has dropped is forgotten.
delta-rs says which, and they are deleted here: its own deletion begins with an entry in the log, for which a full disk
has no room.

Source: Delta protocol, "Table properties"; deltalake 1.6.6, `vacuum(full=True)`.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from deltalake.exceptions import CommitFailedError, DeltaError

from labkit.errors import LabError
from labkit.projections import pointer
from labkit.projections.read_store import ReadStore
from labkit.projections.tables import READ_MODELS, ReadModel, writing

logger = logging.getLogger(__name__)

FILE_RETENTION = "delta.deletedFileRetentionDuration"
LOG_RETENTION = "delta.logRetentionDuration"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How often, and how long an opened version stays readable. The next one is due `every_commits` later."""

    every_commits: int = 50
    retention_seconds: int = 120


UPKEEP = Upkeep()


def keep(store: ReadStore, upkeep: Upkeep) -> None:
    """One turn over all tables; what fails is told and tried again by the next one.

    Another writer's commit in between ends the turn of that table, which is no failure.
    """
    for model in READ_MODELS:
        try:
            with writing(store.url(model)):
                keep_table(store, model, upkeep)
        except CommitFailedError as error:
            logger.info("no upkeep of %s this time: %s", model.name, error)
        except (LabError, DeltaError, OSError) as error:
            logger.warning("the upkeep of %s failed: %s", model.name, error)


def keep_table(store: ReadStore, model: ReadModel, upkeep: Upkeep) -> None:
    """Raises: `CommitFailedError` when another writer came between."""
    table = store.table(model)
    wanted = dict.fromkeys((FILE_RETENTION, LOG_RETENTION), f"interval {upkeep.retention_seconds} seconds")
    if not wanted.items() <= table.metadata().configuration.items():
        table.alter.set_table_properties(wanted)
    table.cleanup_metadata()
    needless, there = table.vacuum(full=True), pointer.object_store(store.url(model), store.options)
    for path in needless:
        with suppress(FileNotFoundError):  # another writer's upkeep was faster
            there.delete_file(path)
    compacted = table.optimize.compact()
    table.create_checkpoint()
    logger.debug("%s: %d files compacted, %d deleted", model.name, compacted["numFilesRemoved"], len(needless))
