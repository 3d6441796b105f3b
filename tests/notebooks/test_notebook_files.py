"""The notebooks as files: the order of their cells, their budget, and traces of no machine and no moment."""

from __future__ import annotations

import ast
import base64
import re
import statistics
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from labkit.verbs import outputs

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = ("01_write_model", "02_events", "03_projections", "04_read_queries", "05_lag_monitoring")
TAGS = {
    "parameters", "measured", "nbval-ignore-output", "local-only", "taught", "exercise", "check", "solution",
    "raises-exception",
}  # fmt: skip
BYTES_AT_MOST = 1_000_000


@pytest.fixture(scope="module", params=NAMES)
def path(request: pytest.FixtureRequest) -> Path:
    return NOTEBOOKS / f"{request.param}.ipynb"


@pytest.fixture(scope="module")
def notebook(path: Path) -> NotebookNode:
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    return book


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def prose(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_there_are_five() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == sorted(NAMES)


def test_it_begins_with_its_title_and_its_question(path: Path, notebook: NotebookNode) -> None:
    number, _, name = path.stem.partition("_")
    first = notebook.cells[0].source
    assert first.splitlines()[0] == f"# {number} · {name.replace('_', ' ').capitalize()}"
    assert "?" in first


def test_it_promises_places_and_closes_in_the_order_all_five_keep(notebook: NotebookNode) -> None:
    text = prose(notebook)
    found = [text.find(mark) for mark in ("You will be able to", "Where we are", "Break it", "What we learned", "Next")]
    assert -1 not in found, found
    assert found == sorted(found)
    assert "lab.close()" in code(notebook)[-1].source


def test_the_picture_of_the_path_has_words_for_those_who_cannot_see_it(path: Path, notebook: NotebookNode) -> None:
    (alt,) = re.findall(rf"!\[([^\]]+)\]\(figures/path-{path.stem[:2]}\.svg\)", prose(notebook))
    assert len(alt.split()) >= 8


def test_one_cell_of_parameters_is_followed_by_a_short_set_up(path: Path, notebook: NotebookNode) -> None:
    (parameters,) = tagged(notebook, "parameters")
    cells = code(notebook)
    set_up = cells[cells.index(parameters) + 1]
    assert f'open_lab("{path.stem[:2]}"' in set_up.source
    assert len(set_up.source.splitlines()) <= 12
    assert all(isinstance(statement, ast.Assign | ast.AnnAssign) for statement in ast.parse(parameters.source).body)


def test_code_comes_in_small_cells_with_prose_between(notebook: NotebookNode) -> None:
    assert 40 <= len(notebook.cells) <= 70
    sizes = [len(cell.source.splitlines()) for cell in code(notebook)]
    assert statistics.median(sizes) <= 8
    assert max(sizes) <= 40
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in notebook.cells)
    assert "cccc" not in kinds


def test_nothing_sleeps_and_nothing_is_imported_unnamed(notebook: NotebookNode) -> None:
    for cell in code(notebook):
        assert "sleep(" not in cell.source, cell.id
        assert not re.search(r"import \*", cell.source), cell.id


def test_cells_have_names_a_person_gave_and_tags_that_mean_something(notebook: NotebookNode) -> None:
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)] == []
    assert [name for name in ids if re.fullmatch(r"[0-9a-f]{8}", name)] == []
    assert {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])} <= TAGS


def test_what_is_measured_is_not_compared(notebook: NotebookNode) -> None:
    assert tagged(notebook, "measured") == tagged(notebook, "nbval-ignore-output")


def test_it_is_committed_executed_in_order_with_nothing_of_the_machine(path: Path, notebook: NotebookNode) -> None:
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    assert notebook.metadata == {"kernelspec": outputs.KERNEL, "language_info": {"name": "python"}}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    assert outputs.objections(notebook, secrets=(), paths=()) == []
    assert path.stat().st_size <= BYTES_AT_MOST


def test_its_pictures_carry_no_metadata(notebook: NotebookNode) -> None:
    shown = [output.data["image/png"] for cell in code(notebook) for output in cell.outputs if "data" in output
             and "image/png" in output.data]  # fmt: skip
    assert shown, "every notebook shows at least one figure"
    for picture in map(base64.b64decode, shown):
        assert outputs.without_metadata(picture) == picture


def test_settling_it_again_changes_no_byte(path: Path, notebook: NotebookNode) -> None:
    again = nbformat.from_dict(notebook)
    outputs.settled(again, notebook, refresh_measured=False)
    assert nbformat.writes(again, version=nbformat.NO_CONVERT) + "\n" == path.read_text(encoding="utf-8")


def test_what_notebook_04_quotes_of_the_page_on_deciding_is_what_the_page_says() -> None:
    page = " ".join((NOTEBOOKS.parent / "docs" / "decide.md").read_text(encoding="utf-8").replace("**", "").split())
    book = nbformat.read(NOTEBOOKS / "04_read_queries.ipynb", as_version=4)
    (cell,) = [cell.source for cell in book.cells if "docs/decide.md" in cell.source]
    quoted = [line.removeprefix("> ") for line in cell.splitlines() if line.startswith("> ")]
    assert len(quoted) >= 3
    assert [line for line in quoted if line not in page] == []


def test_a_live_chart_is_one_picture_in_the_file_the_last_one() -> None:
    book = nbformat.read(NOTEBOOKS / "05_lag_monitoring.ipynb", as_version=4)
    live = [cell for cell in code(book) if "display_id=" in cell.source]
    assert live
    for cell in live:
        pictures = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert (len(cell.outputs), len(pictures)) == (1, 1), cell.id
        assert pictures[0].metadata["image/png"]["alt"]
