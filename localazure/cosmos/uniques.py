"""Unique keys: values that no two documents of one logical partition may share.

Owns: who holds which values. Refuses to know: HTTP, how documents are kept beyond their row number.

How: each unique key of a container gives a document one text, the JSON of the values at its paths (a missing one is
null); a unique index over container, key and text finds the second holder. A document that has expired holds nothing.

Source: learn.microsoft.com/azure/cosmos-db/unique-keys
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from localazure.cosmos.errors import BadRequest
from localazure.cosmos.partitioning import follow, split_path
from localazure.cosmos.sql.values import Undefined, is_number, number

SCHEMA = """
CREATE TABLE IF NOT EXISTS uniques (
    container INTEGER NOT NULL, epk TEXT NOT NULL, key TEXT NOT NULL, place INTEGER NOT NULL, value TEXT NOT NULL,
    number INTEGER NOT NULL, PRIMARY KEY (container, epk, key, place, value)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uniques_by_number ON uniques (number);
"""

UniqueKeys = tuple[tuple[tuple[str, ...], ...], ...]
"""The paths of each unique key, each path as property names."""

MOST_KEYS, MOST_PATHS = 10, 16


def of_policy(policy: Any) -> UniqueKeys:
    """Of a container's `uniqueKeyPolicy`. Raises: `BadRequest`."""
    if policy is None:
        return ()
    keys = policy.get("uniqueKeys") if isinstance(policy, dict) else None
    if not isinstance(keys, list) or len(keys) > MOST_KEYS:
        raise BadRequest(f"The unique key policy is not a list of at most {MOST_KEYS} unique keys.")
    return tuple(_paths(key) for key in keys)


def texts(keys: UniqueKeys, document: Mapping[str, Any]) -> tuple[str, ...]:
    """What `document` holds of each unique key."""
    return tuple(json.dumps([_value(document, path) for path in paths], sort_keys=True) for paths in keys)


def claim(
    connection: sqlite3.Connection, where: tuple[int, str, str], values: Sequence[str], number: int
) -> int | None:
    """Hold `values` for the document `number` at `where` (container, effective key, key).

    None if that was possible; else the number of the document that holds one of them.
    """
    for place, value in enumerate(values):
        holder = connection.execute(
            "INSERT INTO uniques VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = number RETURNING number",
            (*where, place, value, number),
        ).fetchone()
        if holder[0] != number:
            return int(holder[0])
    return None


def release(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("DELETE FROM uniques WHERE number = ?", (number,))


def release_partition(connection: sqlite3.Connection, container: int, epk: str, key: str) -> None:
    connection.execute("DELETE FROM uniques WHERE container = ? AND epk = ? AND key = ?", (container, epk, key))


def sweep_container(connection: sqlite3.Connection, container: int, most: int) -> int:
    """As `documents.sweep_container`."""
    return connection.execute(
        "DELETE FROM uniques WHERE (container, epk, key, place, value) IN "
        "(SELECT container, epk, key, place, value FROM uniques WHERE container = ? LIMIT ?)",
        (container, most),
    ).rowcount


def _paths(key: Any) -> tuple[tuple[str, ...], ...]:
    paths = key.get("paths") if isinstance(key, dict) else None
    if not isinstance(paths, list) or not 0 < len(paths) <= MOST_PATHS or not all(isinstance(p, str) for p in paths):
        raise BadRequest(f"A unique key has not between one and {MOST_PATHS} paths.")
    return tuple(split_path(path) for path in paths)


def _value(document: Mapping[str, Any], path: Sequence[str]) -> Any:
    """1 and 1.0 are the same value, as they are one number."""
    value = follow(document, path)
    if is_number(value):
        return number(value)
    return None if isinstance(value, Undefined) else value
