"""An interrupt in the middle of a verb: who works clears up, and one line says what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.skipif(os.name == "nt", reason="only on systems where a test can interrupt one group of processes")
def test_who_is_interrupted_at_work_has_the_time_to_clear_up(tmp_path: Path) -> None:
    verb = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from labkit.verbs import places\n"
        f"sys.exit(places.left_to_end([sys.executable, '-c', {WORKS!r}, 'done.txt']))"
    )
    command = [sys.executable, "-c", verb]
    environment = {**os.environ, "PYTHONPATH": str(places.ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"at work\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 3
    assert (tmp_path / "done.txt").read_text(encoding="utf-8") == "cleared up"


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
