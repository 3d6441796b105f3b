"""Fixtures that all tests may use."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

import localazure
from localazure.handle import LocalAzure

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAzure]:
    """One private embedded Azure for the whole run; tests keep apart by the names of their hubs and databases."""
    with localazure.start(tmp_path_factory.mktemp("azure")) as running:
        yield running


@pytest.fixture
def own_azure(tmp_path: Path) -> Iterator[LocalAzure]:
    """A private embedded Azure of this test alone: for tests that arm faults or count."""
    with localazure.start(tmp_path / "azure") as running:
        yield running


@pytest.fixture
def fresh_name() -> str:
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The whole site, made once for all workers of a run."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = shared / "site"
    with FileLock(shared / "site.lock"):
        if not folder.exists():
            command = [sys.executable, "-m", "labkit", "docs", "--to", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder
