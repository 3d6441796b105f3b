"""The benchmarks run on quiet machines only; that they still begin is seen here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench"


def test_every_benchmark_finds_what_it_imports() -> None:
    names = sorted(path.stem for path in BENCH.glob("*.py"))
    assert "queries" in names
    done = subprocess.run(
        [sys.executable, "-c", f"import {', '.join(names)}"], cwd=BENCH, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
