"""A server that is measured: a process of its own, ready when it prints its first line."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from measure import Missed

END_WITHIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Process:
    """What it has used so far."""

    process: subprocess.Popen[str]

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6


@contextmanager
def started(command: list[str], folder: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its first line of output. Raises: `Missed` with the end of its log if there is none."""
    with tempfile.TemporaryFile() as log:  # a pipe that nobody reads would stop it when it is full
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                process.wait(END_WITHIN_SECONDS)
                log.seek(0)
                said = log.read().decode("utf-8", "replace").strip()[-300:]
                raise Missed(f"{' '.join(command[1:])} did not start: {said}")
            yield process, line
        finally:
            process.terminate()
            process.communicate(timeout=END_WITHIN_SECONDS)
