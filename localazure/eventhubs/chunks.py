"""Chunks on disk: what one transfer brought is one row, found again by sequence number.

Owns: the table of chunks, reading it, and removing from it. Refuses to know: how chunks get there (`intake`).

How: a row holds the events of a chunk as they will be delivered, one after the other, and their sizes. Its key is
`partition << 40 | sequence number of the first`, so a partition is a range of the rowid tree and appending is always at
its end. What is removed goes little by little.

Source: sqlite.org/rowidtable.html; learn.microsoft.com/azure/event-hubs/event-hubs-features (retention, offsets).
"""

from __future__ import annotations

import logging
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from localazure.eventhubs.refusals import Unreadable
from localazure.journal import Journal

logger = logging.getLogger(__name__)

SEQUENCE_BITS = 40
SIZE_BYTES = 4
"""What one size takes in a chunk's `sizes`."""
CHUNKS_PER_SWEEP = 64

SCHEMA = """
CREATE TABLE IF NOT EXISTS chunks (
    key INTEGER PRIMARY KEY, first_offset INTEGER NOT NULL, enqueued_ms INTEGER NOT NULL,
    sizes BLOB NOT NULL, events BLOB NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive events of one partition, ready to be delivered."""

    first_sequence: int
    first_offset: int
    enqueued_ms: int
    sizes: tuple[int, ...]
    events: bytes


def insert(connection: sqlite3.Connection, chunks: Iterable[tuple[int, Chunk]]) -> None:
    """Add chunks, each with the id of its partition; to be called within a work of the journal."""
    rows = (
        (
            partition << SEQUENCE_BITS | one.first_sequence,
            one.first_offset,
            one.enqueued_ms,
            struct.pack(f"<{len(one.sizes)}I", *one.sizes),
            one.events,
        )
        for partition, one in chunks
    )
    connection.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", rows)


class Chunks:
    """The chunks of one service that the file holds. Reading answers at once; raises `Unreadable` for damage."""

    def __init__(self, journal: Journal, reader: sqlite3.Connection) -> None:
        self._journal = journal
        self._reader = reader
        self.closed = False

    def read(self, partition: int, sequence: int, most_bytes: int) -> list[Chunk]:
        """Chunks from the one that holds `sequence` (or the next later event), until `most_bytes` are exceeded."""
        base = partition << SEQUENCE_BITS
        found = []
        read_bytes = 0
        with self._reading(
            "SELECT key, first_offset, enqueued_ms, sizes, events FROM chunks WHERE key >= coalesce("
            "(SELECT max(key) FROM chunks WHERE key BETWEEN ? AND ?), ?) AND key < ? ORDER BY key",
            (base, base + sequence, base, base + (1 << SEQUENCE_BITS)),
        ) as rows:
            for key, first_offset, enqueued_ms, sizes, events in rows:
                unpacked = struct.unpack(f"<{len(sizes) // SIZE_BYTES}I", sizes)
                if sum(unpacked) != len(events):
                    raise sqlite3.DatabaseError("the events of a row are not as long as their sizes say")
                found.append(Chunk(key - base, first_offset, enqueued_ms, unpacked, events))
                read_bytes += len(events)
                if read_bytes > most_bytes:
                    break
        return found

    def first_sequence(self, partition: int) -> int | None:
        """The oldest event that the file keeps."""
        base = partition << SEQUENCE_BITS
        with self._reading(
            "SELECT min(key) FROM chunks WHERE key BETWEEN ? AND ?", (base, base + (1 << SEQUENCE_BITS) - 1)
        ) as rows:
            (key,) = rows.fetchone()
        return None if key is None else int(key) - base

    def first_from(self, partition: int, first: int, end: int) -> tuple[int, int, int] | None:
        """First sequence, first offset and enqueued ms of the first chunk that begins from `first` up to `end`."""
        base = partition << SEQUENCE_BITS
        with self._reading(
            "SELECT key, first_offset, enqueued_ms FROM chunks WHERE key BETWEEN ? AND ? ORDER BY key LIMIT 1",
            (base + first, base + end - 1),
        ) as rows:
            row = rows.fetchone()
        return None if row is None else (row[0] - base, row[1], row[2])

    @contextmanager
    def _reading(self, query: str, values: tuple[int, ...]) -> Iterator[sqlite3.Cursor]:
        """The rows of a query; what is damaged is said in the log and to whoever asked."""
        try:
            with closing(self._reader.execute(query, values)) as rows:
                yield rows
        except (sqlite3.DatabaseError, struct.error, TypeError) as error:
            logger.error("events on disk cannot be read: %s", error)
            raise Unreadable(f"The events on disk are damaged there and cannot be read: {error}") from error

    def remove(self, partition: int, before_ms: int, least_offset: int) -> None:
        """Have whole chunks removed, from the front, that are older or begin before the offset."""
        base = partition << SEQUENCE_BITS

        def work(connection: sqlite3.Connection) -> int:
            keys = [
                key
                for key, first_offset, enqueued_ms in connection.execute(
                    "SELECT key, first_offset, enqueued_ms FROM chunks WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?",
                    (base, base + (1 << SEQUENCE_BITS) - 1, CHUNKS_PER_SWEEP),
                )
                if enqueued_ms < before_ms or first_offset < least_offset
            ]
            connection.executemany("DELETE FROM chunks WHERE key = ?", [(key,) for key in keys])
            return len(keys)

        self._sweep(work, lambda: self.remove(partition, before_ms, least_offset))

    def remove_all(self, partitions: Sequence[int]) -> int:
        """Remove every event of these partitions, durably; how many."""

        def work(connection: sqlite3.Connection) -> int:
            events = 0
            for base in (partition << SEQUENCE_BITS for partition in partitions):
                span = (base, base + (1 << SEQUENCE_BITS) - 1)
                (size_bytes,) = connection.execute(
                    "SELECT coalesce(sum(length(sizes)), 0) FROM chunks WHERE key BETWEEN ? AND ?", span
                ).fetchone()
                connection.execute("DELETE FROM chunks WHERE key BETWEEN ? AND ?", span)
                events += size_bytes // SIZE_BYTES
            return events

        return self._journal.run(work)

    def remove_dropped(self, partition: int) -> None:
        """Have all chunks of a partition removed whose hub has gone, and then the partition."""
        base = partition << SEQUENCE_BITS

        def work(connection: sqlite3.Connection) -> int:
            removed = connection.execute(
                "DELETE FROM chunks WHERE key IN (SELECT key FROM chunks WHERE key BETWEEN ? AND ? LIMIT ?)",
                (base, base + (1 << SEQUENCE_BITS) - 1, CHUNKS_PER_SWEEP),
            ).rowcount
            if removed < CHUNKS_PER_SWEEP:
                connection.execute("DELETE FROM partitions WHERE id = ? AND hub IS NULL", (partition,))
            return removed

        self._sweep(work, lambda: self.remove_dropped(partition))

    def _sweep(self, work: Callable[[sqlite3.Connection], int], again: Callable[[], None]) -> None:
        def done(removed: int | None, error: BaseException | None) -> None:
            if error is not None:
                logger.error("removing old events failed: %s", error)
            elif removed == CHUNKS_PER_SWEEP and not self.closed:
                again()

        self._journal.submit(work, done)
