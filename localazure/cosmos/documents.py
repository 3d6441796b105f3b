"""The documents of all containers as rows of one SQLite table: their shape, finding one, and expiry.

Owns: rows and what identifies them. Refuses to know: HTTP, key hashing, how rows come to be (`writes`).

How: a row's `sequence` is the log sequence number (LSN) of its last write << 9 | its place in that write, so one index
gives the change feed. The row number is container << 43 | first sequence: rows of a container lie together in the order
of creation, and the number never changes. A row keeps the JSON text that readers get, system properties included.

Source: learn.microsoft.com/azure/cosmos-db/nosql/time-to-live (expiry), sqlite.org/rowidtable.html
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from localazure.cosmos import past, rids
from localazure.cosmos.errors import PreconditionFailed
from localazure.cosmos.uniques import UniqueKeys

SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (container INTEGER PRIMARY KEY, lsn INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
    number INTEGER PRIMARY KEY, container INTEGER NOT NULL, epk TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL,
    sequence INTEGER NOT NULL, ts INTEGER NOT NULL, ttl INTEGER, etag TEXT NOT NULL, body BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS documents_by_id ON documents (container, epk, key, id);
CREATE INDEX IF NOT EXISTS documents_by_sequence ON documents (container, sequence, epk);
"""

PLACE_BITS, SEQUENCE_BITS = 9, 43
MOST_LSN = (1 << SEQUENCE_BITS - PLACE_BITS) - 1
COLUMNS = "number, sequence, ts, ttl, etag, body"


class Row(NamedTuple):
    """A stored document; `ts` in seconds since 1970, `ttl` its own time to live in seconds or None."""

    number: int
    sequence: int
    ts: int
    ttl: int | None
    etag: str
    body: bytes

    @property
    def lsn(self) -> int:
        return self.sequence >> PLACE_BITS


@dataclass(frozen=True, slots=True)
class Place:
    """A container as its rows need it.

    `default_ttl` None: documents never expire, -1: only those that say so. `retention_seconds`: for how long every
    version is kept for the full change feed; None: not at all.
    """

    container: int
    container_rid: str
    self_link: str
    default_ttl: int | None
    unique_keys: UniqueKeys = ()
    retention_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """One document's partition key (canonical text and effective key) and id."""

    epk: str
    key: str
    id: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A document to be written: its JSON text without the closing brace and without system properties.

    `uniques` is what it holds of each unique key of its container.
    """

    address: Address
    open_text: bytes
    ttl: int | None
    uniques: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conditions:
    """The etag conditions of a request; "*" means any version."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, current: Row | None) -> None:
        """Raises: `PreconditionFailed` where `current` is not the version that the caller expects."""
        if current is None:
            return
        if self.if_match not in (None, "*", current.etag):
            raise PreconditionFailed(f"The etag given is {self.if_match}, the document has {current.etag}.")
        if self.if_none_match in ("*", current.etag):
            raise PreconditionFailed(f"The document has the etag {current.etag}, which if-none-match excludes.")


def current_lsn(connection: sqlite3.Connection, container: int, moment: float | None = None) -> int:
    """How far the container is, or was at `moment`; 0 for one that is gone."""
    if moment is not None:
        then = past.lsn_at(connection, container, moment)
        if then is not None:
            return then
    row = connection.execute("SELECT lsn FROM progress WHERE container = ?", (container,)).fetchone()
    return int(row[0]) if row else 0


def find(
    connection: sqlite3.Connection, place: Place, address: Address, now: float, moment: float | None = None
) -> Row | None:
    """The document, unless it has expired; with `moment`, as it was then."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM {past.source(moment)} WHERE container = ? AND epk = ? AND key = ? AND id = ?",
        (place.container, address.epk, address.key, address.id),
    ).fetchone()
    if row is None:
        return None
    found = Row._make(row)
    return None if has_expired(place, found.ts, found.ttl, now) else found


def has_expired(place: Place, ts: int, ttl: int | None, now: float) -> bool:
    """An item's own time to live counts only where the container has one; -1 is for ever."""
    if place.default_ttl is None:
        return False
    seconds = place.default_ttl if ttl is None else ttl
    return seconds >= 0 and ts + seconds <= now


def id_of_number(connection: sqlite3.Connection, place: Place, rid: str) -> str | None:
    """The id of the document with this resource id."""
    number = rids.document_number(rid)
    row = connection.execute(
        "SELECT id FROM documents WHERE number = ? AND container = ?", (number, place.container)
    ).fetchone()
    return None if row is None else str(row[0])


def sweep_container(connection: sqlite3.Connection, container: int, most: int) -> int:
    """Delete up to `most` rows of a container that is gone; how many were deleted."""
    first = container << SEQUENCE_BITS
    return connection.execute(
        "DELETE FROM documents WHERE number IN (SELECT number FROM documents WHERE number >= ? AND number < ? LIMIT ?)",
        (first, first + (1 << SEQUENCE_BITS), most),
    ).rowcount
