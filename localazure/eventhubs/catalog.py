"""Hubs, consumer groups and partitions as the file holds them.

Owns: their tables, and where each partition's log ends. Refuses to know: events.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

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
    """A hub as the file holds it. `partitions`: their ids, by number."""

    id: int
    name: str
    created_ms: int
    retention_ms: int
    retention_bytes: int | None
    groups: tuple[str, ...]
    partitions: tuple[int, ...]


def hubs(reader: sqlite3.Connection) -> list[HubRecord]:
    """Every hub."""
    found = []
    rows = reader.execute("SELECT id, name, created_ms, retention_ms, retention_bytes FROM hubs").fetchall()
    for hub, name, created_ms, retention_ms, retention_bytes in rows:
        groups = tuple(one for (one,) in reader.execute("SELECT name FROM consumer_groups WHERE hub = ?", (hub,)))
        ids = tuple(one for (one,) in reader.execute("SELECT id FROM partitions WHERE hub = ? ORDER BY number", (hub,)))
        found.append(HubRecord(hub, name, created_ms, retention_ms, retention_bytes, groups, ids))
    return found


def tails(reader: sqlite3.Connection) -> dict[int, Tail]:
    """Where the log of each partition of a hub ends, by the partition's id."""
    rows = reader.execute(
        "SELECT id, next_sequence, next_offset, last_offset, last_enqueued_ms FROM partitions WHERE hub IS NOT NULL"
    )
    return {partition: Tail(*rest) for partition, *rest in rows}


def dropped_partitions(reader: sqlite3.Connection) -> list[int]:
    """The partitions whose hub has gone, but not yet all of their events."""
    return [one for (one,) in reader.execute("SELECT id FROM partitions WHERE hub IS NULL")]


def create_hub(
    connection: sqlite3.Connection,
    name: str,
    partition_count: int,
    groups: tuple[str, ...],
    created_ms: int,
    retention_ms: int,
    retention_bytes: int | None,
) -> HubRecord:
    """Raises: `sqlite3.IntegrityError` if the name is taken."""
    hub = connection.execute(
        "INSERT INTO hubs (name, created_ms, retention_ms, retention_bytes) VALUES (?, ?, ?, ?)",
        (name, created_ms, retention_ms, retention_bytes),
    ).lastrowid
    assert hub is not None
    connection.executemany("INSERT INTO consumer_groups VALUES (?, ?)", [(hub, group) for group in groups])
    ids = []
    for number in range(partition_count):
        partition = connection.execute(
            "INSERT INTO partitions (hub, number, last_enqueued_ms) VALUES (?, ?, ?)", (hub, number, NEVER_MS)
        ).lastrowid
        assert partition is not None
        ids.append(partition)
    return HubRecord(hub, name, created_ms, retention_ms, retention_bytes, groups, tuple(ids))


def drop_hub(connection: sqlite3.Connection, hub: int) -> None:
    """Forget a hub; its partitions stay, without one, until their events are removed."""
    connection.execute("DELETE FROM hubs WHERE id = ?", (hub,))
    connection.execute("DELETE FROM consumer_groups WHERE hub = ?", (hub,))
    connection.execute("UPDATE partitions SET hub = NULL WHERE hub = ?", (hub,))


def move_tails(connection: sqlite3.Connection, tails: dict[int, Tail]) -> dict[int, int]:
    """Write where logs end now; for each partition that is still there, its next sequence number until now."""
    former = {}
    for partition, tail in tails.items():
        row = connection.execute(
            "SELECT next_sequence FROM partitions WHERE id = ? AND hub IS NOT NULL", (partition,)
        ).fetchone()
        if row is None:
            continue
        (former[partition],) = row
        connection.execute(
            "UPDATE partitions SET next_sequence = ?, next_offset = ?, last_offset = ?, last_enqueued_ms = ?"
            " WHERE id = ?",
            (tail.next_sequence, tail.next_offset, tail.last_offset, tail.last_enqueued_ms, partition),
        )
    return former
