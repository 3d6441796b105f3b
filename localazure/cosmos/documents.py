"""The documents of all containers as rows of one SQLite table, and the order in which they were written.

Owns: rows, the order (sequence), etags, system properties, expiry. Refuses to know: HTTP, key hashing, who may write,
when a commit is durable (`store`).

How: a write takes a `Turn`, the next log sequence number (LSN) of its container; all documents of one transactional
batch share it. A row's `sequence` is LSN << 7 | place in the batch, so one index gives the change feed. The row
number is container << 43 | first sequence: rows of a container lie together in the order of creation, and the number
never changes. A row keeps the JSON text that readers get, system properties included.

Source: learn.microsoft.com/azure/cosmos-db/nosql/time-to-live (expiry), sqlite.org/rowidtable.html
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from localazure.cosmos import past, rids, uniques
from localazure.cosmos.errors import Conflict, NotFound, OwnerNotFound, PreconditionFailed
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

PLACE_BITS, SEQUENCE_BITS = 7, 43
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
    """A container as its rows need it. `default_ttl` None: documents never expire, -1: only those that say so."""

    container: int
    container_rid: str
    self_link: str
    default_ttl: int | None
    unique_keys: UniqueKeys = ()


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


@dataclass(slots=True)
class Turn:
    """One write's place in its container's order, inside the writer's transaction."""

    connection: sqlite3.Connection
    place: Place
    lsn: int
    time: float
    keeps_past: bool = False
    _used: int = 0

    @property
    def now(self) -> int:
        """Seconds since 1970, as documents know them."""
        return int(self.time)

    @classmethod
    def take(cls, connection: sqlite3.Connection, place: Place, now: float, past_seconds: float | None = None) -> Turn:
        """`past_seconds`: for how long what is replaced has to be kept (`past`).

        Raises: `OwnerNotFound` if the container has been deleted meanwhile.
        """
        row = connection.execute(
            "UPDATE progress SET lsn = lsn + 1 WHERE container = ? RETURNING lsn", (place.container,)
        ).fetchone()
        if row is None:
            raise OwnerNotFound("The container has been deleted.")
        if past_seconds is not None:
            past.drop_before(connection, now - past_seconds)
        return cls(connection, place, row[0], now, past_seconds is not None)

    def next_sequence(self) -> int:
        sequence = self.lsn << PLACE_BITS | self._used
        self._used += 1
        return sequence

    def keep_past(self, address: Address) -> None:
        """To be called before the document at `address` changes."""
        if self.keeps_past:
            where = (address.epk, address.key, address.id)
            past.keep(self.connection, self.place.container, where, self.lsn, self.time)


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


def create(turn: Turn, draft: Draft) -> Row:
    """Raises: `Conflict` where a living document has that id in that logical partition."""
    sequence = turn.next_sequence()
    try:
        return _insert(turn, draft, sequence)
    except sqlite3.IntegrityError:
        if find(turn.connection, turn.place, draft.address, turn.now) is not None:
            raise Conflict("Entity with the specified id already exists in the system.") from None
        _remove_row(turn, draft.address)
        return _insert(turn, draft, sequence)


def upsert(turn: Turn, draft: Draft, conditions: Conditions) -> tuple[Row, bool]:
    """The new version, and whether it was created. Raises: `PreconditionFailed`."""
    current = find(turn.connection, turn.place, draft.address, turn.now)
    if current is None:
        return create(turn, draft), True
    conditions.check(current)
    return _update(turn, draft, current, draft.address), False


def replace(turn: Turn, id: str, draft: Draft, conditions: Conditions) -> Row:
    """Raises: `NotFound`, `PreconditionFailed`; `Conflict` where the new id is another document's."""
    address = Address(draft.address.epk, draft.address.key, id)
    current = get(turn, address)
    conditions.check(current)
    return _update(turn, draft, current, address)


def delete(turn: Turn, address: Address, conditions: Conditions) -> Row:
    """The version that was deleted. Raises: `NotFound`, `PreconditionFailed`."""
    current = get(turn, address)
    conditions.check(current)
    turn.keep_past(address)
    remove_number(turn.connection, turn.place, current.number)
    return current


def get(turn: Turn, address: Address) -> Row:
    """Raises: `NotFound`."""
    current = find(turn.connection, turn.place, address, turn.now)
    if current is None:
        raise NotFound("Entity with the specified id does not exist in the system.")
    return current


def delete_partition(turn: Turn, epk: str, key: str) -> int:
    """Delete all documents of one partition key value; how many there were."""
    if turn.place.unique_keys:
        uniques.release_partition(turn.connection, turn.place.container, epk, key)
    if turn.keeps_past:
        ids = turn.connection.execute(
            "SELECT id FROM documents WHERE container = ? AND epk = ? AND key = ?", (turn.place.container, epk, key)
        ).fetchall()
        for (id,) in ids:
            turn.keep_past(Address(epk, key, id))
    return turn.connection.execute(
        "DELETE FROM documents WHERE container = ? AND epk = ? AND key = ?", (turn.place.container, epk, key)
    ).rowcount


def sweep_container(connection: sqlite3.Connection, container: int, most: int) -> int:
    """Delete up to `most` rows of a container that is gone; how many were deleted."""
    first = container << SEQUENCE_BITS
    return connection.execute(
        "DELETE FROM documents WHERE number IN (SELECT number FROM documents WHERE number >= ? AND number < ? LIMIT ?)",
        (first, first + (1 << SEQUENCE_BITS), most),
    ).rowcount


def _insert(turn: Turn, draft: Draft, sequence: int) -> Row:
    turn.keep_past(draft.address)
    number = turn.place.container << SEQUENCE_BITS | sequence
    row = _seal(turn, draft, number, sequence)
    where = draft.address
    turn.connection.execute(
        "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (number, turn.place.container, where.epk, where.key, where.id, sequence, row.ts, row.ttl, row.etag, row.body),
    )
    _claim_uniques(turn, draft, number)
    return row


def _update(turn: Turn, draft: Draft, current: Row, address: Address) -> Row:
    turn.keep_past(address)
    if draft.address != address:
        turn.keep_past(draft.address)
    sequence = turn.next_sequence()
    row = _seal(turn, draft, current.number, sequence)
    try:
        turn.connection.execute(
            "UPDATE documents SET id = ?, sequence = ?, ts = ?, ttl = ?, etag = ?, body = ? WHERE number = ?",
            (draft.address.id, sequence, row.ts, row.ttl, row.etag, row.body, row.number),
        )
    except sqlite3.IntegrityError:
        raise Conflict("Entity with the specified id already exists in the system.") from None
    _claim_uniques(turn, draft, row.number)
    return row


def _claim_uniques(turn: Turn, draft: Draft, number: int) -> None:
    """Raises: `Conflict` where a living document of the logical partition holds one of the draft's unique values."""
    if not draft.uniques:
        return
    where = (turn.place.container, draft.address.epk, draft.address.key)
    uniques.release(turn.connection, number)
    holder = uniques.claim(turn.connection, where, draft.uniques, number)
    while holder is not None:
        ts, ttl = turn.connection.execute("SELECT ts, ttl FROM documents WHERE number = ?", (holder,)).fetchone()
        if not has_expired(turn.place, ts, ttl, turn.now):
            raise Conflict("Unique index constraint violation.")
        remove_number(turn.connection, turn.place, holder)
        holder = uniques.claim(turn.connection, where, draft.uniques, number)


def remove_number(connection: sqlite3.Connection, place: Place, number: int) -> None:
    """Delete the row with this number, and what it holds."""
    if place.unique_keys:
        uniques.release(connection, number)
    connection.execute("DELETE FROM documents WHERE number = ?", (number,))


def _remove_row(turn: Turn, address: Address) -> None:
    row = turn.connection.execute(
        "SELECT number FROM documents WHERE container = ? AND epk = ? AND key = ? AND id = ?",
        (turn.place.container, address.epk, address.key, address.id),
    ).fetchone()
    remove_number(turn.connection, turn.place, row[0])


def _seal(turn: Turn, draft: Draft, number: int, sequence: int) -> Row:
    """Give a draft its etag, its time and the other system properties."""
    place = turn.place
    used = sequence & ((1 << PLACE_BITS) - 1)
    etag = f'"{turn.lsn:08x}-{used:04x}-{place.container:04x}-0000-{turn.now:08x}0000"'
    rid = rids.of_document(place.container_rid, number)
    system = (
        f',"_rid":"{rid}","_self":"{place.self_link}docs/{rid}/","_etag":"\\{etag[:-1]}\\"",'
        f'"_attachments":"attachments/","_ts":{turn.now}}}'
    )
    return Row(number, sequence, turn.now, draft.ttl, etag, draft.open_text + system.encode("ascii"))
