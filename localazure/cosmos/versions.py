"""Every version and every delete, for containers that keep them: what the full change feed reads.

Owns: the log of changes and its retention. Refuses to know: how documents are written, HTTP.

How: a container whose change feed policy has a retention notes each change under its sequence number: the operation,
the document as it became, for a delete the document as it was. Each write drops the oldest few entries that are past
the retention. A document that expires is noted when its row is removed (`expiry`), which is later than its time.

Source: learn.microsoft.com/azure/cosmos-db/nosql/change-feed-modes#all-versions-and-deletes-change-feed-mode, the
metadata's names as learn.microsoft.com/javascript/api/@azure/functions/cosmosdbv4changefeedmetadata
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from localazure.cosmos.errors import BadRequest

SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
    container INTEGER NOT NULL, sequence INTEGER NOT NULL, epk TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL,
    ts INTEGER NOT NULL, operation TEXT NOT NULL, previous_lsn INTEGER, expired INTEGER NOT NULL,
    current BLOB, previous BLOB, PRIMARY KEY (container, sequence)
);
CREATE INDEX IF NOT EXISTS versions_by_key ON versions (container, epk, sequence);
"""

Operation = Literal["create", "replace", "delete"]
DROPPED_PER_WRITE = 4
MOST_RETENTION_MINUTES = 30 * 24 * 60


@dataclass(frozen=True, slots=True)
class Change:
    """One entry; `current` is None for a delete, `previous` for everything else."""

    operation: Operation
    previous_lsn: int | None
    current: bytes | None = None
    previous: bytes | None = None
    expired: bool = False


def retention_of_policy(policy: Any) -> int | None:
    """Seconds of a container's `changeFeedPolicy`; None where nothing is kept. Raises: `BadRequest`."""
    if policy is None:
        return None
    minutes = policy.get("retentionDuration") if isinstance(policy, dict) else None
    if isinstance(minutes, bool) or not isinstance(minutes, int) or not 0 <= minutes <= MOST_RETENTION_MINUTES:
        raise BadRequest(f"The change feed retention {minutes!r} is no number of minutes up to 30 days.")
    return minutes * 60 or None


def note(
    connection: sqlite3.Connection,
    container: int,
    where: tuple[str, str, str],
    sequence: int,
    ts: int,
    change: Change,
) -> None:
    """`where` is effective key, key and id."""
    connection.execute(
        "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            container,
            sequence,
            *where,
            ts,
            change.operation,
            change.previous_lsn,
            change.expired,
            change.current,
            change.previous,
        ),
    )


def drop_old(connection: sqlite3.Connection, container: int, before_ts: int) -> None:
    """Drop some of what is past the retention."""
    connection.execute(
        "DELETE FROM versions WHERE container = ? AND ts < ? AND sequence IN "
        "(SELECT sequence FROM versions WHERE container = ? ORDER BY sequence LIMIT ?)",
        (container, before_ts, container, DROPPED_PER_WRITE),
    )


def sweep_container(connection: sqlite3.Connection, container: int, most: int) -> int:
    """As `documents.sweep_container`."""
    return connection.execute(
        "DELETE FROM versions WHERE rowid IN (SELECT rowid FROM versions WHERE container = ? LIMIT ?)",
        (container, most),
    ).rowcount


def feed_text(row: Sequence[Any], lsn: int, key_names: Sequence[str]) -> bytes:
    """One change as the feed gives it; `row` is ts, operation, previous_lsn, expired, current, previous, key, id."""
    ts, operation, previous_lsn, expired, current, previous, key, id = row
    metadata: dict[str, Any] = {"lsn": lsn, "crts": ts, "operationType": operation}
    if previous_lsn is not None:
        metadata["previousImageLSN"] = previous_lsn
    if operation == "delete":
        metadata["id"] = id
        metadata["partitionKey"] = dict(zip(key_names, json.loads(key), strict=False))
        metadata["timeToLiveExpired"] = bool(expired)
    parts = [
        b'"current":' + (current or b"null"),
        b'"metadata":' + json.dumps(metadata, separators=(",", ":")).encode(),
    ]
    if previous is not None:
        parts.append(b'"previous":' + previous)
    return b"{" + b",".join(parts) + b"}"
