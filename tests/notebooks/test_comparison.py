"""That nbval compares: one committed number changed, and the very same stage fails on the cell that shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tests.stages import STAGES, WORKERS

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "notebooks" / "01_write_model.ipynb"


def with_one_number_changed(notebook: NotebookNode) -> str:
    """Change the first number a compared cell printed, and leave out what follows it; returns that cell's id."""
    for place, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if "measured" not in cell.metadata.get("tags", []) and output.output_type == "stream":
                changed = re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), output.text, count=1)
                if changed != output.text:
                    output.text = changed
                    del notebook.cells[place + 1 :]
                    return str(cell.id)
    raise AssertionError("no compared cell prints a number")


def test_changing_a_committed_number_makes_the_comparison_fail(tmp_path: Path) -> None:
    notebook = nbformat.read(BOOK, as_version=4)
    number = [cell.id for cell in notebook.cells if cell.cell_type == "code"].index(with_one_number_changed(notebook))
    nbformat.write(notebook, tmp_path / BOOK.name)
    stage = [part for part in STAGES["nbval"] if part not in (*WORKERS, "notebooks")]

    done = subprocess.run(
        [sys.executable, *stage, "-p", "no:cacheprovider", str(tmp_path / BOOK.name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stdout[-2000:]
    assert f"::Cell {number} " in done.stdout
    assert "1 failed" in done.stdout
