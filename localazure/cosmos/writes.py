"""Writing documents: a turn in a container's order, and what each write leaves behind.

Owns: the order (log sequence numbers), etags and other system properties, what else a write has to keep: unique
values, versions for the full change feed, the past for a lagging region. Refuses to know: HTTP, key hashing, who may
write, when a commit is durable (`store`).

How: a write takes a `Turn`, the next log sequence number (LSN) of its container; all documents of one transactional
batch share it. A row's `sequence` is LSN << 9 | place in the turn; a hundred operations that each make way for an
expired document fit in.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from localazure.cosmos import past, rids, uniques, versions
from localazure.cosmos.documents import (
    COLUMNS,
    PLACE_BITS,
    SEQUENCE_BITS,
    Address,
    Conditions,
    Draft,
    Place,
    Row,
    find,
    has_expired,
)
from localazure.cosmos.errors import Conflict, NotFound, OwnerNotFound
from localazure.cosmos.sql.watch import Watch
from localazure.cosmos.versions import Change


@dataclass(slots=True)
class Turn:
    """One write's place in its container's order, inside the writer's transaction.

    `watch`: how long the conditions of its patches may take together; while they do, all other writes wait.
    """

    connection: sqlite3.Connection
    place: Place
    lsn: int
    time: float
    keeps_past: bool = False
    watch: Watch = field(default_factory=Watch)
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
        if place.retention_seconds is not None:
            versions.drop_old(connection, place.container, int(now) - place.retention_seconds)
        return cls(connection, place, row[0], now, past_seconds is not None)

    def next_sequence(self) -> int:
        """The next place; a turn that has used them all goes on with the next LSN."""
        if self._used == 1 << PLACE_BITS:
            update = "UPDATE progress SET lsn = lsn + 1 WHERE container = ? RETURNING lsn"
            self.lsn, self._used = self.connection.execute(update, (self.place.container,)).fetchone()[0], 0
        sequence = self.lsn << PLACE_BITS | self._used
        self._used += 1
        return sequence

    def keep_past(self, address: Address) -> None:
        """To be called before the document at `address` changes."""
        if self.keeps_past:
            where = (address.epk, address.key, address.id)
            past.keep(self.connection, self.place.container, where, self.lsn, self.time)

    def note(self, address: Address, sequence: int, change: Change) -> None:
        """For containers that keep every version."""
        if self.place.retention_seconds is not None:
            where = (address.epk, address.key, address.id)
            versions.note(self.connection, self.place.container, where, sequence, self.now, change)


def create(turn: Turn, draft: Draft) -> Row:
    """Raises: `Conflict` where a living document has that id in that logical partition."""
    sequence = turn.next_sequence()
    try:
        return _insert(turn, draft, sequence)
    except sqlite3.IntegrityError:
        if find(turn.connection, turn.place, draft.address, turn.now) is not None:
            raise Conflict("Entity with the specified id already exists in the system.") from None
        remove_expired(turn, draft.address)
        return _insert(turn, draft, turn.next_sequence())


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
    _remove(turn, address, current, expired=False)
    return current


def get(turn: Turn, address: Address) -> Row:
    """Raises: `NotFound`."""
    current = find(turn.connection, turn.place, address, turn.now)
    if current is None:
        raise NotFound("Entity with the specified id does not exist in the system.")
    return current


def delete_partition(turn: Turn, epk: str, key: str) -> int:
    """Delete all documents of one partition key value; how many there were."""
    if turn.keeps_past or turn.place.retention_seconds is not None:
        return _delete_one_by_one(turn, epk, key)
    if turn.place.unique_keys:
        uniques.release_partition(turn.connection, turn.place.container, epk, key)
    return turn.connection.execute(
        "DELETE FROM documents WHERE container = ? AND epk = ? AND key = ?", (turn.place.container, epk, key)
    ).rowcount


def _delete_one_by_one(turn: Turn, epk: str, key: str) -> int:
    ids = turn.connection.execute(
        "SELECT id FROM documents WHERE container = ? AND epk = ? AND key = ?", (turn.place.container, epk, key)
    ).fetchall()
    for (id,) in ids:
        remove_expired(turn, Address(epk, key, id))
        if find(turn.connection, turn.place, Address(epk, key, id), turn.now) is not None:
            delete(turn, Address(epk, key, id), Conditions())
    return len(ids)


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
    turn.note(where, sequence, Change("create", None, row.body))
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
    turn.note(draft.address, sequence, Change("replace", current.lsn, row.body))
    return row


def _claim_uniques(turn: Turn, draft: Draft, number: int) -> None:
    """Raises: `Conflict` where a living document of the logical partition holds one of the draft's unique values."""
    if not draft.uniques:
        return
    where = (turn.place.container, draft.address.epk, draft.address.key)
    uniques.release(turn.connection, number)
    holder = uniques.claim(turn.connection, where, draft.uniques, number)
    while holder is not None:
        if not remove_number_if_expired(turn, holder):
            raise Conflict("Unique index constraint violation.")
        holder = uniques.claim(turn.connection, where, draft.uniques, number)


def remove_number_if_expired(turn: Turn, number: int) -> bool:
    """Delete the row with this number if its document has expired; whether it had."""
    statement = f"SELECT epk, key, id, {COLUMNS} FROM documents WHERE number = ?"
    epk, key, id, *rest = turn.connection.execute(statement, (number,)).fetchone()
    row = Row._make(rest)
    if not has_expired(turn.place, row.ts, row.ttl, turn.now):
        return False
    _remove(turn, Address(epk, key, id), row, expired=True)
    return True


def remove_expired(turn: Turn, address: Address) -> None:
    """Delete the document at `address` if it has expired."""
    row = turn.connection.execute(
        "SELECT number FROM documents WHERE container = ? AND epk = ? AND key = ? AND id = ?",
        (turn.place.container, address.epk, address.key, address.id),
    ).fetchone()
    if row is not None:
        remove_number_if_expired(turn, row[0])


def _remove(turn: Turn, address: Address, row: Row, *, expired: bool) -> None:
    if turn.place.unique_keys:
        uniques.release(turn.connection, row.number)
    turn.connection.execute("DELETE FROM documents WHERE number = ?", (row.number,))
    if turn.place.retention_seconds is not None:
        turn.note(address, turn.next_sequence(), Change("delete", row.lsn, None, row.body, expired))


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
