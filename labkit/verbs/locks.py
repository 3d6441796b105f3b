"""`lock`: the three locks, written from their lists. Needs `uv`, and nothing but the standard library beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SAME: Final = ("--constraint", "requirements.lock")
LOCKS: Final = (
    ("requirements", ()),
    ("requirements-dev", SAME),
    ("requirements-spark", (*SAME, "--emit-build-options")),
)
"""In this order: the later ones are made at the versions of the first."""


def write(options: Sequence[str], root: Path) -> int:
    """`lab.py lock [--upgrade]`: for all systems and Pythons, with hashes, naming no address. An exit code."""
    if any(option != "--upgrade" for option in options):
        sys.stderr.write("usage: python lab.py lock [--upgrade]     (newer versions of everything; needs `uv`)\n")
        return 0 if options[0] in ("-h", "--help") else 2
    uv = shutil.which("uv")
    if not uv:
        sys.stderr.write("Writing the locks needs `uv` on the PATH.\n")
        return 1
    for name, more in LOCKS:
        command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
        command += ["--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "python lab.py lock"]
        command += [*more, *options, f"{name}.in", "--output-file", f"{name}.lock"]
        code = subprocess.call(command, cwd=root)
        if code:
            return code
    return 0
