"""What documents were a moment ago: kept only while a second, lagging region is simulated.

Owns: the versions that writes replaced lately, and the state of a container at a past moment. Refuses to know: why
anybody asks (`regions`), HTTP.

How: a write that replaces, creates or deletes a document first keeps what was there (or that nothing was), with the
time and the LSN of the change. The state at a moment is, for each document, the oldest such entry made after it, else
the document as it is now. Entries older than the lag are dropped by the writes that follow.
"""

from __future__ import annotations

import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS past (
    container INTEGER NOT NULL, epk TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, until REAL NOT NULL,
    lsn INTEGER NOT NULL, number INTEGER, sequence INTEGER, ts INTEGER, ttl INTEGER, etag TEXT, body BLOB
);
CREATE INDEX IF NOT EXISTS past_by_id ON past (container, epk, key, id, until);
CREATE INDEX IF NOT EXISTS past_by_time ON past (until);
"""

COLUMNS = "number, container, epk, key, id, sequence, ts, ttl, etag, body"
SAME_DOCUMENT = "p.container = d.container AND p.epk = d.epk AND p.key = d.key AND p.id = d.id"


def keep(connection: sqlite3.Connection, container: int, where: tuple[str, str, str], lsn: int, until: float) -> None:
    """Keep what is at `where` (effective key, key, id), if anything, before the change `lsn` made at `until`."""
    connection.execute(
        "INSERT INTO past SELECT w.container, w.epk, w.key, w.id, ?, ?, "
        "d.number, d.sequence, d.ts, d.ttl, d.etag, d.body "
        "FROM (SELECT ? AS container, ? AS epk, ? AS key, ? AS id) AS w "
        "LEFT JOIN documents AS d ON w.container = d.container AND w.epk = d.epk AND w.key = d.key AND w.id = d.id",
        (until, lsn, container, *where),
    )


def drop_before(connection: sqlite3.Connection, moment: float) -> None:
    connection.execute("DELETE FROM past WHERE until < ?", (moment,))


def source(moment: float | None) -> str:
    """What to select documents from: the table, or (as a subquery with the same columns) its state at `moment`."""
    if moment is None:
        return "documents"
    later = f"p.until > {moment!r}"
    return (
        f"(SELECT {COLUMNS} FROM documents AS d "
        f"WHERE NOT EXISTS (SELECT 1 FROM past AS p WHERE {SAME_DOCUMENT} AND {later}) "
        f"UNION ALL SELECT {COLUMNS} FROM past AS d WHERE d.number IS NOT NULL AND d.rowid = "
        f"(SELECT p.rowid FROM past AS p WHERE {SAME_DOCUMENT} AND {later} ORDER BY p.until, p.rowid LIMIT 1))"
    )


def lsn_at(connection: sqlite3.Connection, container: int, moment: float) -> int | None:
    """The last LSN that was there at `moment`; None when nothing has changed since."""
    row = connection.execute(
        "SELECT MIN(lsn) - 1 FROM past WHERE container = ? AND until > ?", (container, moment)
    ).fetchone()
    return None if row[0] is None else int(row[0])
