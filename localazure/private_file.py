"""Small files that only their owner may read: keys, certificates, and the state of a running server.

Written to a temporary file with mode 0600 and moved into place, so that a reader meets the old text or the new one and
a crash leaves either. Windows has no such mode; there the user's profile folder protects the file.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

RETRY_SECONDS = 2.0


def write(path: Path, content: dict[str, Any]) -> None:
    """Replace `path` atomically by a JSON object. Raises: as `write_text`."""
    write_text(path, json.dumps(content, indent=1))


def write_text(path: Path, text: str) -> None:
    """Replace `path` atomically. Raises: `OSError` when the folder cannot be written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _move(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _move(draft: Path, path: Path) -> None:
    """Rename over. Windows refuses while a reader has the file open: readers are quick, so try again."""
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            os.replace(draft, path)
        except PermissionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def read(path: Path) -> dict[str, Any] | None:
    """The object in `path`; None if there is no such file. Raises: `ValueError` if it holds anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content
