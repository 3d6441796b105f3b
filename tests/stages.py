"""`python lab.py test`: every check, one line per stage with its time, pytest's closing line last.

All stages run, whatever fails. They use an embedded Azure of their own, in a folder that is deleted afterwards, so
that a lab in use is not disturbed; and every process they start carries a mark, so that what is left can be found.
A stage's whole output is kept in the state folder, and shown when it failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from labkit import connections, settings
from labkit.errors import LabError
from labkit.verbs import places

MARK: Final = "LABKIT_TEST_RUN"
AZURE: Final = (
    connections.COSMOS,
    connections.COSMOS_READ_ONLY,
    connections.SEND,
    connections.LISTEN,
    connections.SEND_AND_LISTEN,
    connections.HUB,
    connections.READ_STORE,
)
ENDING_SECONDS: Final = 20.0
"""How long a process may take to end after what it served has ended."""
SHOWN_LINES: Final = 120
ALLOWED_SKIP: Final = "only on "
"""A skip whose reason begins so names a platform; no other is allowed where CI could have avoided it."""

WORKERS: Final = ("-n", "4", "--dist", "loadfile")
"""More workers than cores: most tests wait for a connection, a commit or a process rather than compute."""
PYTEST: Final = ("-m", "pytest", "-q", "--durations=5", *WORKERS)
STAGES: Final[dict[str, tuple[str, ...]]] = {
    "ruff": ("-m", "ruff", "check", "."),
    "format": ("-m", "ruff", "format", "--check", "."),
    "mypy": ("-m", "mypy"),
    "papermill": ("-m", "labkit", "run"),
    "nbval": (
        *PYTEST,
        "-p",
        "tests.notebooks.kernels",
        "--nbval",
        "--nbval-sanitize-with",
        "notebooks/nbval-sanitize.cfg",
        "--nbval-cell-timeout",
        "180",
        "notebooks",
    ),
    "pytest": (*PYTEST, "--no-loadscope-reorder", "tests"),
}
"""Stage -> what Python runs for it, in the repository. The last one's closing line is the run's closing line.
In which order the workers of `pytest` are given files is said in `tests/conftest.py`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    passed: bool
    seconds: float
    closing: str
    """The last line the stage printed."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("stages", nargs=-1, type=click.Choice(list(STAGES)))
def main(stages: tuple[str, ...]) -> None:
    """Run every check, or only the STAGES named."""
    try:
        with places.alone("test"):
            raise SystemExit(checked(stages))
    except LabError as error:
        raise click.ClickException(str(error)) from error


def checked(stages: tuple[str, ...]) -> int:
    """All of these stages, one after the other; the exit code."""
    folder = places.state() / "test"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark = uuid.uuid4().hex
    environment = surroundings(folder, mark)
    began = time.monotonic()
    outcomes: dict[str, Outcome] = {}
    try:
        for name in stages or tuple(STAGES):
            outcomes[name] = perform(name, folder, environment)
    finally:
        settings.stop_embedded(folder)
    left = left_behind(mark)
    say("nothing left behind", not left, 0.0, "; ".join(left))
    click.echo(f"{time.monotonic() - began:.0f} s in all; what each stage printed: {folder}")
    failed = [name for name, outcome in outcomes.items() if not outcome.passed] + ["nothing left behind"] * bool(left)
    if failed:
        click.echo(f"FAILED: {', '.join(failed)}")
    click.echo(list(outcomes.values())[-1].closing)
    return 1 if failed else 0


def surroundings(folder: Path, mark: str) -> dict[str, str]:
    """The environment of every stage: no Azure, state and caches of its own, and the mark.

    What is compiled is kept, whatever the caller has told Python: else each worker compiles every test again.
    """
    own = {name: value for name, value in os.environ.items() if name not in (*AZURE, "PYTHONDONTWRITEBYTECODE")}
    return {**own, **places.kernel_environment(folder), settings.DATA_DIR: str(folder), MARK: mark}


def perform(name: str, folder: Path, environment: dict[str, str]) -> Outcome:
    """Run one stage to its end, with its output in a log."""
    log = folder / f"{name}.log"
    report = folder / f"{name}.xml"
    command = [sys.executable, *STAGES[name], *([f"--junitxml={report}"] if "pytest" in STAGES[name] else [])]
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=places.ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                tick(name, time.monotonic() - began)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    lines = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines() or [""]
    skips = avoidable_skips(report) if report.exists() and os.environ.get("CI") == "true" else []
    passed = process.returncode == 0 and not skips
    say(name, passed, time.monotonic() - began, "; ".join(skips) or (lines[-1].strip("= ") if passed else "see below"))
    if not passed:
        said = lines if any(lines) else ["It said nothing: `lab.py doctor` looks at the disk."]
        click.echo("\n".join(["", *said[-SHOWN_LINES:], ""]))
    return Outcome(passed, time.monotonic() - began, lines[-1])


def say(name: str, passed: bool, seconds: float, detail: str) -> None:
    if sys.stdout.isatty():
        click.echo("\r" + " " * 60 + "\r", nl=False)
    click.echo(f"{'ok  ' if passed else 'FAIL'}  {name:<20} {seconds:6.1f} s  {detail}")
    sys.stdout.flush()


def tick(name: str, seconds: float) -> None:
    """Wait a little; on a terminal, show which stage is at work."""
    if sys.stdout.isatty():
        click.echo(f"\r      {name:<20} {seconds:6.1f} s  ", nl=False)
    time.sleep(0.1)


def avoidable_skips(report: Path) -> list[str]:
    """Tests that were skipped for a reason that is not the platform, from pytest's own report."""
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        for skip in case.iter("skipped"):
            reason = skip.get("message", "")
            if not reason.startswith(ALLOWED_SKIP) and skip.get("type") == "pytest.skip":
                found.append(f"skipped in CI: {case.get('classname')}.{case.get('name')}: {reason}")
    return found


def left_behind(mark: str) -> list[str]:
    """Processes of this run that are still there, after a moment in which to end."""
    import psutil

    deadline = time.monotonic() + ENDING_SECONDS
    while True:
        found = []
        for process in psutil.process_iter(["pid", "cmdline"]):
            try:
                if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                    found.append(f"process {process.pid}: {' '.join(process.info['cmdline'] or [])[:100]}")
            except (psutil.Error, OSError):
                continue
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


if __name__ == "__main__":
    main(prog_name="python lab.py test")
