"""The partition log: events on disk, in order, found again by sequence number.

Owns: the SQLite file of the service: hubs, consumer groups, partitions, and chunks. Refuses to know: AMQP links.

How: what one transfer brought is one row, a chunk: its events as they will be delivered, one after the other, and
their sizes. The row's key is `partition << 40 | sequence number of the first`, so a partition is a range of the rowid
tree and appending is always at its end. Sequence numbers, offsets and enqueued times are given out inside the writing
transaction, from the partition's own row: a failed commit leaves no gap, a restart goes on where the disk stands.
A dropped partition's chunks are removed little by little, also after a restart.

Source: sqlite.org/rowidtable.html; learn.microsoft.com/azure/event-hubs/event-hubs-features (retention, offsets).
"""

from __future__ import annotations

import logging
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from localazure.eventhubs.messages import Event, stamp
from localazure.eventhubs.refusals import EntityGone, Unreadable
from localazure.journal import Journal, Post

logger = logging.getLogger(__name__)

SEQUENCE_BITS = 40
CHUNKS_PER_SWEEP = 64
WORKS_PER_CHECKPOINT = 10
PAGE_BYTES = 16_384
"""Chunks are large: with SQLite's usual 4,096 the same disk takes in a third less."""
SIZE_BYTES = 4
"""What one size takes in a chunk's `sizes`."""
DEFAULT_RETENTION_HOURS = 168.0
NEVER_MS = -62_135_596_800_000
"""0001-01-01, which the service gives as the enqueued time of an empty partition."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS hubs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL,
    retention_ms INTEGER NOT NULL, retention_bytes INTEGER
);
CREATE TABLE IF NOT EXISTS consumer_groups (hub INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (hub, name));
CREATE TABLE IF NOT EXISTS partitions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, hub INTEGER, number INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL DEFAULT 0, next_offset INTEGER NOT NULL DEFAULT 0,
    last_offset INTEGER NOT NULL DEFAULT -1, last_enqueued_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS chunks (
    key INTEGER PRIMARY KEY, first_offset INTEGER NOT NULL, enqueued_ms INTEGER NOT NULL,
    sizes BLOB NOT NULL, events BLOB NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a partition's log ends. `last_enqueued_ms` is `NEVER_MS` while nothing was ever stored."""

    next_sequence: int
    next_offset: int
    last_offset: int
    last_enqueued_ms: int


@dataclass(frozen=True, slots=True)
class HubRecord:
    """A hub as the file holds it."""

    id: int
    name: str
    created_ms: int
    retention_ms: int
    retention_bytes: int | None
    groups: tuple[str, ...]
    partitions: tuple[tuple[int, Tail], ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive events of one partition, ready to be delivered."""

    first_sequence: int
    first_offset: int
    enqueued_ms: int
    sizes: tuple[int, ...]
    events: bytes


class Log:
    """All logs of one service. `append` and `sweep` report through the journal's `post`; the rest answers at once."""

    def __init__(self, path: Path, post: Post) -> None:
        self._journal = Journal(path, SCHEMA, post, page_bytes=PAGE_BYTES, works_per_checkpoint=WORKS_PER_CHECKPOINT)
        self._reader = self._journal.reader()
        self._closed = False
        for (partition,) in self._reader.execute("SELECT id FROM partitions WHERE hub IS NULL").fetchall():
            self._sweep_dropped(partition)

    def close(self) -> None:
        self._closed = True
        self._journal.close()
        self._reader.close()

    # Hubs.

    def hubs(self) -> list[HubRecord]:
        """Every hub, read from the file."""
        found = []
        rows = self._reader.execute("SELECT id, name, created_ms, retention_ms, retention_bytes FROM hubs").fetchall()
        for hub, name, created_ms, retention_ms, retention_bytes in rows:
            groups = self._reader.execute("SELECT name FROM consumer_groups WHERE hub = ?", (hub,)).fetchall()
            partitions = self._reader.execute(
                "SELECT id, next_sequence, next_offset, last_offset, last_enqueued_ms FROM partitions"
                " WHERE hub = ? ORDER BY number",
                (hub,),
            ).fetchall()
            tails = tuple((one[0], Tail(*one[1:])) for one in partitions)
            names = tuple(group for (group,) in groups)
            found.append(HubRecord(hub, name, created_ms, retention_ms, retention_bytes, names, tails))
        return found

    def create_hub(
        self,
        name: str,
        partition_count: int,
        groups: tuple[str, ...],
        created_ms: int,
        retention_ms: int,
        retention_bytes: int | None,
    ) -> HubRecord:
        """Durable when it returns. Raises: `sqlite3.IntegrityError` if the name is taken."""

        def work(connection: sqlite3.Connection) -> HubRecord:
            hub = connection.execute(
                "INSERT INTO hubs (name, created_ms, retention_ms, retention_bytes) VALUES (?, ?, ?, ?)",
                (name, created_ms, retention_ms, retention_bytes),
            ).lastrowid
            assert hub is not None
            connection.executemany("INSERT INTO consumer_groups VALUES (?, ?)", [(hub, group) for group in groups])
            partitions = []
            for number in range(partition_count):
                partition = connection.execute(
                    "INSERT INTO partitions (hub, number, last_enqueued_ms) VALUES (?, ?, ?)", (hub, number, NEVER_MS)
                ).lastrowid
                assert partition is not None
                partitions.append((partition, Tail(0, 0, -1, NEVER_MS)))
            return HubRecord(hub, name, created_ms, retention_ms, retention_bytes, groups, tuple(partitions))

        return self._journal.run(work)

    def drop_hub(self, hub: HubRecord) -> None:
        """Durable when it returns; its chunks go by and by."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM hubs WHERE id = ?", (hub.id,))
            connection.execute("DELETE FROM consumer_groups WHERE hub = ?", (hub.id,))
            connection.execute("UPDATE partitions SET hub = NULL WHERE hub = ?", (hub.id,))

        self._journal.run(work)
        for partition, _ in hub.partitions:
            self._sweep_dropped(partition)

    # Events.

    def append(
        self,
        partition: int,
        events: list[Event],
        now_ms: int,
        done: Callable[[Tail | None, BaseException | None], None],
    ) -> None:
        """Store the events of one transfer; `done(tail, None)` follows when they are on disk."""

        def work(connection: sqlite3.Connection) -> Tail:
            row = connection.execute(
                "SELECT next_sequence, next_offset, last_enqueued_ms FROM partitions WHERE id = ?", (partition,)
            ).fetchone()
            if row is None:
                raise EntityGone("the hub has been deleted")
            first_sequence, first_offset, last_ms = row
            enqueued_ms = max(now_ms, last_ms)
            stamped, sizes = stamp(events, first_sequence, first_offset, enqueued_ms)
            connection.execute(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
                (
                    partition << SEQUENCE_BITS | first_sequence,
                    first_offset,
                    enqueued_ms,
                    struct.pack(f"<{len(sizes)}I", *sizes),
                    stamped,
                ),
            )
            next_offset = first_offset + len(stamped)
            tail = Tail(first_sequence + len(sizes), next_offset, next_offset - sizes[-1], enqueued_ms)
            connection.execute(
                "UPDATE partitions SET next_sequence = ?, next_offset = ?, last_offset = ?, last_enqueued_ms = ?"
                " WHERE id = ?",
                (tail.next_sequence, tail.next_offset, tail.last_offset, tail.last_enqueued_ms, partition),
            )
            return tail

        self._journal.submit(work, done)

    def read(self, partition: int, sequence: int, most_bytes: int) -> list[Chunk]:
        """Chunks from the one that holds `sequence` (or the next later event), until `most_bytes` are exceeded.

        Raises: `Unreadable`, as do the two below.
        """
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

    def first_sequence(self, partition: int, tail: Tail) -> int:
        """The oldest event that is kept, or the next one to come."""
        base = partition << SEQUENCE_BITS
        with self._reading(
            "SELECT min(key) FROM chunks WHERE key BETWEEN ? AND ?", (base, base + (1 << SEQUENCE_BITS) - 1)
        ) as rows:
            (key,) = rows.fetchone()
        return tail.next_sequence if key is None else int(key) - base

    def chunk_from(self, partition: int, first: int, end: int) -> tuple[int, int, int] | None:
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

    # Retention.

    def expire(self, partition: int, before_ms: int, retention_bytes: int | None, next_offset: int) -> None:
        """Have whole chunks removed that are older than `before_ms` or end `retention_bytes` before the log does."""
        base = partition << SEQUENCE_BITS
        least_offset = -1 if retention_bytes is None else next_offset - retention_bytes
        try:
            with self._reading(
                "SELECT first_offset, enqueued_ms FROM chunks WHERE key >= ? ORDER BY key LIMIT 1", (base,)
            ) as rows:
                oldest = rows.fetchone()
        except Unreadable:
            return
        if oldest is None or not (oldest[0] < least_offset or oldest[1] < before_ms):
            return

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

        self._sweep(work, lambda: self.expire(partition, before_ms, retention_bytes, next_offset))

    def expire_all(self, partitions: Sequence[int]) -> int:
        """Remove every event of these partitions, durably, as if all were too old; how many. Their numbers go on."""

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

    def _sweep_dropped(self, partition: int) -> None:
        base = partition << SEQUENCE_BITS

        def work(connection: sqlite3.Connection) -> int:
            removed = connection.execute(
                "DELETE FROM chunks WHERE key IN (SELECT key FROM chunks WHERE key BETWEEN ? AND ? LIMIT ?)",
                (base, base + (1 << SEQUENCE_BITS) - 1, CHUNKS_PER_SWEEP),
            ).rowcount
            if removed < CHUNKS_PER_SWEEP:
                connection.execute("DELETE FROM partitions WHERE id = ? AND hub IS NULL", (partition,))
            return removed

        self._sweep(work, lambda: self._sweep_dropped(partition))

    def _sweep(self, work: Callable[[sqlite3.Connection], int], again: Callable[[], None]) -> None:
        def done(removed: int | None, error: BaseException | None) -> None:
            if error is not None:
                logger.error("removing old events failed: %s", error)
            elif removed == CHUNKS_PER_SWEEP and not self._closed:
                again()

        self._journal.submit(work, done)
