"""`python lab.py doctor`: is this machine ready for the lab, and if not, what mends it.

Owns what is looked at and what each finding means. Needs nothing but the standard library and a Python that `lab.py`
accepts, so that it also answers where `.venv` is missing or broken; what only `.venv` can tell (packages, the embedded
Azure) is asked of its own Python in a process of its own. Changes nothing, and reaches no network but the loopback.
Values of variables are never shown: connection strings and proxies hold passwords.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Final

from labkit import connections, settings
from labkit.errors import SettingsError
from labkit.verbs import machine, packages
from labkit.verbs.machine import Finding, Room


def main(argv: list[str], room: Room) -> int:
    """Print what was found. Returns 1 if anything is wrong; warnings are none."""
    what = "Is this machine ready for the lab, and if not, what mends it."
    parser = argparse.ArgumentParser(prog="python lab.py doctor", description=what)
    parser.add_argument("--json", action="store_true", help="for a script: one JSON object")
    asked = parser.parse_args(argv)
    found = list(examined(room))
    wrong = sum(one.state == "wrong" for one in found)
    if asked.json:
        sys.stdout.write(json.dumps({"wrong": wrong, "findings": [asdict(one) for one in found]}, indent=1) + "\n")
    else:
        sys.stdout.write(told(found))
    return 1 if wrong else 0


def told(found: list[Finding]) -> str:
    """A line for each finding, what mends it below."""
    lines = []
    for one in found:
        lines.append(f"{one.state:<8} {one.name:<12} {one.what}")
        if one.mend:
            lines.append(f"{'':<21} -> {one.mend}")
    count = {state: sum(one.state == state for one in found) for state in ("wrong", "warning")}
    end = "Nothing is wrong." if not count["wrong"] else f"{count['wrong']} wrong: mend that first."
    if count["warning"]:
        end += f" {count['warning']} to know of."
    return "\n".join([*lines, end, ""])


def examined(room: Room) -> Iterator[Finding]:
    """Each check's finding; one that itself fails is a finding too, and the others go on."""
    for check in CHECKS:
        name = check.__name__
        try:
            yield check(room)
        except Exception as error:  # a machine nobody has thought of must not keep the rest from being looked at
            yield Finding(name, "warning", f"cannot be looked at here ({type(error).__name__}: {error})")


def environment(room: Room) -> Finding:
    """`.venv`, as `lab.py` would find it."""
    again = "run any verb, such as `python3 lab.py status`"
    if not room.python.exists():
        mend = "`python3 lab.py run` makes it, in some minutes; without a network: `python3 lab.py --bundle FILE`"
        return Finding(".venv", "warning", "not made yet", mend)
    if (fault := packages.start_fault(room.python)) is not None:
        return Finding(".venv", "wrong", f"its Python does not start ({fault})", "delete .venv, then " + again)
    if not room.installed:
        return Finding(".venv", "warning", "half made, or the folder was moved", again + ": it is mended or made again")
    old = [name for name, digest in room.wanted.items() if room.installed.get(name) != digest]
    if old:
        said = f"older than {', '.join(f'{name}.lock' if '.' not in name else name for name in old)}"
        return Finding(".venv", "warning", said, again + ": it is brought up to date")
    return Finding(".venv", "ok", "holds what the locks say")


def imports(room: Room) -> Finding:
    """Every package of requirements.in, in the version of the lock, importable."""
    if not room.python.exists() or packages.start_fault(room.python) is not None:
        return Finding("packages", "warning", "cannot be looked at without .venv")
    faults = packages.faults(room.python, room.root)
    if faults:
        return Finding("packages", "wrong", "; ".join(faults), "delete .venv, and run `python3 lab.py run`")
    return Finding("packages", "ok", "all can be imported, in the versions of requirements.lock")


def target(room: Room) -> Finding:
    """The embedded Azure or Azure, by the names of the variables that are set."""
    known = connections.VARIABLES
    names = [name for name in known if room.environ.get(name)]
    said = f"set: {', '.join(names)}" if names else "no variable of Azure is set"
    try:
        azure = settings.azure_of(room.environ)
    except SettingsError as error:
        return Finding("target", "wrong", f"{said}: {error}", "set what is missing, or unset them all")
    return Finding("target", "ok", f"{'Azure' if azure else 'the embedded Azure'} ({said})")


def embedded(room: Room) -> Finding:
    """Whether the embedded Azure runs, and where; asked of `.venv`, for it speaks with the server."""
    if not room.python.exists() or packages.start_fault(room.python) is not None:
        return Finding("localazure", "warning", "cannot be asked without .venv")
    command = [str(room.python), "-P", "-m", "labkit", "status"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=dict(room.environ))
    if said.returncode:
        words = (said.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return Finding(
            "localazure", "wrong", f"cannot be asked: {words}", "`python3 lab.py up` says what is in the way"
        )
    return Finding("localazure", "ok", said.stdout.strip())


CHECKS: Final[tuple[Callable[[Room], Finding], ...]] = (
    *(machine.python, machine.folder, machine.disk, machine.memory, machine.clock, machine.loopback),
    *(machine.proxy, machine.browser),
    *(environment, imports, embedded, target, machine.java),
)
