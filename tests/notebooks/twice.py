"""Every cell of a notebook run twice in a row, as by Shift-Enter twice, in one kernel from top to bottom.

A learner runs a cell again, to see it again or by mistake. It does the same again, whatever it did before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from labkit import settings
from labkit.verbs import places
from labkit.verbs.run import started

CELL_SECONDS = 180
NOT_RUN = {"exercise", "solution", "check"}
"""What these do when asked again is tested with the exercises (`test_exercises_*`)."""
ONCE = {
    "s0-workers": "starts workers; those of before would go on beside the new ones",
    "s0-monitor": "starts a worker, as above",
    "s8-wiring": "starts a worker, as above",
    "break-recover-03": "kills a projector and recovers, so that a second one finds none to kill, and says what to do",
    "s5-rebuild": "mends what it finds, so that a second one finds nothing; `s5-after` says what to do",
    "s4-pages": "an order comes in late, once; `s4-pages-asserts` says what to do",
}
"""Cell (or cell and notebook) -> why it is run once. The trainer's guide tells it."""


class EachCellTwice:
    """The test of one notebook; a subclass names it. One file each, so that they run side by side."""

    number: str

    def test_each_cell_can_be_run_twice_in_a_row(self, tmp_path: Path) -> None:
        failed = failures(self.number, tmp_path)
        assert not failed, "\n".join(f"{cell}: {error}" for cell, error in failed.items())


def failures(number: str, folder: Path) -> dict[str, str]:
    """Cell id -> its error. `folder` gets an embedded Azure of this run alone."""

    def twice(cell: nbformat.NotebookNode, _: Mapping[str, str]) -> list[nbformat.NotebookNode]:
        once = cell.id in ONCE or f"{cell.id}-{number}" in ONCE
        times = ("first",) if once else ("first", "again")
        return [nbformat.from_dict({**cell, "id": f"{cell.id}-{time}"}) for time in times]

    return {
        one.id: f"{error.ename}: {error.evalue}" for one in executed(number, folder, twice) for error in errors(one)
    }


def executed(
    number: str,
    folder: Path,
    made_of: Callable[[nbformat.NotebookNode, Mapping[str, str]], list[nbformat.NotebookNode]],
) -> list[nbformat.NotebookNode]:
    """What is made of each cell of the lesson (told the sources of all), run in one kernel whatever fails."""
    (path,) = places.NOTEBOOKS.glob(f"{number}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    lesson = [
        one for one in notebook.cells if one.cell_type == "code" and not NOT_RUN & set(one.metadata.get("tags", []))
    ]
    sources = {one.id: one.source for one in lesson}
    notebook.cells = [made for cell in lesson for made in made_of(cell, sources)]
    around = {name: value for name, value in os.environ.items() if not name.startswith(("COSMOS_", "EVENTHUB_"))}
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        allow_errors=True,
        config=places.kernel_config(),
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        its_own = {**around, **places.kernel_environment(folder), settings.DATA_DIR: str(folder / "state")}
        started(lambda: client.execute(env=its_own))
    finally:
        settings.stop_embedded(folder / "state")
    return list(notebook.cells)


def errors(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [one for one in cell.outputs if one.output_type == "error"]
