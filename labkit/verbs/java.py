"""Whether Spark can run on this machine: asked by `lab.py` before 430 MB of it are fetched.

Owns which calls start Spark, which Java it needs, and what becomes of the tests without one. Needs nothing but the
standard library: `lab.py` calls it before there is anything else.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from typing import Final

VERSIONS: Final = range(17, 23)
"""Spark 4.0 is built for 17 and 21; it ends at once on 23, which has lost what Hadoop asks for the user's name."""
NO_WINDOWS = "Spark needs Hadoop's winutils.exe on Windows, which no package brings: run it in WSL, on Linux or macOS."


class NoSpark(Exception):
    """One sentence saying what Spark lacks here, and the way out."""


def is_for(argv: Sequence[str], bundled: bool = False, *, windows: bool = os.name == "nt") -> bool:
    """Whether this call (`spark`, `bench spark` or `test`) is to get Spark.

    The tests go without it where it cannot run, and say so; but not in CI, where nobody would read that. Those that are
    set up from a bundle go without it too: no bundle holds Spark.
    Raises: `NoSpark`.
    """
    tests = argv[0] == "test"
    if tests and len(argv) > 1 and "pytest" not in argv:
        return False
    if tests and bundled:
        print("Spark is in no bundle: the tests of its job are left out, unless it is installed.")  # noqa: T201
        return False
    why_not = NO_WINDOWS if windows else why_no_java()
    if why_not and (not tests or (os.environ.get("CI") == "true" and not windows)):
        raise NoSpark(why_not)
    if why_not:
        print(f"The tests of the Spark job are left out. {why_not}")  # noqa: T201 (for lab.py)
    return not why_not


def why_no_java() -> str:
    """What is wrong with the Java of this machine; "" if nothing is."""
    found = version()
    if found in VERSIONS:
        return ""
    have = f"this one is Java {found}" if found else "there is none"
    return f"Spark needs Java 17 or 21, and {have}: install one, or let JAVA_HOME name it, and run this again."


def version() -> int | None:
    """The major version of the Java that Spark would take; None if there is none."""
    home = os.environ.get("JAVA_HOME")
    try:
        command = [os.path.join(home, "bin", "java") if home else "java", "-version"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(match[1]) if match else None
