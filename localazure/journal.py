"""A SQLite file with one writing thread and group commit: what both services keep their state in.

Owns: the write connection, its thread, and the promise behind every acknowledgement: `done` is called with a result
only after the COMMIT that holds it is on disk. Refuses to know: tables, services, and whose thread is told (it reports
through the `post` it is given, for instance `loop.call_soon_threadsafe`).

How: works queue up while a commit is under way; the writer takes all that wait, runs each inside a savepoint of its
own, commits once (WAL, synchronous=FULL) and reports. A work that raises undoes its own rows only. When the commit
itself fails (a full disk), every work of the group is reported failed and nothing of it is kept.

By default SQLite folds the write-ahead log into the file within a commit, for which somebody then waits. Asked to, a
second thread does so beside the commits, every few works. The log then stays short: writing over its pages costs a
fraction of what a file's new pages do.

Source: sqlite.org/wal.html, sqlite.org/pragma.html#pragma_synchronous, sqlite.org/lang_savepoint.html
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from localazure.errors import DataDamaged

logger = logging.getLogger(__name__)

T = TypeVar("T")
Post = Callable[[Callable[[], None]], object]
Done = Callable[[T | None, BaseException | None], None]

MOST_WORKS_PER_COMMIT = 512
BUSY_TIMEOUT_SECONDS = 10.0
LONGEST_WRITE_AHEAD_LOG_BYTES = 16_777_216


class JournalClosed(RuntimeError):
    """Work was handed to a journal that has been closed."""


@dataclass(frozen=True, slots=True)
class _Work:
    run: Callable[[sqlite3.Connection], Any]
    done: Callable[[Any, BaseException | None], None]


_Report = tuple[_Work, Any, BaseException | None]


class _Folding:
    """The thread that folds the write-ahead log into the file while commits go on.

    What is committed meanwhile stays in the log, so that under load it would grow for ever. Above its limit the rest is
    folded with nothing `committing`; SQLite then begins the log anew.
    """

    def __init__(self, connection: sqlite3.Connection, every_works: int, name: str, page_bytes: int) -> None:
        self.committing = threading.Lock()
        self._connection = connection
        self._every_works = every_works
        self._most_pages = LONGEST_WRITE_AHEAD_LOG_BYTES // page_bytes
        self._name = name
        self._works = 0
        self._due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"fold-{name}", daemon=True)
        self._thread.start()

    def count(self, works: int) -> None:
        self._works += works
        if self._works >= self._every_works:
            self._works = 0
            self._due.set()

    def close(self) -> None:
        self._closed = True
        self._due.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while self._due.wait() and not self._closed:
            self._due.clear()
            try:
                if self._fold() > self._most_pages:
                    with self.committing:
                        self._fold()
            except sqlite3.Error as error:
                logger.error("folding the write-ahead log of %s failed: %s", self._name, error)

    def _fold(self) -> int:
        """The number of pages in the log, folded or not."""
        _, pages, _ = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return int(pages)


class Journal:
    """The one writer of a SQLite file. `works_per_checkpoint`: fold beside the commits, after so many works.

    Raises, at construction: `DataDamaged` if the file is not a database, `sqlite3.OperationalError` if it cannot be
    opened or written.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        post: Post,
        *,
        page_bytes: int = 4096,
        works_per_checkpoint: int | None = None,
    ) -> None:
        self._path = path
        self._page_bytes = page_bytes
        self._post = post
        self._works: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        try:
            self._connection = self._open(read_only=False)
            self._connection.executescript(schema)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise DataDamaged(path, str(error)) from error
        self._thread = threading.Thread(target=self._write, name=f"journal-{path.stem}", daemon=True)
        self._folding = None
        if works_per_checkpoint is not None:
            self._folding = _Folding(self._open(read_only=False), works_per_checkpoint, path.name, page_bytes)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T], done: Done[T]) -> None:
        """Queue `work`; `done(result, None)` follows once it is durable, `done(None, error)` if it is not kept."""
        with self._lock:
            if self._closed:
                raise JournalClosed(f"{self._path.name} is closed")
            self._works.put(_Work(work, done))

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, once it is durable; what it raises, with nothing kept. For the loop behind `post`."""
        finished: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def done(result: T | None, error: BaseException | None) -> None:
            if finished.done():  # whoever waited was cancelled
                return
            if error is not None:
                finished.set_exception(error)
            else:
                finished.set_result(result)  # type: ignore[arg-type]

        self.submit(work, done)
        return await finished

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`submit` and wait: for set-up and control calls from a thread that may block. Never call it from `post`'s."""
        finished = threading.Event()
        outcome: list[Any] = [None, None]

        def keep(result: T | None, error: BaseException | None) -> None:
            outcome[:] = [result, error]
            finished.set()

        with self._lock:
            if self._closed:
                raise JournalClosed(f"{self._path.name} is closed")
            self._works.put(_Work(work, _Direct(keep)))
        finished.wait()
        if outcome[1] is not None:
            raise outcome[1]
        result: T = outcome[0]
        return result

    def reader(self) -> sqlite3.Connection:
        """A new connection that sees committed rows only; the caller closes it."""
        return self._open(read_only=True)

    def close(self) -> None:
        """Finish the queued works, fold the write-ahead log into the file and stop the thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._works.put(None)
        self._thread.join()
        if self._folding is not None:
            self._folding.close()
        self._connection.close()

    def _open(self, *, read_only: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_SECONDS
        )
        connection.execute(f"PRAGMA page_size={self._page_bytes}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA query_only=1" if read_only else "PRAGMA wal_autocheckpoint=2000")
        return connection

    def _write(self) -> None:
        while True:
            group, last = self._take()
            if group:
                with self._folding.committing if self._folding is not None else nullcontext():
                    reports = self._commit(group)
                for work, result, error in reports:
                    self._report(work, result, error)
                if self._folding is not None:
                    self._folding.count(len(group))
            if last:
                return

    def _take(self) -> tuple[list[_Work], bool]:
        """Everything that waits, at least one work unless closing; True when nothing follows."""
        group: list[_Work] = []
        work = self._works.get()
        while work is not None:
            group.append(work)
            if len(group) >= MOST_WORKS_PER_COMMIT:
                return group, False
            try:
                work = self._works.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: list[_Work]) -> list[_Report]:
        reports: list[_Report] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for work in group:
                reports.append((work, *self._run_one(work)))
            self._connection.execute("COMMIT")
        except sqlite3.Error as failure:
            logger.error("commit of %d works to %s failed: %s", len(group), self._path.name, failure)
            self._roll_back()
            reports = [(work, None, failure) for work in group]
        return reports

    def _roll_back(self) -> None:
        """Leave the transaction, and the thread alive, whatever the disk says."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            logger.error("rolling %s back failed: %s", self._path.name, error)

    def _run_one(self, work: _Work) -> tuple[Any, BaseException | None]:
        self._connection.execute("SAVEPOINT work")
        try:
            result = work.run(self._connection)
        except Exception as refusal:
            if isinstance(refusal, sqlite3.Error) and not self._connection.in_transaction:
                raise  # SQLite has undone the whole group, as it does when the disk is full
            self._connection.execute("ROLLBACK TO work")
            self._connection.execute("RELEASE work")
            return None, refusal
        self._connection.execute("RELEASE work")
        return result, None

    def _report(self, work: _Work, result: Any, error: BaseException | None) -> None:
        if isinstance(work.done, _Direct):
            work.done(result, error)
            return
        try:
            self._post(lambda: work.done(result, error))
        except RuntimeError:
            logger.debug("the loop behind %s is gone; a durable result had nobody to tell", self._path.name)


@dataclass(frozen=True, slots=True)
class _Direct:
    """A report that a waiting thread receives itself, without the event loop."""

    keep: Callable[[Any, BaseException | None], None]

    def __call__(self, result: Any, error: BaseException | None) -> None:
        self.keep(result, error)
