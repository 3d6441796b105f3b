"""`render`: execute the notebooks and write their outputs into the tracked files; the only thing that does.

All or nothing: a notebook that fails, or shows what must not be committed, leaves every file as it was.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labkit import settings
from labkit.errors import LabError
from labkit.verbs import places
from labkit.verbs.run import CELL_SECONDS, NoKernel, started

if TYPE_CHECKING:
    from nbformat import NotebookNode


@click.command()
@click.argument("notebooks", nargs=-1)
@click.option("--refresh-measured", is_flag=True, help="Replace the outputs of cells tagged `measured` too.")
def render(notebooks: tuple[str, ...], refresh_measured: bool) -> None:
    """Execute the notebooks (or those named) and write their outputs into notebooks/, the same bytes each time."""
    if settings.azure_of(os.environ) is not None:
        raise LabError("what is committed comes from the embedded Azure: unset the connection strings, then render")
    os.environ.update(places.kernel_environment(places.state()))
    written: dict[Path, str] = {}
    refused: list[str] = []
    for path in places.notebooks(notebooks):
        text, objections = rendered(path, refresh_measured=refresh_measured)
        written[path] = text
        refused += [f"{path.name}: {line}" for line in objections]
        click.echo(f"{path.stem:<20} executed")
    if refused:
        raise LabError("nothing was written, for these outputs must not be committed:\n  " + "\n  ".join(refused))
    for path, text in written.items():
        changed = path.read_text(encoding="utf-8") != text
        if changed:
            replace(path, text)
        click.echo(f"{path.stem:<20} {'written' if changed else 'unchanged'}")


def rendered(path: Path, *, refresh_measured: bool) -> tuple[str, list[str]]:
    """The notebook's new text, executed and settled, and what speaks against committing it."""
    import nbformat

    from labkit.verbs import outputs

    committed = nbformat.read(path, as_version=4)
    notebook = executed(path)
    outputs.settled(notebook, committed, refresh_measured=refresh_measured)
    home = str(Path.home())
    machine = [str(places.ROOT), str(places.state()), *([home] if len(home) > 3 else [])]
    text: str = nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"
    return text, outputs.objections(notebook, places.secrets(), machine)


def executed(path: Path) -> NotebookNode:
    """The notebook after Restart-and-Run-All in a kernel of its own. Raises: `LabError` naming the cell that failed."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from tqdm import tqdm

    notebook = nbformat.read(path, as_version=4)
    bar = tqdm(total=len(notebook.cells), desc=path.stem, unit="cell", leave=False, disable=not sys.stderr.isatty())
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        record_timing=False,
        config=places.kernel_config(),
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_complete=lambda cell, cell_index: bar.update(cell_index + 1 - bar.n),
    )
    try:
        return started(client.execute)
    except CellExecutionError as error:
        why = error.evalue.rstrip(".")
        raise LabError(f"{path.name}: {error.ename}: {why}; nothing was written") from error
    except (CellTimeoutError, DeadKernelError, NoKernel) as error:
        raise LabError(f"{path.name}: {error}; nothing was written") from error
    finally:
        bar.close()


def replace(path: Path, text: str) -> None:
    """Write beside, then rename over: an interrupt or a full disk leaves the old file or the new one."""
    beside = path.with_suffix(".rendering")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
