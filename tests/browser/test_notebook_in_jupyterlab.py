"""Notebook 01 in JupyterLab, as a learner has it: run, stopped by each exercise, solved by typing, run to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page

from labkit.verbs import places
from tests.browser.jupyterlab import JupyterLab, Notebook

NAME = "01_write_model"
PATH = "goals"
"""The cell with the picture of the path."""


def solutions() -> dict[str, str]:
    """The id of each exercise's cell -> one solution."""
    cells = nbformat.read(places.NOTEBOOKS / f"{NAME}.ipynb", 4).cells
    tagged = [cell for cell in cells if "solution" in cell.metadata.get("tags", [])]
    return {cell.id.removesuffix("-solution"): cell.source for cell in tagged}


def errors(notebook: Notebook) -> list[str]:
    """The cells that show an error."""
    return [cell["id"] for cell in notebook.cells() if any(one["output_type"] == "error" for one in cell["outputs"])]


def test_a_learner_runs_it_is_stopped_by_each_exercise_solves_it_and_comes_to_the_end(
    page: Page, tmp_path: Path
) -> None:
    with JupyterLab(tmp_path) as server:
        notebook = Notebook.opened(page, server, NAME)
        notebook.run("Run All Cells")
        for exercise, solution in solutions().items():
            check = f"{exercise}-check"
            notebook.wait_until_run(check)
            assert errors(notebook) == [check]
            assert "not yet" in notebook.outputs(check)[0]["evalue"]
            notebook.write(exercise, solution)
            notebook.run("Run Selected Cell and All Below")
        notebook.wait_until_run(notebook.cells()[-1]["id"])

        cells = [cell for cell in notebook.cells() if cell["kind"] == "code"]
        assert errors(notebook) == []
        assert [cell["id"] for cell in cells if not cell["ran"]] == []
        for exercise in solutions():
            assert notebook.outputs(f"{exercise}-check")[-1]["text"].endswith(": right.\n")
        see_its_pictures(notebook)


def shown(output: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = output.get("data", {})
    return data


def see_its_pictures(notebook: Notebook) -> None:
    """Every figure and the picture of the path are drawn, with words for those who cannot see them."""
    figures = [
        one["id"] for one in notebook.cells() if any("text/markdown" in out.get("data", {}) for out in one["outputs"])
    ]
    assert len(figures) == 2
    for cell in [PATH, *figures]:
        notebook.go_to(cell)
        picture = notebook.page.locator(".jp-Notebook .jp-mod-active img")
        picture.wait_for()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        assert len((picture.get_attribute("alt") or "").split()) >= 6, cell
