"""The catalog's rows: databases, containers and offers in SQLite.

Owns: tables, uniqueness, what a deleted container leaves to be swept. Refuses to know: what is in memory (`catalog`).
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from localazure.cosmos import rids
from localazure.cosmos.errors import Conflict
from localazure.cosmos.resources import Database, Offer

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
"""


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


def delete_container(connection: sqlite3.Connection, database: Database, number: int) -> bool:
    if not connection.execute("DELETE FROM containers WHERE number = ?", (number,)).rowcount:
        return False
    connection.execute("DELETE FROM progress WHERE container = ?", (number,))
    connection.execute("DELETE FROM offers WHERE resource_rid = ?", (rids.of_container(database.number, number),))
    connection.execute("INSERT INTO condemned VALUES (?)", (number,))
    return True
