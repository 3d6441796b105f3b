"""A lab belongs to a process as long as that process lives."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from labkit import owners
from labkit.owners import own, owned, sweep

OWN_AND_DIE = """
import os, sys
from pathlib import Path
from labkit.owners import own
kept = own(Path(sys.argv[1]), "killed")
os._exit(9)
"""


def swept(folder: Path, *, gone: bool = True) -> list[str]:
    found: list[str] = []

    def delete(name: str) -> bool:
        found.append(name)
        return gone

    sweep(folder, delete)
    return found


def test_what_a_killed_process_owned_is_found_once(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", OWN_AND_DIE, str(tmp_path)], check=False).returncode == 9
    assert swept(tmp_path) == ["killed"]
    assert swept(tmp_path) == []


def test_what_could_not_be_deleted_is_found_again(tmp_path: Path) -> None:
    own(tmp_path, "stubborn").end(forget=False)
    assert swept(tmp_path, gone=False) == ["stubborn"]
    assert swept(tmp_path) == ["stubborn"]


class DeletedWithItsLock(FileLock):
    """As filelock does on Windows."""

    def release(self, force: bool = False) -> None:
        super().release(force)
        if not self.preserve_lock_file:
            Path(self.lock_file).unlink(missing_ok=True)


def test_a_killed_lab_is_not_forgotten_by_looking_at_it_where_a_file_goes_with_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "FileLock", DeletedWithItsLock)
    own(tmp_path, "killed").end(forget=False)
    assert owned(tmp_path) == []
    assert swept(tmp_path, gone=False) == ["killed"]
    assert swept(tmp_path) == ["killed"]
    assert swept(tmp_path) == []


def test_what_is_open_is_left_alone_and_what_was_closed_is_forgotten(tmp_path: Path) -> None:
    one, other = own(tmp_path, "one"), own(tmp_path, "other")
    assert swept(tmp_path) == []
    one.end(forget=True)
    one.end(forget=True)
    assert swept(tmp_path) == []
    other.end(forget=False)
    assert swept(tmp_path) == ["other"]


def test_a_killed_lab_is_never_taken_for_open_however_many_look_or_delete_what_is_left_of_it(tmp_path: Path) -> None:
    open_one = own(tmp_path, "open")
    own(tmp_path, "left").end(forget=False)
    with ThreadPoolExecutor(8) as pool:
        looks = list(pool.map(owned, [tmp_path] * 200))
    assert [found for found in looks if found != ["open"]] == []

    while_deleting: list[list[str]] = []

    def delete(name: str) -> bool:
        while_deleting.append([*owned(tmp_path), *swept(tmp_path)])
        return name == "left"

    sweep(tmp_path, delete)
    assert while_deleting == [["open"]]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["all", "open.lock"]
    open_one.end(forget=True)
    assert owned(tmp_path) == []


def test_labs_that_open_while_others_sweep_are_never_taken_for_left_behind(tmp_path: Path) -> None:
    def open_and_sweep(number: int) -> list[str]:
        kept = own(tmp_path, f"lab-{number}")
        found = swept(tmp_path)
        kept.end(forget=True)
        return found

    with ThreadPoolExecutor(8) as pool:
        assert [found for found in pool.map(open_and_sweep, range(100)) if found] == []
