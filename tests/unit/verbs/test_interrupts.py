"""An interrupt in the middle of a verb: who works clears up, and one line says what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest

from labkit.verbs import places
from labkit.verbs.run import started

PATIENCE_SECONDS = 60
WORKS = """
import pathlib, signal, sys, time
def clear_up(*_):
    time.sleep(1)
    pathlib.Path(sys.argv[1]).write_text("cleared up", encoding="utf-8")
    sys.exit(3)
signal.signal(signal.SIGINT, clear_up)
print("at work", flush=True)
time.sleep(600)
"""
TELLS = """
class Told(subprocess.Popen):
    def wait(self, *patience):
        print("waits", flush=True)
        return super().wait(*patience)
subprocess.Popen = Told
"""


@pytest.mark.skipif(os.name == "nt", reason="only on systems where a test can interrupt one group of processes")
@pytest.mark.parametrize(
    ("interrupt", "has_it_seconds"), [(os.kill, 0.1), (getattr(os, "killpg", None), PATIENCE_SECONDS)]
)
def test_who_is_interrupted_at_work_has_the_time_to_clear_up_also_if_only_the_verb_was(
    tmp_path: Path, interrupt: Callable[[int, int], None], has_it_seconds: float
) -> None:
    verb = (
        "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"{TELLS}\n"
        f"from labkit.verbs import places; places.HAS_IT_SECONDS = {has_it_seconds}\n"
        f"sys.exit(places.left_to_end([sys.executable, '-c', {WORKS!r}, 'done.txt']))"
    )
    command = [sys.executable, "-c", verb]
    environment = {**os.environ, "PYTHONPATH": str(places.ROOT)}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert {process.stdout.readline() for _ in range(2)} == {b"at work\n", b"waits\n"}
            interrupt(process.pid, signal.SIGINT)
            assert process.wait(PATIENCE_SECONDS) == 3
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert (tmp_path / "done.txt").read_text(encoding="utf-8") == "cleared up"


PASSED_BY = subprocess.TimeoutExpired("it", 1)


@pytest.mark.skipif(os.name == "nt", reason="only on systems where one process can be interrupted")
@pytest.mark.parametrize(
    ("at_a_terminal", "happens", "waits", "passed_on"),
    [
        (True, [KeyboardInterrupt(), 3], [None, None], 0),
        (True, [KeyboardInterrupt(), KeyboardInterrupt(), 3], [None, None, None], 1),
        (False, [KeyboardInterrupt(), PASSED_BY, 3], [None, places.HAS_IT_SECONDS, None], 1),
        (False, [KeyboardInterrupt(), KeyboardInterrupt(), 3], [None, places.HAS_IT_SECONDS, None], 1),
    ],
)
def test_an_interrupt_is_passed_on_to_who_may_not_have_had_it(
    at_a_terminal: bool, happens: list[object], waits: list[object], passed_on: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Mock(**{"wait.side_effect": happens})
    monkeypatch.setattr(subprocess, "Popen", lambda *command, **where: child)
    monkeypatch.setattr(sys, "stdin", Mock(**{"isatty.return_value": at_a_terminal}))
    assert places.left_to_end(["it"]) == 3
    assert [call.args[0] for call in child.wait.call_args_list] == waits
    assert child.send_signal.call_args_list == [((signal.SIGINT,),)] * passed_on


def test_an_interrupt_while_a_kernel_starts_is_one_whatever_hides_it() -> None:
    def execute() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise AssertionError  # as nbclient's own clearing up does

    with pytest.raises(KeyboardInterrupt):
        started(execute)


def test_what_a_benchmark_had_measured_before_an_interrupt_is_told() -> None:
    program = (
        "import sys; from measure import Figure, main\n"
        "def measure():\n"
        "    yield Figure('soon_ms', 1.5, 'ms', 'first')\n"
        "    raise KeyboardInterrupt\n"
        "sys.argv = ['bench']; sys.exit(main(measure))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=places.ROOT / "bench", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")
    assert done.stdout.startswith("soon_ms")


def test_figures_that_cannot_be_written_are_those_that_are_printed(tmp_path: Path) -> None:
    program = (
        "import sys; from measure import Figure, main\n"
        f"sys.argv = ['bench', '--json', {str(tmp_path)!r}]\n"
        "sys.exit(main(lambda: [Figure('soon_ms', 1.5, 'ms', 'first')]))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=places.ROOT / "bench", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("soon_ms")
    assert done.stderr.startswith(f"{tmp_path} cannot be written (")
    assert done.stderr.endswith("): the figures are those above.\n")


def test_a_look_at_the_machine_that_is_interrupted_is_one_line() -> None:
    program = (
        "import sys, runpy; from labkit.verbs import doctor\n"
        "def main(*_): raise KeyboardInterrupt\n"
        "doctor.main = main; sys.argv = ['lab.py', 'doctor']; runpy.run_path('lab.py', run_name='__main__')"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=places.ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip().count("\n")) == (130, 0)
    assert done.stderr.strip().startswith("Interrupted.")
