"""`progress`: what checks note while a reader works, and what is told of it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import nbformat
import pytest
from click.testing import CliRunner
from nbformat import v4

from labkit import checks
from labkit.checks import CheckFailed
from labkit.verbs import noted, places, progress


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder, in which a kernel of notebook 03 works."""
    folder = tmp_path / "my_lab"
    folder.mkdir()
    monkeypatch.setattr(noted, "STUDENT", folder)
    monkeypatch.chdir(folder)
    in_notebook("03", monkeypatch)
    return folder


def in_notebook(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    main.lab = SimpleNamespace(number=number)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)


def check(number: int, *, right: bool) -> None:
    try:
        with checks.exercise(number, "Doubling") as one:
            one.that(right, "two of each")
    except CheckFailed:
        assert not right


def notes(folder: Path) -> list[tuple[str, int, bool]]:
    return [(one.notebook, one.exercise, one.right) for one in noted.all_in(folder)]


@pytest.fixture
def books(tmp_path: Path) -> list[Path]:
    """Two notebooks: 03 with two exercises, 04 with one."""
    made = []
    for number, titles in (("03", ["Where to begin", "Find the bug"]), ("04", ["Find the bug"])):
        cells = [v4.new_markdown_cell(f"# {number} · Words\n\nA question?")]
        for count, title in enumerate(titles, start=1):
            cell = v4.new_code_cell(f'x = 1\nwith checks.exercise({count}, "{title}") as check:\n    pass')
            cell.metadata["tags"] = ["check"]
            cells.append(cell)
        made.append(tmp_path / f"{number}_words.ipynb")
        nbformat.write(v4.new_notebook(cells=cells), made[-1])
    return made


def test_each_run_of_a_check_is_noted_with_its_notebook_and_how_it_ended(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(2, right=False)
    check(2, right=True)
    in_notebook("04", monkeypatch)
    check(1, right=True)
    assert notes(mine) == [("03", 2, False), ("03", 2, True), ("04", 1, True)]


def test_nothing_is_noted_elsewhere_than_in_the_readers_folder_or_without_a_lab(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check(1, right=True)
    monkeypatch.chdir(mine)
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    check(1, right=True)
    assert notes(mine) == []
    assert list(mine.iterdir()) == []


def test_an_interrupt_is_no_try(mine: Path) -> None:
    with pytest.raises(KeyboardInterrupt), checks.exercise(1, "Doubling"):
        raise KeyboardInterrupt
    assert notes(mine) == []


def test_a_full_disk_takes_nothing_from_the_answer_and_is_told(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    check(1, right=True)
    told = capsys.readouterr().out
    assert told.startswith("Exercise 1 · Doubling: right.\n(`labkit progress` will not know of it: ")
    assert "No space left on device" in told


def test_a_disk_that_takes_half_a_line_is_told_too_and_the_next_line_counts(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:20]))
        check(1, right=True)
    assert "No space left on device" in capsys.readouterr().out
    check(2, right=True)
    assert notes(mine) == [("03", 2, True)]


@pytest.mark.parametrize("torn", ['{"notebook": "03", "exer', '{"notebook": "03"}\n[1]\n{"other": 1}\n\n"', "\ufffd"])
def test_a_line_that_was_cut_short_hides_no_other(mine: Path, torn: str) -> None:
    check(1, right=True)
    with (mine / noted.FILE).open("a", encoding="utf-8") as file:
        file.write(torn)
    check(2, right=True)
    assert notes(mine) == [("03", 1, True), ("03", 2, True)]


def test_two_kernels_that_note_at_once_lose_nothing(mine: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from types import SimpleNamespace; from labkit.verbs import noted\n"
        "noted.STUDENT = Path.cwd(); lab = SimpleNamespace(number=sys.argv[1])\n"
        "for number in range(200): noted.note(number, right=True)"
    )
    environment = {**os.environ, "PYTHONPATH": str(places.ROOT)}
    kernels = [subprocess.Popen([sys.executable, "-c", code, book], cwd=mine, env=environment) for book in ("03", "04")]
    assert [kernel.wait() for kernel in kernels] == [0, 0]
    assert sorted(notes(mine)) == [(book, number, True) for book in ("03", "04") for number in range(200)]


def test_before_anything_is_done_the_first_exercise_is_next(books: list[Path], tmp_path: Path) -> None:
    assert progress.told(progress.standing(books, tmp_path / "none")).splitlines()[-1] == (
        "Next: my_lab/03_*.ipynb, exercise 1 · Where to begin."
    )


def test_what_is_right_tried_and_untouched_is_told_apart_and_the_next_exercise_named(
    mine: Path, books: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_can_show", lambda text: False)
    check(1, right=False)
    check(1, right=True)
    check(1, right=False)  # played with after it was solved: it stays solved
    check(2, right=False)
    assert progress.told(progress.standing(books, mine)).splitlines() == [
        "03 · Words             #+     1 of 2   next: exercise 2 · Find the bug",
        "04 · Words             .      0 of 1   next: exercise 1 · Find the bug",
        "# right   + tried, not yet right   . not tried",
        "Next: my_lab/03_*.ipynb, exercise 2 · Find the bug.",
    ]


def test_when_all_is_done_it_says_so(mine: Path, books: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    check(1, right=True)
    check(2, right=True)
    in_notebook("04", monkeypatch)
    check(1, right=True)
    told = progress.told(progress.standing(books, mine)).splitlines()
    assert [line.split()[-2:] for line in told[:2]] == [["all", "done"]] * 2
    assert told[-1] == "All exercises are done."


def test_a_script_gets_the_same_as_json(mine: Path) -> None:
    check(1, right=True)
    done = CliRunner().invoke(progress.progress, ["--json"])
    third = json.loads(done.output)[2]
    assert third["title"] == "03 · Projections"
    assert third["exercises"][0] == {"number": 1, "title": "Where to begin", "tries": 1, "right": True}


@pytest.mark.parametrize("path", places.notebooks(), ids=lambda path: path.stem)
def test_every_exercise_with_a_check_is_counted_and_its_notebook_says_its_own_number(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    checked = [cell for cell in notebook.cells if "check" in cell.metadata.get("tags", [])]
    assert [number for number, _ in progress.asked(notebook)] == list(range(1, len(checked) + 1))
    assert any(f'lab = open_lab("{path.name[:2]}"' in cell.source for cell in notebook.cells)
