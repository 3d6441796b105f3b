"""Group commit: what is acknowledged is on disk, what fails undoes its own rows only."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localazure.errors import DataDamaged
from localazure.journal import Journal, JournalClosed, _Folding

SCHEMA = "CREATE TABLE IF NOT EXISTS words (word TEXT UNIQUE)"


def insert(word: str) -> Callable[[sqlite3.Connection], str]:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO words VALUES (?)", (word,))
        return word

    return work


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "words.sqlite", SCHEMA, lambda call: call())
    yield journal
    journal.close()


def words(journal: Journal) -> list[str]:
    reader = journal.reader()
    try:
        return [word for (word,) in reader.execute("SELECT word FROM words ORDER BY rowid")]
    finally:
        reader.close()


def test_a_result_is_reported_only_when_another_connection_can_read_the_row(journal: Journal) -> None:
    seen: queue.Queue[list[str]] = queue.Queue()
    journal.submit(insert("one"), lambda result, error: seen.put(words(journal)))
    assert seen.get(timeout=60) == ["one"]


def test_a_failing_work_undoes_its_own_rows_only(journal: Journal) -> None:
    gate = threading.Event()
    outcomes: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO words VALUES ('half')")
        raise ValueError("no")

    journal.submit(lambda connection: gate.wait(60), lambda result, error: None)  # the next three share one commit
    for work in (insert("before"), half, insert("after")):
        journal.submit(work, lambda result, error: outcomes.put((result, error)))
    gate.set()
    results = [outcomes.get(timeout=60) for _ in range(3)]

    assert [result for result, _ in results] == ["before", None, "after"]
    assert isinstance(results[1][1], ValueError)
    assert words(journal) == ["before", "after"]


def test_a_commit_that_fails_reports_every_work_of_its_group_and_keeps_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "words.sqlite", SCHEMA, lambda call: call())
    journal.run(lambda connection: connection.execute("PRAGMA max_page_count=4").fetchone())
    outcomes: queue.Queue[BaseException | None] = queue.Queue()
    gate = threading.Event()
    journal.submit(lambda connection: gate.wait(60), lambda result, error: None)
    journal.submit(insert("small"), lambda result, error: outcomes.put(error))
    journal.submit(insert("x" * 100_000), lambda result, error: outcomes.put(error))
    gate.set()
    errors = [outcomes.get(timeout=60) for _ in range(2)]

    assert isinstance(errors[1], sqlite3.OperationalError)
    assert "full" in str(errors[1])
    assert words(journal) == ([] if errors[0] is not None else ["small"])
    journal.run(insert("later"))
    assert words(journal)[-1] == "later"
    journal.close()


def test_run_returns_the_result_or_raises_the_refusal(journal: Journal) -> None:
    assert journal.run(insert("one")) == "one"
    with pytest.raises(sqlite3.IntegrityError):
        journal.run(insert("one"))


def test_close_finishes_what_was_queued_and_refuses_more(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "words.sqlite", SCHEMA, lambda call: call())
    for number in range(50):
        journal.submit(insert(str(number)), lambda result, error: None)
    journal.close()
    journal.close()
    with pytest.raises(JournalClosed):
        journal.submit(insert("late"), lambda result, error: None)
    again = Journal(tmp_path / "words.sqlite", SCHEMA, lambda call: call())
    assert len(words(again)) == 50
    again.close()


def test_a_reader_cannot_write(journal: Journal) -> None:
    reader = journal.reader()
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("INSERT INTO words VALUES ('no')")
    reader.close()


def test_a_file_that_is_no_database_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "words.sqlite").write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(DataDamaged, match=r"words\.sqlite"):
        Journal(tmp_path / "words.sqlite", SCHEMA, lambda call: call())


def test_beside_the_commits_the_write_ahead_log_is_folded_and_stays_below_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localazure.journal.LONGEST_WRITE_AHEAD_LOG_BYTES", 200_000)
    fold, folds = _Folding._fold, threading.Semaphore(0)

    def counted(self: _Folding) -> int:
        pages = fold(self)
        folds.release()
        return pages

    monkeypatch.setattr(_Folding, "_fold", counted)
    path = tmp_path / "words.sqlite"
    journal = Journal(path, SCHEMA, lambda call: call(), works_per_checkpoint=1)
    try:
        words = [f"{number:04}" * 10_000 for number in range(300)]
        for number, word in enumerate(words):
            journal.run(insert(word))
            if number % 20 == 19:  # faster than a thread that is not let run is no load
                assert folds.acquire(timeout=60)
                while folds.acquire(blocking=False):
                    pass
        assert (tmp_path / "words.sqlite-wal").stat().st_size < 6_000_000
        assert path.stat().st_size > 1_000_000, "nothing was folded while the file was open"
        reader = journal.reader()
        assert [word for (word,) in reader.execute("SELECT word FROM words ORDER BY rowid")] == words
        reader.close()
    finally:
        journal.close()
    assert not (tmp_path / "words.sqlite-wal").exists()


def test_a_write_is_awaited_until_it_is_on_disk_and_raises_what_its_work_raised(tmp_path: Path) -> None:
    async def wait() -> None:
        loop = asyncio.get_running_loop()
        journal = Journal(tmp_path / "words.sqlite", SCHEMA, loop.call_soon_threadsafe)
        assert await journal.write(insert("one")) == "one"
        assert words(journal) == ["one"]
        with pytest.raises(sqlite3.IntegrityError):
            await journal.write(insert("one"))
        given_up = asyncio.create_task(journal.write(insert("two")))
        await asyncio.sleep(0)  # it is on its way
        given_up.cancel()
        assert await journal.write(insert("three")) == "three"
        assert words(journal) == ["one", "two", "three"]
        journal.close()

    asyncio.run(wait())
