"""Every cell of a notebook run twice in a row, as by Shift-Enter twice, in one kernel from top to bottom.

A learner runs a cell again, to see it again or by mistake. It does the same again, whatever it did before.
"""

from __future__ import annotations

import os
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
    "break-recover-03": "kills a projector and recovers, so that a second one finds none to kill",
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
    (path,) = places.NOTEBOOKS.glob(f"{number}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and not NOT_RUN & set(cell.metadata.get("tags", [])):
            once = cell.id in ONCE or f"{cell.id}-{number}" in ONCE
            times = ("first",) if once else ("first", "again")
            cells += [nbformat.from_dict({**cell, "id": f"{cell.id}-{time}"}) for time in times]
    notebook.cells = cells
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
    return {one.id: f"{error.ename}: {error.evalue}" for one in notebook.cells for error in _errors(one)}


def _errors(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [one for one in cell.outputs if one.output_type == "error"]
