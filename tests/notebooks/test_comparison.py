"""That nbval compares: one committed number changed, and the very same stage fails on the cell that shows it.

And that it does so although kernels are told ports that they may not get.
"""

from __future__ import annotations

import os
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


def compared(notebook: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The stage, on this notebook alone and with one worker."""
    stage = [part for part in STAGES["nbval"] if part not in (*WORKERS, "notebooks")]
    return subprocess.run(
        [sys.executable, *stage, *more, "-p", "no:cacheprovider", str(notebook)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_changing_a_committed_number_makes_the_comparison_fail(tmp_path: Path) -> None:
    notebook = nbformat.read(BOOK, as_version=4)
    number = [cell.id for cell in notebook.cells if cell.cell_type == "code"].index(with_one_number_changed(notebook))
    nbformat.write(notebook, tmp_path / BOOK.name)

    done = compared(tmp_path / BOOK.name)

    assert done.returncode == 1, done.stdout[-2000:]
    assert f"::Cell {number} " in done.stdout
    assert "1 failed" in done.stdout


TAKES_A_PORT = """
import socket
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
choose, taken = LocalProvisioner.pre_launch, []
async def chosen(self, **options):
    options = await choose(self, **options)
    if not taken:
        taken.append(socket.create_server(("127.0.0.1", self.parent.shell_port)))
    return options
LocalProvisioner.pre_launch = chosen
"""


def test_a_port_that_somebody_takes_before_the_kernel_does_fails_no_cell(tmp_path: Path) -> None:
    (tmp_path / "takes_a_port.py").write_text(TAKES_A_PORT, encoding="utf-8")
    shown = nbformat.v4.new_output("stream", text="one\n")
    cell = nbformat.v4.new_code_cell("print('one')", execution_count=1, outputs=[shown])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "one.ipynb")

    done = compared(tmp_path / "one.ipynb", "-p", "takes_a_port", PYTHONPATH=str(tmp_path))

    assert done.returncode == 0, done.stdout[-2000:]
    assert "1 passed" in done.stdout
