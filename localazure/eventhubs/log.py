"""The partition log: events on disk, in order, found again by sequence number.

Owns: the files of the service and the border between its two places for events: the newest are in memory and written
ahead (`intake`), all others in the SQLite file (`chunks`), beside the hubs (`catalog`). Refuses to know: AMQP links.

How: a chunk is in one of both places or, for a moment, in both. Whatever is asked by number is looked for in the file
only if it is older than the oldest chunk in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from localazure.eventhubs import catalog
from localazure.eventhubs import chunks as stored
from localazure.eventhubs.catalog import HubRecord, Tail
from localazure.eventhubs.chunks import Chunk, Chunks
from localazure.eventhubs.intake import Arrived, Intake
from localazure.eventhubs.refusals import Unreadable
from localazure.journal import Journal, Post
from localazure.write_ahead import WriteAhead

WORKS_PER_CHECKPOINT = 4
PAGE_BYTES = 16_384
"""Chunks are large: with SQLite's usual 4,096 the same disk takes in a third less."""
DEFAULT_RETENTION_HOURS = 168.0


class Log:
    """All logs of one service. `append` and `expire` report through `post` or `soon`; the rest answers at once."""

    def __init__(self, path: Path, post: Post, soon: Post) -> None:
        schema = catalog.SCHEMA + stored.SCHEMA
        ahead = WriteAhead(path.with_name(f"{path.name}-ahead"))
        self._journal = Journal(path, schema, post, page_bytes=PAGE_BYTES, works_per_checkpoint=WORKS_PER_CHECKPOINT)
        self._reader = self._journal.reader()
        self._chunks = Chunks(self._journal, self._reader)
        self._intake = Intake(ahead, self._journal, catalog.tails(self._reader), post, soon)
        for partition in catalog.dropped_partitions(self._reader):
            self._chunks.remove_dropped(partition)

    def close(self) -> None:
        self._chunks.closed = True
        self._intake.close()
        self._journal.close()
        self._reader.close()

    # Hubs.

    def hubs(self) -> list[HubRecord]:
        """Every hub, read from the file."""
        return catalog.hubs(self._reader)

    def tail(self, partition: int) -> Tail:
        """Where the log of a partition ends."""
        return self._intake.tail(partition)

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
        record = self._journal.run(
            lambda connection: catalog.create_hub(
                connection, name, partition_count, groups, created_ms, retention_ms, retention_bytes
            )
        )
        for partition in record.partitions:
            self._intake.begin(partition)
        return record

    def drop_hub(self, hub: HubRecord) -> None:
        """Durable when it returns; its chunks go by and by. Raises: `sqlite3.Error`, and then nothing has changed."""
        self._journal.run(lambda connection: catalog.drop_hub(connection, hub.id))
        for partition in hub.partitions:
            self._intake.forget(partition)
            self._chunks.remove_dropped(partition)

    # Events.

    def append(self, arrived: Arrived) -> None:
        """Store a message: its `done(None)` follows when it is on disk, then its `kept` with the tail."""
        self._intake.add(arrived)

    def read(self, partition: int, sequence: int, most_bytes: int) -> list[Chunk]:
        """Chunks from the one that holds `sequence` (or the next later event), until `most_bytes` are exceeded.

        Raises: `Unreadable`, as do the two below.
        """
        recent = self._intake.unmoved.of(partition)
        if not recent:
            return self._chunks.read(partition, sequence, most_bytes)
        if sequence < recent[0].first_sequence:
            found = self._chunks.read(partition, sequence, most_bytes)
            if found:
                return found
        return _part(recent, sequence, most_bytes)

    def first_sequence(self, partition: int, tail: Tail) -> int:
        """The oldest event that is kept, or the next one to come."""
        first = self._chunks.first_sequence(partition)
        if first is not None:
            return first
        recent = self._intake.unmoved.of(partition)
        return recent[0].first_sequence if recent else tail.next_sequence

    def chunk_from(self, partition: int, first: int, end: int) -> tuple[int, int, int] | None:
        """First sequence, first offset and enqueued ms of the first chunk that begins from `first` up to `end`."""
        found = self._chunks.first_from(partition, first, end)
        if found is not None:
            return found
        for one in self._intake.unmoved.of(partition):
            if first <= one.first_sequence < end:
                return one.first_sequence, one.first_offset, one.enqueued_ms
        return None

    # Retention.

    def expire(self, partition: int, before_ms: int, retention_bytes: int | None) -> None:
        """Have whole chunks removed that are older than `before_ms` or end `retention_bytes` before the log does."""
        tail = self._intake.tail(partition)
        least_offset = -1 if retention_bytes is None else tail.next_offset - retention_bytes
        self._intake.unmoved.move()
        try:
            first = self.first_sequence(partition, tail)
            oldest = self.chunk_from(partition, first, first + 1)
        except Unreadable:
            return
        if oldest is not None and (oldest[1] < least_offset or oldest[2] < before_ms):
            self._chunks.remove(partition, before_ms, least_offset)

    def expire_all(self, partitions: Sequence[int]) -> int:
        """Remove every event of these partitions, durably, as if all were too old; how many. Their numbers go on."""
        self._intake.unmoved.move_now()
        return self._chunks.remove_all(partitions)


def _part(recent: Iterable[Chunk], sequence: int, most_bytes: int) -> list[Chunk]:
    found: list[Chunk] = []
    read_bytes = 0
    for one in recent:
        if one.first_sequence + len(one.sizes) > sequence:
            found.append(one)
            read_bytes += len(one.events)
            if read_bytes > most_bytes:
                break
    return found
