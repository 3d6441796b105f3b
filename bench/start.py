"""How soon the embedded Azure is ready after it was asked for, and how much memory it then holds.

A process each time, with its byte code compiled and a data folder of its own that was used before, from the moment it
is started to its ready line; in pairs with a Python that imports nothing and prints a line, the least that any server
of this kind costs.
"""

from __future__ import annotations

import compileall
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from measure import Figure, Missed, interleaved, main

import localazure

LONGEST_SECONDS = 30.0


def bare_python_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "print()"], stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - began


def embedded_azure(folder: Path) -> tuple[float, float]:
    """Seconds to the ready line, and megabytes resident at it."""
    command = [sys.executable, "-m", "localazure", "serve", "--data", str(folder)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
        if not line or json.loads(line)["pid"] != process.pid:
            raise Missed(f"the embedded Azure did not come up: {process.stderr.read().strip()[-300:]}")
        return seconds, psutil.Process(process.pid).memory_info().rss / 1e6
    finally:
        process.terminate()
        process.communicate(timeout=LONGEST_SECONDS)


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "azure"
        embedded_azure(folder)
        megabytes: list[float] = []

        def ready_seconds() -> float:
            seconds, rss_mb = embedded_azure(folder)
            megabytes.append(rss_mb)
            return seconds

        compileall.compile_dir(Path(localazure.__file__).parent, quiet=1)
        pairs = interleaved(bare_python_seconds, ready_seconds, title="starts")
    count = len(pairs.second)
    yield Figure("ready_seconds", pairs.medians[1], "s", f"median of {count} starts, process start to ready line")
    yield Figure("rss_mb", statistics.median(megabytes), "MB", f"median of {count}, resident memory at the ready line")
    yield Figure("ready_over_bare_python", pairs.ratio, "x", f"median of {count} paired ratios to a Python that prints")


if __name__ == "__main__":
    sys.exit(main(measure))
