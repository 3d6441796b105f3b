"""`lab`: JupyterLab on the reader's copies of the notebooks, on the solved ones, or on the originals.

It has this environment's kernel, and its settings are kept below the state folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

import click

from labkit.errors import LabError
from labkit.verbs import copies, places

SETTINGS: Final = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension:tracker": {"codeCellConfig": {"lineWrap": True}},
}
"""JupyterLab's, where they differ from its own: no question about news and no look for updates, both of which need a
network; and long lines of code go on below, for a reader's window seldom has 120 columns. Source: JupyterLab's
documentation, "Advanced usage", default_setting_overrides.json."""

ENCRYPTED: Final = "--KernelManager.transport_encryption=auto"
"""As for kernels that `run` starts: other users of the machine share its ports."""


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--solved", is_flag=True, help="Open copies that show the solutions, made again each time.")
@click.option("--authoring", is_flag=True, help="Open the originals in notebooks/.")
@click.option(
    "--fresh",
    is_flag=False,
    flag_value="",
    metavar="[NOTEBOOK]",
    help="Make new copies first, of all notebooks or of one such as 03; the old ones are kept in my_lab/backups.",
)
@click.option("--only-copies", is_flag=True, help="Make the copies and open nothing, for an editor such as VS Code.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(options: tuple[str, ...], solved: bool, authoring: bool, fresh: str | None, only_copies: bool) -> None:
    """Open your copies of the notebooks, in my_lab/, in JupyterLab; OPTIONS go to it, such as --no-browser."""
    if solved + authoring + (fresh is not None) > 1:
        raise LabError("--solved, --authoring and --fresh open different notebooks: give one of them")
    if solved:
        tabs, begin = "solved", copies.bring_solved(places.state() / "solved", places.notebooks())
    elif authoring:
        tabs, begin = "authoring", places.NOTEBOOKS
    else:
        tabs, begin = "student", copies.STUDENT
        wanted = [] if fresh is None else places.notebooks([fresh] if fresh else [])
        tell(copies.bring(begin, places.notebooks(), fresh=wanted))
    if not only_copies:
        open_jupyterlab(begin.parent, begin, tabs, options)


def tell(told: copies.Told) -> None:
    """At most a line each: what was made, what has changed since, what cannot be read."""
    if told.made:
        click.echo(f"New in {copies.STUDENT.name}/, yours to work in: {', '.join(told.made)}.")
    if told.backup is not None:
        click.echo(f"What was there is kept in {copies.STUDENT.name}/{copies.BACKUPS}/{told.backup.name}.")
    if told.changed:
        click.echo(
            f"Changed in notebooks/ since your copy was made: {', '.join(told.changed)}. {way_to_fresh(told.changed)}"
        )
    if told.unreadable:
        click.echo(f"Not a whole notebook: {', '.join(told.unreadable)}. {way_to_fresh(told.unreadable)}")


def way_to_fresh(names: tuple[str, ...]) -> str:
    which = f" {names[0][:2]}" if len(names) == 1 else ""
    kept = f"{copies.STUDENT.name}/{copies.BACKUPS}"
    return f"`python3 lab.py lab --fresh{which}` makes new copies and keeps yours in {kept}."


def open_jupyterlab(root: Path, begin: Path, tabs: str, options: tuple[str, ...]) -> None:
    """Become JupyterLab, serving `root`, so that a notebook's links open, and beginning in `begin`.

    It opens the tabs of last time, which it knows by path below `root`: each kind of copies has tabs of its own, so
    that nobody finds the original where their copy was.
    """
    environment = {**os.environ, **places.kernel_environment(places.state())}
    overrides = Path(environment["JUPYTER_CONFIG_DIR"]) / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text(json.dumps(SETTINGS, indent=1) + "\n", encoding="utf-8")
    folders = (f"--ServerApp.root_dir={root}", f"--FileContentsManager.preferred_dir={begin}")
    workspaces = f"--LabApp.workspaces_dir={places.state() / 'kernels' / 'tabs' / tabs}"
    command = [sys.executable, "-m", "jupyterlab", *folders, workspaces, ENCRYPTED, *options]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container there is nobody else; it listens on the loopback, with a token
    if os.name != "nt":
        os.execve(command[0], command, environment)
    raise SystemExit(places.left_to_end(command, environment=environment))
