"""A data folder from the outside: its files' names, and whether somebody serves it.

Owns: `daemon.lock` (an OS lock, held for as long as a process serves), `state.json` (where that process can be reached;
left behind by a kill, which is how a crash is told from a stop), `ports.json` (so that a restart listens where clients
look for it). Imports nothing of the server, so that asking is quick.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

LOCK_FILE = "daemon.lock"
STARTING_LOCK_FILE = "starting.lock"
STATE_FILE = "state.json"
PORTS_FILE = "ports.json"
LOG_FILE = "localazure.log"


def served(folder: Path) -> bool:
    """Whether a process serves the folder just now, be it too busy to answer. Holds its lock for an instant if not."""
    try:
        with FileLock(folder / LOCK_FILE).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False
