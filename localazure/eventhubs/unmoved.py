"""Chunks that are durable, but not yet in the file: kept in memory for whoever reads, and moved many at a time.

Owns: their order, and when they are moved and let go. Refuses to know: how they were made durable (`intake`).

How: they are moved in the order in which they came, at most one move under way. A chunk is let go when the commit that
holds it has been reported; until then it is in both places.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from localazure.eventhubs import catalog, chunks
from localazure.eventhubs.catalog import Tail
from localazure.eventhubs.chunks import Chunk
from localazure.journal import Journal

logger = logging.getLogger(__name__)

BYTES_PER_MOVE = 1_048_576
MOST_BYTES_PER_MOVE = 4_194_304


@dataclass(frozen=True, slots=True)
class _Entry:
    number: int
    partition: int
    chunk: Chunk
    tail: Tail


class Unmoved:
    """The chunks of one service that may not be in the file yet, each with a number that grows.

    After a move `moved` is called with the number of the last that is in the file, or with what was in the way.
    """

    def __init__(self, journal: Journal, moved: Callable[[int, BaseException | None], None]) -> None:
        self._journal = journal
        self._moved = moved
        self._entries: deque[_Entry] = deque()
        self._bytes = 0
        self._by_partition: dict[int, deque[Chunk]] = {}
        self._moving: list[_Entry] | None = None
        self._closed = False

    def add(self, number: int, partition: int, chunk: Chunk, tail: Tail) -> None:
        """One more, and where its partition's log ends behind it."""
        self._entries.append(_Entry(number, partition, chunk, tail))
        self._by_partition.setdefault(partition, deque()).append(chunk)
        self._bytes += len(chunk.events)

    @property
    def is_empty(self) -> bool:
        return not self._entries

    def of(self, partition: int) -> Sequence[Chunk]:
        """The partition's chunks in their order."""
        return self._by_partition.get(partition, ())

    def forget(self, partition: int) -> None:
        """The partition's hub has gone."""
        self._by_partition.pop(partition, None)

    def move_if_many(self) -> None:
        if self._bytes >= BYTES_PER_MOVE:
            self.move()

    def move(self) -> None:
        """Have them moved, unless that is under way."""
        if self._moving is None and not self._closed and self._entries:
            entries = self._moving = self._next()
            self._journal.submit(partial(_insert, entries=entries), lambda _, error: self._report(entries, error))

    def move_now(self) -> None:
        """Move everything, and wait for it; the report of a move under way is ignored. Raises: `sqlite3.Error`."""
        self._moving = None
        while self._entries:
            entries = self._next()
            self._journal.run(partial(_insert, entries=entries))
            self._let_go(entries)

    def close(self) -> None:
        """Move everything, if the disk takes it."""
        self._closed = True
        try:
            self.move_now()
        except sqlite3.Error as error:
            logger.error("events stay written ahead, to be moved at the next start: %s", error)

    def _report(self, entries: list[_Entry], error: BaseException | None) -> None:
        if entries is not self._moving:
            return
        self._moving = None
        if error is not None:
            logger.error("moving events into the file failed: %s", error)
            self._moved(0, error)
            return
        self._let_go(entries)
        self.move_if_many()

    def _next(self) -> list[_Entry]:
        entries, size_bytes = [], 0
        for entry in self._entries:
            entries.append(entry)
            size_bytes += len(entry.chunk.events)
            if size_bytes >= MOST_BYTES_PER_MOVE:
                break
        return entries

    def _let_go(self, entries: list[_Entry]) -> None:
        for entry in entries:
            self._entries.popleft()
            self._bytes -= len(entry.chunk.events)
            of_partition = self._by_partition.get(entry.partition)
            if of_partition is not None:
                of_partition.popleft()
                if not of_partition:
                    del self._by_partition[entry.partition]
        self._moved(entries[-1].number, None)


def _insert(connection: sqlite3.Connection, entries: list[_Entry]) -> None:
    """Insert what the file lacks: a move whose report was not heard may have been made, a hub may have gone."""
    former = catalog.move_tails(connection, {entry.partition: entry.tail for entry in entries})
    missing = (
        (entry.partition, entry.chunk)
        for entry in entries
        if entry.chunk.first_sequence >= former.get(entry.partition, entry.tail.next_sequence)
    )
    chunks.insert(connection, missing)
