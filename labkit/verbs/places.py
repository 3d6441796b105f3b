"""Where things are: the repository, its notebooks, the untracked state; and the surroundings a kernel starts in.

Kernels are kept to this environment: its own `python3` kernel, settings and caches below the state folder, so that a
run neither depends on the user's home nor writes to it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from labkit import settings
from labkit.errors import LabError

if TYPE_CHECKING:
    from traitlets.config import Config

ROOT: Final = Path(__file__).resolve().parents[2]
NOTEBOOKS: Final = ROOT / "notebooks"
ALONE: Final = ("bundle", "docs", "reset", "test")
"""Verbs of which one is at work in a folder at a time."""
HAS_IT_SECONDS: Final = 1.0
"""Who still works so long after an interrupt may not have had it."""


def state() -> Path:
    """`.lab`, or what the environment names instead."""
    return settings.data_dir(os.environ)


def notebooks(chosen: Sequence[str] = ()) -> list[Path]:
    """The notebooks in teaching order, or those whose file names begin with one of `chosen`: "03", "03_projections".

    Raises: `LabError` for a choice that matches none.
    """
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise LabError(f"no notebooks in {NOTEBOOKS.name}/: is this the whole repository?")
    found: list[Path] = []
    for name in chosen:
        stem = Path(name).stem
        matching = [path for path in paths if path.stem.startswith(stem)]
        if not stem or not matching:
            raise LabError(f"no notebook {name!r}; there are {', '.join(path.stem for path in paths)}")
        found += [path for path in matching if path not in found]
    return found or paths


def secrets() -> list[str]:
    """The embedded Azure's keys, so that outputs can be searched for them; none before its first start."""
    try:
        keys = json.loads((state() / "keys.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    values = [value for kind in keys.values() for value in (kind.values() if isinstance(kind, dict) else [kind])]
    return [value for value in values if isinstance(value, str)]


def left_to_end(
    command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> int:
    """Run it in `folder`; its exit code. An interrupt is for the process that works, which has it too, and clears up.

    It has it from the terminal. What interrupts this process alone (the stop button of an editor) does not reach the
    other: it is passed on after `HAS_IT_SECONDS` where no terminal is, and from the second one on everywhere.
    `subprocess.call` would kill it a quarter of a second after an interrupt.
    """
    process = subprocess.Popen(command, cwd=folder, env=environment)
    interrupted, patience = False, None
    while True:
        try:
            return process.wait(patience)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            if interrupted and os.name != "nt":  # there whoever has the console has it, and no single process
                process.send_signal(signal.SIGINT)
            patience = None if interrupted or sys.stdin.isatty() else HAS_IT_SECONDS
            interrupted = True


@contextmanager
def alone(verb: str) -> Iterator[None]:
    """Of two that would write the same files, one. Raises: `LabError` while another process is at this verb here."""
    state().mkdir(parents=True, exist_ok=True)
    lock = FileLock(state() / f"{verb}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        what = f"another `{verb}` is at work in this folder: run the command again when it has ended"
        raise LabError(what) from error
    with lock:
        yield


def folder_for(file: Path) -> Path:
    """Where the file is to go, asked before what takes minutes. Raises: `LabError` if there is no such folder."""
    folder = file.resolve().parent
    if not folder.is_dir():
        raise LabError(f"there is no folder {folder}: nothing was done")
    return folder


def kernel_environment(folder: Path) -> dict[str, str]:
    """What to set for a process that starts kernels; `folder` takes what they would write to the user's home."""
    own = folder / "kernels"
    folders = {
        "IPYTHONDIR": own / "ipython",
        "JUPYTER_CONFIG_DIR": own / "config",
        "JUPYTER_DATA_DIR": own / "data",
        "JUPYTER_RUNTIME_DIR": own / "runtime",
        "MPLCONFIGDIR": own / "matplotlib",
    }
    for path in folders.values():
        path.mkdir(parents=True, exist_ok=True)
    scripts = str(Path(sys.executable).parent)
    return {
        **{name: str(path) for name, path in folders.items()},
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")]),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def kernel_config() -> Config:
    """How kernels are started: what goes to and from them is encrypted, for other users of the machine share its ports.

    Source: jupyter_client, `KernelManager.transport_encryption`.
    """
    from traitlets.config import Config

    return Config({"KernelManager": {"transport_encryption": "auto"}})
