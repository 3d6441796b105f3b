"""What a topic has accepted and not yet delivered, its subscriptions and its dead letters: one SQLite file.

Owns the tables. Refuses to know HTTP and when to try again. Writes go through the journal, so that what was
acknowledged is on disk; the file is made with the first topic, as most users have none.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localazure.eventgrid.schedule import Policy
from localazure.journal import Journal, Post

FILE = "eventgrid.sqlite"
MOST_DEAD_LETTERS = 10_000
"""Of a subscription; the oldest make room."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS subscriptions (
  topic TEXT, name TEXT, endpoint TEXT, policy TEXT, PRIMARY KEY (topic, name));
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY, topic TEXT, subscription TEXT, event BLOB, accepted_at REAL, attempts INTEGER, due_at REAL);
CREATE INDEX IF NOT EXISTS due ON deliveries (topic, subscription, due_at, id);
CREATE TABLE IF NOT EXISTS dead_letters (id INTEGER PRIMARY KEY, topic TEXT, subscription TEXT, event TEXT);
"""


@dataclass(frozen=True, slots=True)
class Subscription:
    topic: str
    name: str
    endpoint: str
    policy: Policy

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "endpoint": self.endpoint, **asdict(self.policy)}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one subscription. `accepted_at`: seconds since 1970."""

    id: int
    event: bytes
    accepted_at: float
    attempts: int


class GridStore:
    """Raises, at construction: as `Journal`."""

    def __init__(self, data_dir: Path, post: Post) -> None:
        self._journal = Journal(data_dir / FILE, SCHEMA, post)
        self._reader = self._journal.reader()

    def close(self) -> None:
        self._reader.close()
        self._journal.close()

    def topics(self) -> list[str]:
        return [name for (name,) in self._reader.execute("SELECT name FROM topics ORDER BY name")]

    def subscriptions(self) -> list[Subscription]:
        rows = self._reader.execute("SELECT topic, name, endpoint, policy FROM subscriptions ORDER BY topic, name")
        return [Subscription(topic, name, url, Policy(**json.loads(policy))) for topic, name, url, policy in rows]

    async def add_topic(self, name: str) -> None:
        await self._journal.write(lambda c: c.execute("INSERT OR IGNORE INTO topics VALUES (?)", (name,)))

    async def remove(self, topic: str, subscription: str | None = None) -> None:
        """A subscription, or the topic with all of them: what waits for it goes too."""
        one, values = ("", (topic,)) if subscription is None else (" AND subscription = ?", (topic, subscription))

        def work(connection: sqlite3.Connection) -> None:
            for table in ("deliveries", "dead_letters"):
                connection.execute(f"DELETE FROM {table} WHERE topic = ?{one}", values)
            name = one.replace("subscription", "name")
            connection.execute(f"DELETE FROM subscriptions WHERE topic = ?{name}", values)
            if subscription is None:
                connection.execute("DELETE FROM topics WHERE name = ?", values)

        await self._journal.write(work)

    async def subscribe(self, wanted: Subscription) -> None:
        """Make it, or give the one of that name this endpoint and policy: what waits for it stays."""
        values = (wanted.topic, wanted.name, wanted.endpoint, json.dumps(asdict(wanted.policy)))
        await self._journal.write(
            lambda c: c.execute("INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?, ?)", values)
        )

    async def accept(self, topic: str, events: Sequence[bytes], now: float) -> None:
        """Keep these events for each subscription that the topic has at this moment; return when they are on disk."""
        insert = (
            "INSERT INTO deliveries (topic, subscription, event, accepted_at, attempts, due_at) "
            "SELECT topic, name, ?, ?, 0, ? FROM subscriptions WHERE topic = ?"
        )
        rows = [(event, now, now, topic) for event in events]
        await self._journal.write(lambda c: c.executemany(insert, rows))

    def due(self, subscription: Subscription, now: float, limit: int) -> list[Delivery]:
        """What is to be tried now, oldest due first."""
        rows = self._reader.execute(
            "SELECT id, event, accepted_at, attempts FROM deliveries "
            "WHERE topic = ? AND subscription = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?",
            (subscription.topic, subscription.name, now, limit),
        )
        return [Delivery(*row) for row in rows]

    def next_due(self, now: float) -> float | None:
        """When the next one that is not due yet will be."""
        (moment,) = self._reader.execute("SELECT MIN(due_at) FROM deliveries WHERE due_at > ?", (now,)).fetchone()
        return None if moment is None else float(moment)

    def pending(self, topic: str | None = None) -> int:
        where, values = ("", ()) if topic is None else (" WHERE topic = ?", (topic,))
        (count,) = self._reader.execute(f"SELECT COUNT(*) FROM deliveries{where}", values).fetchone()
        return int(count)

    async def delivered(self, ids: Iterable[int]) -> None:
        rows = [(one,) for one in ids]
        await self._journal.write(lambda c: c.executemany("DELETE FROM deliveries WHERE id = ?", rows))

    async def retry(self, due: Mapping[int, float], attempts: int) -> None:
        """Delivery -> when to try it again, after so many attempts."""
        rows = [(attempts, moment, one) for one, moment in due.items()]
        await self._journal.write(
            lambda c: c.executemany("UPDATE deliveries SET attempts = ?, due_at = ? WHERE id = ?", rows)
        )

    async def give_up(self, subscription: Subscription, letters: Mapping[int, str]) -> None:
        """Take these deliveries out, and keep what is told of each as a dead letter if the subscription has any."""
        place = (subscription.topic, subscription.name)

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM deliveries WHERE id = ?", [(one,) for one in letters])
            if subscription.policy.dead_letter:
                insert = "INSERT INTO dead_letters (topic, subscription, event) VALUES (?, ?, ?)"
                connection.executemany(insert, [(*place, letter) for letter in letters.values()])
                connection.execute(
                    "DELETE FROM dead_letters WHERE topic = ? AND subscription = ? AND id <= ("
                    "SELECT id FROM dead_letters WHERE topic = ? AND subscription = ? "
                    "ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (*place, *place, MOST_DEAD_LETTERS),
                )

        await self._journal.write(work)

    def dead_letters(self, topic: str, subscription: str) -> list[dict[str, Any]]:
        """Oldest first."""
        found = self._reader.execute(
            "SELECT event FROM dead_letters WHERE topic = ? AND subscription = ? ORDER BY id", (topic, subscription)
        )
        return [json.loads(letter) for (letter,) in found]
