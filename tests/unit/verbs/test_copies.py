"""A reader's copies: what is in them, and that whatever happens, no work of theirs is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbformat import v4

from labkit import __main__ as command_line
from labkit.errors import LabError
from labkit.verbs import copies, lab, places
from labkit.verbs.azure import reset
from tests.setup.test_set_up import without_root_rights

BOOK = "01_short.ipynb"
WORK = b'{"cells": [], "metadata": {"mine": "a night of work"}, "nbformat": 4, "nbformat_minor": 5}'


def write(path: Path, answer: str = "return 2") -> Path:
    def code(source: str, name: str, *tags: str) -> nbformat.NotebookNode:
        output = v4.new_output("stream", text="right\n")
        cell = v4.new_code_cell(source, id=name, execution_count=7, outputs=[output])
        cell.metadata["tags"] = list(tags)
        return cell

    words = (
        '![A path.](figures/path.svg) <img src="figures/more.svg"> [word](../docs/words.md#one) [next](02_more.ipynb)'
    )
    cells = [
        v4.new_markdown_cell(f"# 01 · Short\n\n{words} [far](https://example.com/a)", id="title"),
        code("def f(): ...", "exercise-1", "exercise"),
        code(f"def f(): {answer}", "exercise-1-solution", "solution"),
        code("check(f)", "exercise-1-check", "check"),
    ]
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    books = tmp_path / "notebooks"
    (books / "figures").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    for name in ("notebooks/figures/path.svg", "notebooks/figures/more.svg", "docs/words.md"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    return [write(books / BOOK), write(books / "02_more.ipynb")]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tmp_path / "my_lab"


def everything_in(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def ids(path: Path) -> list[str]:
    return [cell.id for cell in nbformat.read(path, as_version=4).cells]


def test_a_students_copy_has_all_cells_but_the_solutions_under_their_ids_and_no_outputs(
    sources: list[Path], mine: Path
) -> None:
    assert copies.bring(mine, sources).made == (BOOK, "02_more.ipynb")

    book = nbformat.read(mine / BOOK, as_version=4)
    nbformat.validate(book)
    assert [cell.id for cell in book.cells] == ["title", "your-copy", "exercise-1", "exercise-1-check"]
    assert "This is your copy" in book.cells[1].source
    assert "lab --fresh 01`" in book.cells[1].source
    assert all(cell.outputs == [] and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")


def test_a_solved_copy_has_the_solution_where_the_exercise_was_and_is_made_again_each_time(
    sources: list[Path], tmp_path: Path
) -> None:
    books = copies.bring_solved(tmp_path / "solved", sources)
    assert ids(books / BOOK) == ["title", "your-copy", "exercise-1-solution", "exercise-1-check"]
    (books / BOOK).write_bytes(WORK)
    assert copies.bring_solved(tmp_path / "solved", sources) == books
    assert ids(books / BOOK)[0] == "title"
    assert "lost" in nbformat.read(books / BOOK, as_version=4).cells[1].source


def test_what_a_copy_links_to_is_where_the_link_says(sources: list[Path], mine: Path, tmp_path: Path) -> None:
    copies.bring(mine, sources)
    books = copies.bring_solved(tmp_path / "solved", sources)
    for folder in (mine, books):
        for target in ("figures/path.svg", "figures/more.svg", "../docs/words.md", "02_more.ipynb"):
            assert (folder / target).is_file(), target


def test_every_link_of_the_notebooks_leads_somewhere_from_a_copy_too(tmp_path: Path) -> None:
    books = copies.bring_solved(tmp_path / "solved", places.notebooks())
    copies.bring(tmp_path / "my_lab", places.notebooks())
    seen = 0
    for path in places.notebooks():
        text = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")
        targets = re.findall(r"\]\(((?!https?:)[^)#]+)", text) + re.findall(r"""src=["']([^"']+)""", text)
        for target in targets:
            assert (books / target).is_file(), f"{path.name}: {target}"
            beside = places.ROOT if target.startswith("../") else tmp_path  # my_lab is a folder of the repository
            assert Path(os.path.normpath(beside / "my_lab" / target)).is_file(), f"{path.name}: {target}"
            seen += 1
    assert seen > 30


def test_what_is_there_is_never_touched(sources: list[Path], mine: Path) -> None:
    copies.bring(mine, sources)
    (mine / BOOK).write_bytes(WORK)
    (mine / "figures" / "path.svg").write_bytes(b"drawn by hand")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in mine.rglob("*") if path.suffix}
    write(sources[0], answer="return 3")

    assert copies.bring(mine, sources).made == ()

    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


def test_a_copy_that_is_missing_is_made_and_the_others_stay(sources: list[Path], mine: Path) -> None:
    copies.bring(mine, sources)
    (mine / "02_more.ipynb").write_bytes(WORK)
    (mine / BOOK).unlink()
    assert copies.bring(mine, sources).made == (BOOK,)
    assert (mine / "02_more.ipynb").read_bytes() == WORK


def test_a_change_of_the_source_is_told_after_any_number_of_saves_and_a_new_output_is_none(
    sources: list[Path], mine: Path
) -> None:
    copies.bring(mine, sources)
    copy = nbformat.read(mine / BOOK, as_version=4)
    copy.cells[2].source = "def f(): return 1"
    copy.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(copy, mine / BOOK)
    rendered = nbformat.read(sources[0], as_version=4)
    rendered.cells[3].outputs = []
    nbformat.write(rendered, sources[0])
    assert copies.bring(mine, sources) == copies.Told()

    write(sources[0], answer="return 3")

    assert copies.bring(mine, sources) == copies.Told(changed=(BOOK,))


def test_a_fresh_copy_keeps_the_old_one_in_a_dated_folder_each_time(sources: list[Path], mine: Path) -> None:
    copies.bring(mine, sources)
    kept = []
    for night in (b"first", b"second", b"third"):  # within one second, perhaps
        (mine / BOOK).write_bytes(WORK.replace(b"a night", night))
        told = copies.bring(mine, sources, fresh=sources[:1])
        assert told.made == (BOOK,)
        assert told.backup is not None
        assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d{6}(_\d+)?", told.backup.name)
        kept.append((told.backup / BOOK).read_bytes())
        assert ids(mine / BOOK)[:2] == ["title", "your-copy"]
    assert kept == [WORK.replace(b"a night", night) for night in (b"first", b"second", b"third")]
    assert not list(mine.glob("backups/*/02_more.ipynb"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"metadata": 3}', b"\xff\xfe"])
def test_a_copy_that_cannot_be_read_is_told_and_left(sources: list[Path], mine: Path, content: bytes) -> None:
    copies.bring(mine, sources)
    (mine / BOOK).write_bytes(content)
    assert copies.bring(mine, sources) == copies.Told(unreadable=(BOOK,))
    assert (mine / BOOK).read_bytes() == content


def test_a_folder_in_the_place_of_one_copy_keeps_nobody_from_the_others_and_a_fresh_copy_keeps_it(
    sources: list[Path], mine: Path
) -> None:
    (mine / BOOK).mkdir(parents=True)
    (mine / BOOK / "notes.txt").write_text("a night", encoding="utf-8")
    told = copies.bring(mine, sources)
    assert (told.made, told.unreadable) == (("02_more.ipynb",), (BOOK,))
    told = copies.bring(mine, sources, fresh=sources[:1])
    assert ids(mine / BOOK)[:2] == ["title", "your-copy"]
    assert (told.backup / BOOK / "notes.txt").read_text(encoding="utf-8") == "a night"


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


# ---- The verb -------------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, str, tuple[str, ...]]]:
    """Calls the verb without JupyterLab: what was printed, whose tabs it would open in which folder, its options."""
    monkeypatch.setattr(copies, "STUDENT", tmp_path / "my_lab")
    monkeypatch.setenv("LAB_DATA_DIR", str(tmp_path / "state"))
    begun: list[tuple[str, tuple[str, ...]]] = []

    def begin_there(root: Path, begin: Path, tabs: str, options: tuple[str, ...]) -> None:
        begun.append((f"{tabs} in {begin.relative_to(root)}", options))

    monkeypatch.setattr(lab, "open_jupyterlab", begin_there)

    def call(*arguments: str) -> tuple[str, str, tuple[str, ...]]:
        outcome = CliRunner().invoke(lab.lab, arguments)
        if outcome.exception:
            raise outcome.exception
        return outcome.output, *begun.pop()

    return call


def test_the_verb_opens_the_readers_copies_and_hands_other_options_on(opened, tmp_path: Path) -> None:
    said, folder, options = opened("--no-browser", "--port=8890")
    assert said.startswith("New in my_lab/, yours to work in: 01_write_model.ipynb, ")
    assert (folder, options) == ("student in my_lab", ("--no-browser", "--port=8890"))
    assert opened() == ("", "student in my_lab", ())


def test_the_verb_says_in_one_line_what_has_changed_and_how_to_get_it(opened, tmp_path: Path) -> None:
    opened()
    copy = tmp_path / "my_lab" / "03_projections.ipynb"
    book = json.loads(copy.read_text(encoding="utf-8"))
    book["metadata"]["labkit"]["source"] = "of old"
    copy.write_text(json.dumps(book), encoding="utf-8")

    (line,) = opened()[0].splitlines()
    assert "03_projections.ipynb" in line
    assert "`python3 lab.py lab --fresh 03`" in line

    said, folder, options = opened("--fresh", "03", "--no-browser")
    assert "New in my_lab/, yours to work in: 03_projections.ipynb." in said
    (kept,) = (tmp_path / "my_lab" / "backups").iterdir()
    assert f"my_lab/backups/{kept.name}" in said
    assert (folder, options) == ("student in my_lab", ("--no-browser",))
    assert opened()[0] == ""


def test_fresh_without_a_name_is_all_of_them(opened, tmp_path: Path) -> None:
    opened()
    said, _, options = opened("--fresh", "--no-browser")
    assert said.count(".ipynb") == 5
    assert options == ("--no-browser",)
    assert len(list(tmp_path.glob("my_lab/backups/*/*.ipynb"))) == 5


def test_the_verb_opens_the_solved_copies_and_the_originals(opened, tmp_path: Path) -> None:
    assert opened("--solved")[:2] == ("", "solved in notebooks")
    assert "exercise-1" not in ids(tmp_path / "state" / "solved" / "notebooks" / "03_projections.ipynb")
    assert opened("--authoring")[:2] == ("", "authoring in notebooks")
    assert not (tmp_path / "my_lab").exists()


@pytest.mark.parametrize("both", [("--solved", "--authoring"), ("--solved", "--fresh"), ("--authoring", "--fresh=03")])
def test_two_kinds_of_copies_at_once_are_refused(opened, both: tuple[str, ...]) -> None:
    with pytest.raises(LabError, match="give one of them"):
        opened(*both)


def test_a_notebook_there_is_not_is_refused_with_those_there_are(opened) -> None:
    with pytest.raises(LabError, match="no notebook '09'; there are 01_write_model"):
        opened("--fresh", "09")


def test_reset_deletes_the_solved_copies_and_never_the_readers(opened, tmp_path: Path) -> None:
    opened()
    opened("--solved")
    (tmp_path / "state" / "kernels").mkdir()
    assert CliRunner().invoke(reset, ["--yes"]).exit_code == 0
    assert not (tmp_path / "state" / "solved").exists()
    assert len(list((tmp_path / "my_lab").glob("*.ipynb"))) == 5
