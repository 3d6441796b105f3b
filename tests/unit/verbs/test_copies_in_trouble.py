"""A reader's copies, interrupted, raced, refused by the disk: whatever happens, no work of theirs is lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from labkit import __main__ as command_line
from labkit.errors import LabError
from labkit.verbs import copies, places
from tests.setup.test_set_up import without_root_rights
from tests.unit.verbs.short_notebooks import BOOK, WORK, everything_in, ids

STEPS = ("os.fsync", "os.link", "os.replace", "Path.rename", "Path.unlink", "Path.mkdir", "FileLock.acquire")


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_an_interrupt_at_any_step_of_a_fresh_copy_loses_nothing_and_the_next_call_goes_on(
    sources: list[Path], mine: Path, monkeypatch: pytest.MonkeyPatch, step: str, late: bool
) -> None:
    from filelock import FileLock

    copies.bring(mine, sources)
    (mine / BOOK).write_bytes(WORK)
    (mine / "figures" / "path.svg").unlink()
    holder = {"os": os, "Path": Path, "FileLock": FileLock}[step.partition(".")[0]]
    real = getattr(holder, step.partition(".")[2])

    def interrupted(*arguments: object, **named: object) -> object:
        if late:
            real(*arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(holder, step.partition(".")[2], interrupted)
        with pytest.raises(KeyboardInterrupt):
            copies.bring(mine, sources, fresh=sources[:1])

    assert WORK in everything_in(mine)
    copies.bring(mine, sources)
    assert WORK in everything_in(mine)
    nbformat.validate(nbformat.read(mine / BOOK, as_version=4))
    assert (mine / "figures" / "path.svg").exists()


def test_what_a_killed_call_left_half_written_goes(sources: list[Path], mine: Path) -> None:
    mine.mkdir()
    (mine / f".{BOOK}.123.new").write_bytes(b'{"cel')
    copies.bring(mine, sources)
    assert not list(mine.rglob(".*.new"))
    assert ids(mine / BOOK)


def test_what_comes_to_be_there_before_a_missing_copy_is_made_stays_in_its_place(
    sources: list[Path], mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    real = FileLock.acquire

    def save_and_acquire(lock: FileLock, *arguments: object, **named: object) -> object:
        (mine / BOOK).write_bytes(WORK)
        return real(lock, *arguments, **named)

    monkeypatch.setattr(FileLock, "acquire", save_and_acquire)
    copies.bring(mine, sources)
    assert (mine / BOOK).read_bytes() == WORK


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_what_is_saved_while_a_fresh_copy_is_made_stays(
    sources: list[Path], mine: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    copies.bring(mine, sources)
    (mine / BOOK).write_bytes(b"old")
    real_rename, real_link = Path.rename, os.link

    def rename_and_save(path: Path, target: Path) -> Path:
        moved = real_rename(path, target)
        path.write_bytes(WORK)  # JupyterLab saves what is still open
        return moved

    def link(one: Path, other: Path) -> None:
        if not links:
            raise OSError(errno.EPERM, "no links here", str(other))
        real_link(one, other)

    monkeypatch.setattr(Path, "rename", rename_and_save)
    monkeypatch.setattr(os, "link", link)
    copies.bring(mine, sources, fresh=sources[:1])

    assert (mine / BOOK).read_bytes() == WORK
    assert b"old" in everything_in(mine)
    assert not list(mine.rglob(".*.new"))


def test_a_file_system_without_links_gets_its_copies_all_the_same(
    sources: list[Path], mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(one: Path, other: Path) -> None:
        raise OSError(errno.EPERM, "no links here", str(other))

    monkeypatch.setattr(os, "link", no_link)
    assert copies.bring(mine, sources).made == (BOOK, "02_more.ipynb")
    assert ids(mine / BOOK)
    assert not list(mine.rglob(".*.new"))


def test_many_at_once_lose_nothing_and_leave_whole_copies(sources: list[Path], mine: Path) -> None:
    copies.bring(mine, sources)
    (mine / BOOK).write_bytes(WORK)
    script = (
        "import sys; from pathlib import Path; from labkit.verbs import copies;"
        "books = [Path(name) for name in sys.argv[2:]]; copies.bring(Path(sys.argv[1]), books, fresh=books)"
    )
    command = [sys.executable, "-c", script, str(mine), *map(str, sources)]
    running = [subprocess.Popen(command, cwd=places.ROOT) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert everything_in(mine).count(WORK) == 1
    assert all(ids(mine / path.name)[:2] == ["title", "your-copy"] for path in sources)
    assert not list(mine.rglob(".*.new"))


def test_a_full_disk_is_one_sentence_that_names_the_file_and_the_old_copy_stays(
    sources: list[Path], mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copies.bring(mine, sources)
    (mine / BOOK).write_bytes(WORK)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(command_line, "labkit", lambda **_: copies.bring(mine, sources, fresh=sources))
    assert command_line.main() == 1

    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith(str(mine / BOOK))
    assert "the disk is full" in sentence
    assert (mine / BOOK).read_bytes() == WORK
    assert not list(mine.rglob(".*.new"))


@pytest.mark.skipif(os.name == "nt", reason="only on systems where a folder's mode forbids writing in it")
def test_a_folder_that_cannot_be_written_is_one_sentence_and_copies_that_are_there_still_open(
    sources: list[Path], mine: Path, tmp_path: Path
) -> None:
    def bring() -> subprocess.CompletedProcess[str]:
        script = (
            "import sys; from pathlib import Path; from labkit import __main__ as command_line;"
            "from labkit.verbs import copies; books = [Path(name) for name in sys.argv[2:]];"
            "command_line.labkit = lambda **_: sys.exit(copies.bring(Path(sys.argv[1]), books).made != ());"
            "sys.exit(command_line.main())"
        )
        command = [*without_root_rights(), sys.executable, "-c", script, str(mine), *map(str, sources)]
        return subprocess.run(command, cwd=places.ROOT, capture_output=True, text=True, check=False)

    mine.mkdir(mode=0o555)
    refused = bring()
    assert refused.returncode == 1
    (sentence,) = refused.stderr.splitlines()
    assert sentence.startswith(str(mine))
    assert "Copy the lab's folder to a place you may write to" in sentence

    mine.chmod(0o755)
    copies.bring(mine, sources)
    mine.chmod(0o555)
    opened = bring()
    assert (opened.returncode, opened.stderr) == (0, "")


def test_a_file_in_the_folders_place_is_refused_in_words(sources: list[Path], mine: Path) -> None:
    mine.write_text("notes", encoding="utf-8")
    with pytest.raises(LabError, match="is a file"):
        copies.bring(mine, sources)
    assert mine.read_text(encoding="utf-8") == "notes"
