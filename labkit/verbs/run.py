"""`run`: execute notebooks with papermill, each in a kernel of its own, into copies that are not tracked."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from labkit.errors import LabError
from labkit.verbs import parameters, places

T = TypeVar("T")

CELL_SECONDS = 180
"""Time limit of one cell. There is one for all cells: papermill has no other."""


@dataclass(frozen=True, slots=True)
class Executed:
    copy: Path
    cells: int
    seconds: float
    error: str | None
    """What went wrong, in a line; None: every cell ran."""


@click.command()
@click.argument("notebooks", nargs=-1)
@click.option("-p", "--parameter", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a parameter.")
def run(notebooks: tuple[str, ...], assignments: tuple[str, ...]) -> None:
    """Execute the notebooks (or those named, such as 03) and say where the executed copies are."""
    import nbformat

    paths = places.notebooks(notebooks)
    books = {path.stem: parameters.declared(nbformat.read(path, as_version=4)) for path in paths}
    values = parameters.assign(parameters.split(assignments), books)
    out = places.state() / "out"
    out.mkdir(parents=True, exist_ok=True)
    os.environ.update(places.kernel_environment(places.state()))
    began = time.monotonic()
    failures = 0
    for path in paths:
        outcome = execute(path, out / path.name, values[path.stem])
        failures += outcome.error is not None
        what = outcome.error or "all cells ran"
        click.echo(f"{path.stem:<20} {outcome.cells:>3} cells {outcome.seconds:6.1f} s  {what}")
    count = "1 notebook" if len(paths) == 1 else f"{len(paths)} notebooks"
    click.echo(f"{count} in {time.monotonic() - began:.1f} s. Executed copies: {_shown(out)}")
    if failures:
        raise LabError(f"{failures} of {count} failed; the executed copies show the cell and the error")


def execute(path: Path, copy: Path, values: dict[str, parameters.Value]) -> Executed:
    """Run one notebook to its end or its first error. The copy is written in both cases.

    Raises: `LabError` if it cannot be written; none is left then.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    began = time.monotonic()
    cells = len(nbformat.read(path, as_version=4).cells)
    error = None
    try:
        copy.unlink(missing_ok=True)
        started(
            lambda: papermill.execute_notebook(
                str(path),
                str(copy),
                parameters=values,
                kernel_name="python3",
                cwd=str(places.NOTEBOOKS),
                execution_timeout=CELL_SECONDS,
                config=places.kernel_config(),
                progress_bar={"desc": path.stem, "unit": "cell", "leave": False, "disable": not sys.stderr.isatty()},
            )
        )
    except PapermillExecutionError as stopped:
        error = f"cell {stopped.cell_index + 1}: {stopped.ename}: {stopped.evalue}"
    except CellTimeoutError:
        error = f"a cell took longer than {CELL_SECONDS} s"
    except DeadKernelError as died:
        error = f"the kernel died: {died}"
    except NoKernel as none:
        error = str(none)
    except OSError as refused:
        if copy.is_file():
            copy.unlink()  # half of one tells nothing
        raise LabError(f"{_shown(copy)} cannot be written: {refused.strerror or refused}") from refused
    return Executed(copy, cells, time.monotonic() - began, error)


class NoKernel(LabError):
    """A kernel ended before it answered, twice; no cell was executed."""


def started(execute: Callable[[], T]) -> T:
    """What `execute` gives; once more if its kernel ended before it answered, for then no cell was executed.

    Another process may take a port between its choice, here, and its use, in the kernel. Raises: `NoKernel`.
    Source: jupyter_client 8.10, `KernelClient.wait_for_ready`; nbclient 0.11 hides its error behind one of its own.
    """
    for again in (True, False):
        try:
            return execute()
        except (RuntimeError, AssertionError) as error:
            behind = error.__context__
            if isinstance(behind, KeyboardInterrupt):
                raise behind from None
            if not any("before replying" in str(one) for one in (error, behind)):
                raise
            if not again:
                raise NoKernel("the kernel does not start: `lab.py doctor` looks for what is wrong") from error
    raise AssertionError("unreachable")


def _shown(path: Path) -> str:
    """Relative to the caller where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
