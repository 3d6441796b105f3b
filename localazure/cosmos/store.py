"""Reads and durable writes of the Cosmos DB file, as awaitables.

Owns: the journal, the reading connections, the clock. Refuses to know: tables' meaning, HTTP.

How: a write's work runs in the journal's thread; the awaitable ends once its commit is on disk. A point read is some
twenty microseconds and is done in place, on a connection that sees committed rows only. What may take long (feeds,
queries) runs in a few worker threads, each with a connection of its own; leaving ends it where it is.

Source: sqlite.org/wal.html#avoiding_excessively_large_wal_files
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from localazure.cosmos.errors import ServiceUnavailable
from localazure.journal import Journal, JournalClosed, Post

T = TypeVar("T")

WORKERS = 4
STEPS_BETWEEN_LOOKS = 10_000
CHECKPOINT_PAGES = 500
ROOM_BYTES = 2 * 1024 * 1024
ROOM_SCHEMA = "CREATE TABLE IF NOT EXISTS room (bytes BLOB);"


class Store:
    """One SQLite file. Raises: as `Journal`."""

    def __init__(self, path: Path, schema: str, post: Post, now: Callable[[], float]) -> None:
        self.now = now
        self._journal = Journal(path, schema + ROOM_SCHEMA, post)
        self._make_room()
        self.reader = self._journal.reader()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="cosmos-read")
        self._of_thread = threading.local()
        self._leaving = threading.Event()
        self._opened: list[sqlite3.Connection] = []

    def _make_room(self) -> None:
        """Let the write-ahead log grow to the size it keeps before anybody waits for it.

        While that file grows, each commit also waits for the file system's own journal, which costs several times what
        overwriting does. So a row of that size is written and deleted once, and checkpoints keep the log that small.
        """

        def fill(connection: sqlite3.Connection) -> None:
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute("INSERT INTO room VALUES (zeroblob(?))", (ROOM_BYTES,))

        def empty(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM room")

        def filled(_: None, error: BaseException | None) -> None:
            with suppress(JournalClosed):
                if error is None:
                    self._journal.submit(empty, lambda _, __: None)

        self._journal.submit(fill, filled)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, once it is durable; what it raises, with nothing kept."""
        return await self._journal.write(work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a long read in a worker thread. Raises: `ServiceUnavailable` for one that leaving has ended."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, lambda: self._read(work))

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._connection())
        except sqlite3.OperationalError as error:
            if self.is_leaving():
                raise ServiceUnavailable("The embedded Azure is being stopped.") from error
            raise
        except StopIteration as error:  # a future takes it for its own end, and nobody would be told
            raise RuntimeError("a read ended with StopIteration") from error

    def leave(self) -> None:
        """Let long reads stop where they are: nobody will wait for them."""
        self._leaving.set()

    def is_leaving(self) -> bool:
        return self._leaving.is_set()

    def close(self) -> None:
        self.leave()
        self._workers.shutdown(wait=True, cancel_futures=True)
        for connection in self._opened:
            connection.close()
        self.reader.close()
        self._journal.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = self._journal.reader()
            connection.set_progress_handler(self.is_leaving, STEPS_BETWEEN_LOOKS)
            self._opened.append(connection)
        return connection
