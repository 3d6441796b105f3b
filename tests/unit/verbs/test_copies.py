"""A reader's copies: what is in them, and what becomes of those that are there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest

from labkit.verbs import copies, places
from tests.unit.verbs.short_notebooks import BOOK, WORK, ids, write


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
