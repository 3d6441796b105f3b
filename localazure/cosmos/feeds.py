"""Pages over a container's documents in an order of their own: the change feed, and plain reading.

Owns: which documents a page holds, where the next one starts. Refuses to know: HTTP, who asks.

How: the change feed is the order of the sequence numbers. It has the latest version of each living document, in the
place of its last write, as the service's latest-version mode. A continuation is the LSN up to which everything has
been seen; a page ends only between two LSNs, so what one transactional batch wrote never falls apart. One partition
key's few documents are found by their key and sorted; a time is found by halving. A plain read
goes in the order of creation; its continuation is a row number. Both stay valid over restarts and splits.

Source: learn.microsoft.com/azure/cosmos-db/nosql/change-feed-modes#latest-version-change-feed-mode
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from localazure.cosmos import past, versions
from localazure.cosmos.documents import PLACE_BITS, Place, current_lsn, has_expired
from localazure.cosmos.queries import Stored
from localazure.cosmos.resources import Container

MOST_PAGE_BYTES = 4 * 1024 * 1024
DEFAULT_PAGE_ITEMS = 100
MOST_CLOCK_STEP_SECONDS = 600
"""How far back the clock may have been set between two writes without a feed from a time missing one."""
NARROW_DIGITS = 8
"""A slice whose bounds agree in so many hexadecimal digits is one partition key's, or not much more."""
MOST_SORTED = 4096


@dataclass(frozen=True, slots=True)
class Slice:
    """Documents with `minimum` <= effective key < `maximum`; `key` narrows to one partition key value."""

    minimum: str
    maximum: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`resume`: the LSN (change feed) or row number (plain read) to go on from; `more`: whether there was more."""

    bodies: list[bytes]
    resume: int
    more: bool

    @property
    def loaded_bytes(self) -> int:
        return sum(map(len, self.bodies))


def changes(
    connection: sqlite3.Connection,
    place: Place,
    slice: Slice,
    *,
    after_lsn: int,
    since: float | None,
    most_items: int,
    now: float,
    moment: float | None = None,
) -> Page:
    """What was written after `after_lsn` and not before `since` (seconds since 1970; documents know whole seconds).

    With `moment`, as the container was then.
    """
    reached = current_lsn(connection, place.container, moment)
    table = past.source(moment)
    if moment is None:
        if since is not None:
            after_lsn = _lsn_before(connection, place, since - MOST_CLOCK_STEP_SECONDS, after_lsn, reached)
        few = _holds_few(connection, place, slice, (reached - after_lsn) * min(most_items, DEFAULT_PAGE_ITEMS))
        table += " INDEXED BY " + ("documents_by_id" if few else "documents_by_sequence")
    rows = connection.execute(
        f"SELECT sequence, ts, ttl, body FROM {table} "
        "WHERE container = ? AND sequence > ? AND sequence < ? AND epk >= ? AND epk < ? AND (? IS NULL OR key = ?) "
        "ORDER BY sequence",
        (
            place.container,
            (after_lsn + 1 << PLACE_BITS) - 1,
            reached + 1 << PLACE_BITS,
            slice.minimum,
            slice.maximum,
            slice.key,
            slice.key,
        ),
    )
    try:
        return _page_of_changes(rows, place, max(reached, after_lsn), since, most_items, now)
    finally:
        rows.close()


def _lsn_before(connection: sqlite3.Connection, place: Place, since: float, low: int, high: int) -> int:
    """An LSN between `low` and `high` up to which all documents are older than `since`, found by halving.

    Documents are written in the order of their times, as far as the clock has not been set back.
    """
    while high - low > 1:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT sequence, ts FROM documents INDEXED BY documents_by_sequence "
            "WHERE container = ? AND sequence >= ? ORDER BY sequence LIMIT 1",
            (place.container, middle << PLACE_BITS),
        ).fetchone()
        if row is None or row[1] >= since:
            high = middle
        else:
            low = row[0] >> PLACE_BITS
    return low


def _holds_few(connection: sqlite3.Connection, place: Place, slice: Slice, room: int) -> bool:
    """Whether sorting all documents of a narrow slice costs less than looking for them among all changes.

    A page of n out of c changes is found after n * c / documents of them, where they lie evenly; so they are few if
    their square is below `room`, which is n * c. Counting stops there.
    """
    if slice.minimum[:NARROW_DIGITS] != slice.maximum[:NARROW_DIGITS]:
        return False
    most = min(math.isqrt(max(0, room)), MOST_SORTED)
    count = connection.execute(
        "SELECT COUNT(*) FROM (SELECT 1 FROM documents INDEXED BY documents_by_id "
        "WHERE container = ? AND epk >= ? AND epk < ? LIMIT ?)",
        (place.container, slice.minimum, slice.maximum, most + 1),
    ).fetchone()[0]
    return bool(count <= most)


def _page_of_changes(
    rows: Iterator[tuple[int, int, int | None, bytes]],
    place: Place,
    reached: int,
    since: float | None,
    most_items: int,
    now: float,
) -> Page:
    bodies: list[bytes] = []
    last_lsn = size = 0
    for sequence, ts, ttl, body in rows:
        lsn = sequence >> PLACE_BITS
        if bodies and lsn != last_lsn and (len(bodies) >= most_items or size + len(body) > MOST_PAGE_BYTES):
            return Page(bodies, last_lsn, True)
        if has_expired(place, ts, ttl, now) or (since is not None and ts < int(since)):
            continue
        bodies.append(b'%b,"_lsn":%d}' % (body[:-1], lsn))
        last_lsn = lsn
        size += len(body)
    return Page(bodies, reached, False)


def versions_of(
    connection: sqlite3.Connection,
    container: Container,
    slice: Slice,
    *,
    after_lsn: int,
    most_items: int,
) -> Page:
    """Every change after `after_lsn` that is still kept, oldest first; a turn's changes stay on one page.

    One partition key's changes are found by their key; those of a narrower or a wider slice among all that are kept.
    """
    reached = current_lsn(connection, container.number)
    key_names = ["/".join(path) for path in container.key.paths]
    where, values = "epk >= ? AND epk < ?", [slice.minimum, slice.maximum]
    if slice.key is not None:
        where, values = "epk = ? AND key = ?", [slice.minimum, slice.key]
    rows = connection.execute(
        "SELECT sequence, ts, operation, previous_lsn, expired, current, previous, key, id FROM versions "
        f"INDEXED BY {'sqlite_autoindex_versions_1' if slice.key is None else 'versions_by_key'} "
        f"WHERE container = ? AND sequence > ? AND {where} ORDER BY sequence",
        (container.number, (after_lsn + 1 << PLACE_BITS) - 1, *values),
    )
    bodies: list[bytes] = []
    last_lsn = size = 0
    try:
        for sequence, *row in rows:
            lsn = sequence >> PLACE_BITS
            if lsn > reached or (bodies and lsn != last_lsn and (len(bodies) >= most_items or size > MOST_PAGE_BYTES)):
                return Page(bodies, last_lsn or after_lsn, True)
            bodies.append(versions.feed_text(row, lsn, key_names))
            last_lsn = lsn
            size += len(bodies[-1])
    finally:
        rows.close()
    return Page(bodies, max(reached, after_lsn), False)


def living(documents: Iterator[Stored], after: int, most_items: int) -> Page:
    """The next documents of a scan that starts after the row number `after` (0: from the start)."""
    bodies: list[bytes] = []
    last, size = after, 0
    for position, body in documents:
        assert isinstance(body, bytes)
        if bodies and (len(bodies) >= most_items or size + len(body) > MOST_PAGE_BYTES):
            return Page(bodies, last, True)
        bodies.append(body)
        last = int(position)
        size += len(body)
    return Page(bodies, last, False)
