"""A data folder from the outside: its files' names, and whether somebody serves it.

Owns: `daemon.lock` (an OS lock, held for as long as a process serves), `state.json` (where that process can be reached;
left behind by a kill, which is how a crash is told from a stop), `ports.json` (so that a restart listens where clients
look for it), the daemon's log. Imports nothing of the server, so that asking is quick.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_FILE = "daemon.lock"
STARTING_LOCK_FILE = "starting.lock"
STATE_FILE = "state.json"
PORTS_FILE = "ports.json"
LOG_FILE = "localazure.log"
START_BYTES = 4_000_000
"""A start in an empty folder writes about 3 MB."""
LOG_BYTES = 1_000_000
"""A log longer than this is set aside when the next server starts; one such is kept."""


def served(folder: Path) -> bool:
    """Whether a process serves the folder just now, be it too busy to answer. Holds its lock for an instant if not."""
    try:
        with FileLock(folder / LOCK_FILE).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def set_log_aside(folder: Path) -> None:
    """To be called before a daemon starts to write to it."""
    log = folder / LOG_FILE
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))


def reason(folder: Path, start: int) -> str:
    """A failing daemon's own sentence: its log's last line since the position `start`. On a full disk there is none."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < START_BYTES:
        return f"The disk of the data folder {folder.name!r} is full ({free_bytes / 1e6:.1f} MB free); free some space."
    try:
        text = (folder / LOG_FILE).read_bytes()[start:].decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("Error: ") if lines else ""
