"""What a reader has solved: each run of an exercise's check, noted as a line of a file in `my_lab`.

Owns that file. A line is added in one step and none is ever changed, so a kernel may be restarted or killed at any
moment, and two notebooks may be open at once; it begins by ending the one before it, which may be torn. Checks are
noted only where the kernel runs in the reader's folder, which is where Jupyter starts it: not in originals, solved
copies and tests. Refuses to know what an exercise asks.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

FILE: Final = ".progress.jsonl"
STUDENT: Final = Path(__file__).resolve().parents[2] / "my_lab"


@dataclass(frozen=True, slots=True)
class Noted:
    """One run of a check."""

    notebook: str
    """As in `open_lab("03")`."""
    exercise: int
    right: bool
    at: str


def note(exercise: int, *, right: bool) -> str:
    """Note a check that has run; returns a sentence for the reader if it cannot be noted, else nothing."""
    number = getattr(getattr(sys.modules.get("__main__"), "lab", None), "number", None)
    folder = Path.cwd()
    if not isinstance(number, str) or STUDENT not in (folder, *folder.parents):
        return ""
    line = json.dumps(asdict(Noted(number, exercise, right, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")))
    try:
        _add(STUDENT / FILE, f"\n{line}\n".encode())
    except OSError as error:
        return f"(`labkit progress` will not know of it: {STUDENT.name}/{FILE} cannot be written, {error.strerror}.)\n"
    return ""


def _add(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def all_in(folder: Path) -> Iterator[Noted]:
    """What was noted there, oldest first; a line that a full disk or a crash cut short is passed over."""
    try:
        lines = (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            one = Noted(**json.loads(line))
        except (ValueError, TypeError):
            continue
        yield one
