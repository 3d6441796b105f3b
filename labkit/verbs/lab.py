"""`lab`: JupyterLab on the notebooks, with this environment's kernel."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from labkit.verbs import places

OFFLINE = (
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
    "--LabApp.news_url=",
)
"""No question about news, no look for updates: the lab needs no network."""


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(options: tuple[str, ...]) -> None:
    """Open JupyterLab on the notebooks; OPTIONS go to it, such as --no-browser or --port 8890."""
    scripts = os.path.dirname(sys.executable)
    environment = {
        **os.environ,
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")]),
    }
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={places.NOTEBOOKS}", *OFFLINE, *options]
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            raise SystemExit(process.wait())
        except KeyboardInterrupt:  # JupyterLab has it too, and asks or stops
            continue
