"""Fixtures that all tests may use."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

import localazure
from localazure.handle import LocalAzure

ROOT = Path(__file__).resolve().parents[1]
LONGEST = (ROOT / "tests" / "spark" / "test_projection_job.py", ROOT / "tests" / "chaos" / "test_rebuild_kill.py")
QUICK = (ROOT / "tests" / "protocol", ROOT / "tests" / "unit")
"""Folders of tests that wait for nothing."""
HELPERS = {f"tests.{found.stem}" for found in (ROOT / "tests").iterdir()} - {"tests.conftest"}

pytest.register_assert_rewrite(*HELPERS)  # so that a check that fails in one says what it compared


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which files are begun: the longest, those of most tests, and last the quick ones.

    A worker that is free takes the next file (`tests.stages`). A long one that is begun when the others have nothing
    left is what all wait for; quick ones let them end together.
    """
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in LONGEST, is_quick(item.path), -tests[item.path]))


def is_quick(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in QUICK)


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
