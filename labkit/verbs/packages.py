"""What is in `.venv`, asked of its own Python from outside: for `doctor`, which may run where nothing is installed.

Needs nothing but the standard library. What must be there is read from requirements.in, in which version from the lock.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Final

NAME: Final = re.compile(r"^[A-Za-z0-9._-]+")
PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)")
MODULES: Final = {"argon2-cffi-bindings": "_argon2_cffi_bindings", "opentelemetry-api": "opentelemetry.trace"}
"""Where the module's name is not that of the package; Azure's and OpenTelemetry's have a dot for the hyphen."""
PROBE: Final = """
import importlib, importlib.metadata, json, sys
asked = json.load(sys.stdin)
told = {}
for name, module in asked.items():
    try:
        importlib.import_module(module)
        told[name] = ["is", importlib.metadata.version(name)]
    except Exception as error:
        told[name] = ["fails", f"{type(error).__name__}: {error}".splitlines()[0]]
print(json.dumps(told))
"""
SECONDS: Final = 120


def start_fault(python: Path) -> str | None:
    """Why this interpreter does not start; None: it does."""
    try:
        done = subprocess.run([str(python), "-c", ""], capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return getattr(error, "strerror", None) or type(error).__name__
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["without a word"])[-1]


def needed(root: Path) -> list[str]:
    """The packages that requirements.in names."""
    lines = (root / "requirements.in").read_text(encoding="utf-8").splitlines()
    return [match[0] for line in lines if (match := NAME.match(line))]


def locked(root: Path) -> dict[str, set[str]]:
    """Package -> its versions in requirements.lock, of which different systems may have different ones."""
    found: dict[str, set[str]] = {}
    for line in (root / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if match := PIN.match(line):
            found.setdefault(match[1], set()).add(match[2])
    return found


def module_of(package: str) -> str:
    dotted = package.startswith(("azure-", "opentelemetry-"))
    return MODULES.get(package, package.replace("-", "." if dotted else "_"))


def faults(python: Path, root: Path) -> list[str]:
    """A sentence for each package that cannot be imported, or is in another version than the lock's."""
    asked = {name: module_of(name) for name in needed(root)}
    told = _asked(python, {**asked, "cqrs-on-azure-lab": "labkit"})
    versions = locked(root)
    found = []
    for name, (state, said) in told.items():
        if state == "fails":
            found.append(f"{name} cannot be imported ({said})")
        elif name in versions and said not in versions[name]:
            found.append(f"{name} is {said}, the lock has {' or '.join(sorted(versions[name]))}")
    return found


def _asked(python: Path, modules: dict[str, str]) -> dict[str, tuple[str, str]]:
    done = subprocess.run(
        [str(python), "-P", "-W", "ignore", "-c", PROBE],
        input=json.dumps(modules), capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    if done.returncode:
        return {"Python": ("fails", (done.stderr.strip().splitlines() or ["without a word"])[-1])}
    answers: dict[str, tuple[str, str]] = json.loads(done.stdout)
    return answers
