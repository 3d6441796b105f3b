"""Processes that attach to a folder or serve it, and how to see what came of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import localazure

ATTACH_AND_PRINT_PID = (
    "import sys, localazure; azure = localazure.attach(sys.argv[1]); "
    "print(azure.control('GET', '/health')['pid'], flush=True); {then}"
)


def attach_elsewhere(folder: Path, then: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ATTACH_AND_PRINT_PID.format(then=then), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(localazure.__file__).parents[1])},
    )


def serve(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "localazure", "serve", "--data", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(localazure.__file__).parents[1])},
    )


def eventually(holds: Callable[[], bool], timeout_seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def pid_of(azure: localazure.LocalAzure) -> int:
    return int(azure.control("GET", "/health")["pid"])
