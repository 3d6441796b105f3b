"""One installing command: run with a bar, noted in the log, and what it means to a person when it fails.

Owns the words of the installers (pip and uv) and the sentences they become. Refuses to know what is installed, and into
what (`environment`). Needs nothing but the standard library: `lab.py` calls it before there is anything else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Final

#: How an installer's lines begin that mean one more package has been met.
MET: Final = ("Collecting ", "Ignoring ", "Requirement already", " Downloaded ")

NOT_THE_ONE: Final = (
    "A package that arrived is not the one the lock names, so it was not installed. Run the same command again; if it "
    "stays so, your package index or proxy alters what it serves."
)
NOT_REACHED: Final = (
    "The package index cannot be reached. Connect to the network (or point {0} at an index you can reach), then run "
    "the same command again: it goes on where it stopped."
)
NOT_OFFERED: Final = (
    "A package of the lock is not offered for this Python on this machine. Delete .venv and use Python 3.11, 3.12 or "
    "3.13 on 64-bit Linux, macOS or Windows; if you use an index of your own, see that it is complete."
)
FULL: Final = "The disk is full. Free about 2 GB, then run the same command again: it goes on where it stopped."
CAUSES: Final = (
    ("No space left on device", FULL),
    ("do not match the hashes", NOT_THE_ONE),
    ("DO NOT MATCH THE HASHES", NOT_THE_ONE),
    ("after connection broken by", NOT_REACHED.format("PIP_INDEX_URL")),
    ("error sending request", NOT_REACHED.format("UV_INDEX_URL")),
    ("No matching distribution found", NOT_OFFERED),
    ("No solution found", NOT_OFFERED),
    (
        "ensurepip",
        "This Python cannot make environments. On Debian or Ubuntu: apt install python3-venv; or put uv on the PATH. "
        "Then run the same command again.",
    ),
)
"""What the installer says when it fails, and what that means to a person. The first needle found decides."""
READ_SECONDS: Final = 20.0
"""For its last words to be read; longer only where something that it started, and left behind, still has the pipe."""
NOT_ITS_OWN: Final = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONPATH")
"""Variables that would have it install elsewhere."""


class SetUpError(Exception):
    """One sentence saying what is wrong, and the way out."""


def step(
    title: str, command: Sequence[str], folder: Path, log: Path, lock_fd: int, there: Callable[[], int], packages: int
) -> None:
    """Run one installing command in `folder` with a bar, its output going to the log, and end it in one line.

    `there` counts the packages in place, of which the command brings so many; it inherits `lock_fd`.
    Raises: `SetUpError` if it fails.
    """
    began = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name not in NOT_ITS_OWN}
    keep: dict[str, Any] = {} if os.name == "nt" else {"pass_fds": (lock_fd,)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=environment, **keep
    )
    lines: list[str] = []
    before = there()
    reader = threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        while process.poll() is None:
            _draw(title, time.monotonic() - began, lines, packages, there() - before)
            time.sleep(0.1)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    reader.join(READ_SECONDS)
    with open(log, "a", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n".join([f"$ {' '.join(command)}", *lines, ""]))
    _clear_line()
    if process.returncode:
        raise SetUpError(_explained(title, lines, log))
    sys.stdout.write(f"{title:<34} {time.monotonic() - began:6.1f} s\n")
    sys.stdout.flush()


def _read_lines(stream: IO[bytes], lines: list[str]) -> None:
    for raw in stream:
        lines.append(raw.decode("utf-8", "replace").rstrip())


def _explained(title: str, lines: Sequence[str], log: Path) -> str:
    text = "\n".join(lines)
    for needle, sentence in CAUSES:
        if needle in text:
            return f"{title}: {sentence}"
    words = "\n  ".join(lines[-5:])
    return f"{title} failed; the log is {log}. Run the same command again to go on.\n  {words}"


def _draw(title: str, seconds: float, lines: Sequence[str], packages: int, new: int) -> None:
    """The bar: half of it for packages met, half for packages in place since the beginning.

    pip meets all packages of a lock one by one; uv announces those that are large enough to wait for.
    """
    if not sys.stdout.isatty():
        return
    bar = "." * (1 + int(seconds * 2) % 3)
    if packages:
        announced = sum(line.startswith("Downloading ") for line in lines) or packages
        met = sum(line.startswith(MET) for line in lines)
        done = min(1.0, met / announced) / 2 + min(1.0, new / packages) / 2
        bar = f"[{'#' * int(done * 30):<30}] {done * 100:3.0f} %"
    sys.stdout.write(f"\r{title:<34} {seconds:6.1f} s  {bar:<40}")
    sys.stdout.flush()


def _clear_line() -> None:
    if sys.stdout.isatty():
        sys.stdout.write("\r" + " " * 90 + "\r")
