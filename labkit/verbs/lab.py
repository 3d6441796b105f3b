"""`lab`: JupyterLab on the notebooks, with this environment's kernel, its settings kept below the state folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from labkit.verbs import places

SETTINGS: Final = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}
"""JupyterLab's, where they differ from its own: no question about news and no look for updates, both of which need a
network. Source: JupyterLab's documentation, "Advanced usage", default_setting_overrides.json."""

FOLDERS: Final = (f"--ServerApp.root_dir={places.ROOT}", f"--FileContentsManager.preferred_dir={places.NOTEBOOKS}")
"""It serves the whole repository, so that a notebook's links to docs/ open, and begins where the notebooks are."""

ENCRYPTED: Final = "--KernelManager.transport_encryption=auto"
"""As for kernels that `run` starts: other users of the machine share its ports."""


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(options: tuple[str, ...]) -> None:
    """Open JupyterLab on the notebooks; OPTIONS go to it, such as --no-browser or --port=8890."""
    environment = {**os.environ, **places.kernel_environment(places.state())}
    overrides = Path(environment["JUPYTER_CONFIG_DIR"]) / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text(json.dumps(SETTINGS, indent=1) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "jupyterlab", *FOLDERS, ENCRYPTED, *options]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container there is nobody else; it listens on the loopback, with a token
    if os.name != "nt":
        os.execve(command[0], command, environment)
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            raise SystemExit(process.wait())
        except KeyboardInterrupt:  # JupyterLab has it too, and asks or stops
            continue
