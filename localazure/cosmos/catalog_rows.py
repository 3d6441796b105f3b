"""The catalog's rows: databases, containers and offers in SQLite.

Owns: tables, uniqueness, what a deleted container leaves to be swept. Refuses to know: what is in memory (`catalog`).

How: a container made anew under a name goes on counting where the old one ended, so that a client's old session token
promises nothing that the new one has not reached.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from localazure.cosmos import ranges, rids
from localazure.cosmos.errors import Conflict, NotFound, PreconditionFailed
from localazure.cosmos.resources import Container, Database, Offer

SCHEMA = """
CREATE TABLE IF NOT EXISTS databases (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, etag TEXT NOT NULL, ts INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS containers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, database INTEGER NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL,
    etag TEXT NOT NULL, ts INTEGER NOT NULL, partitions TEXT NOT NULL, UNIQUE (database, name)
);
CREATE TABLE IF NOT EXISTS offers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, resource_rid TEXT NOT NULL UNIQUE, resource_link TEXT NOT NULL,
    content TEXT NOT NULL, etag TEXT NOT NULL, ts INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS condemned (container INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS reached (
    database TEXT, container TEXT, lsn INTEGER NOT NULL, PRIMARY KEY (database, container)
) WITHOUT ROWID;
"""
"""`reached`: how far a deleted container had come, by its names."""


def new_etag() -> str:
    return f'"{uuid.uuid4()}"'


def insert(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...], what: str) -> int:
    try:
        return int(connection.execute(statement, values).lastrowid or 0)
    except sqlite3.IntegrityError:
        raise Conflict(f"Resource with specified id or name already exists: the {what}.") from None


def insert_offer(
    connection: sqlite3.Connection, rid: str, link: str, content: Mapping[str, Any] | None, ts: int
) -> Offer | None:
    if content is None:
        return None
    etag = new_etag()
    number = connection.execute(
        "INSERT INTO offers (resource_rid, resource_link, content, etag, ts) VALUES (?, ?, ?, ?, ?)",
        (rid, link, json.dumps(content), etag, ts),
    ).lastrowid
    return Offer(int(number or 0), rid, link, content, etag, ts)


def replace_offer(connection: sqlite3.Connection, offer: Offer, if_match: str | None) -> None:
    """Raises: `NotFound`; `PreconditionFailed` where another change came first."""
    row = connection.execute("SELECT etag FROM offers WHERE number = ?", (offer.number,)).fetchone()
    if row is None:
        raise NotFound("Resource Not Found: the offer does not exist.")
    if if_match not in (None, "*", row[0]):
        raise PreconditionFailed(f"The etag given is {if_match}, the offer has {row[0]}.")
    connection.execute(
        "UPDATE offers SET content = ?, etag = ?, ts = ? WHERE number = ?",
        (json.dumps(offer.content), offer.etag, offer.ts, offer.number),
    )


def update_container(
    connection: sqlite3.Connection,
    container: Container,
    ts: int,
    *,
    definition: Mapping[str, Any] | None = None,
    fewest_partitions: int = 0,
) -> Container | None:
    """Change what is given, leaving the rest as the file has it now; None for a container that is gone."""
    row = connection.execute(
        "SELECT definition, partitions FROM containers WHERE number = ?", (container.number,)
    ).fetchone()
    if row is None:
        return None
    kept = json.loads(row[0]) if definition is None else definition
    partitions, etag = ranges.split_to(ranges.from_json(row[1]), fewest_partitions), new_etag()
    connection.execute(
        "UPDATE containers SET definition = ?, etag = ?, ts = ?, partitions = ? WHERE number = ?",
        (json.dumps(kept), etag, ts, ranges.as_json(partitions), container.number),
    )
    return Container.make(container.number, container.database, kept, etag, ts, partitions)


def begin_progress(connection: sqlite3.Connection, database: Database, name: str, number: int) -> None:
    """The order of a new container begins."""
    row = connection.execute(
        "SELECT lsn FROM reached WHERE database = ? AND container = ?", (database.name, name)
    ).fetchone()
    connection.execute("INSERT INTO progress VALUES (?, ?)", (number, row[0] if row else 0))


def delete_container(connection: sqlite3.Connection, database: Database, number: int) -> bool:
    connection.execute(
        "INSERT OR REPLACE INTO reached SELECT ?, c.name, p.lsn FROM containers AS c "
        "JOIN progress AS p ON p.container = c.number WHERE c.number = ?",
        (database.name, number),
    )
    if not connection.execute("DELETE FROM containers WHERE number = ?", (number,)).rowcount:
        return False
    connection.execute("DELETE FROM progress WHERE container = ?", (number,))
    connection.execute("DELETE FROM offers WHERE resource_rid = ?", (rids.of_container(database.number, number),))
    connection.execute("INSERT INTO condemned VALUES (?)", (number,))
    return True
