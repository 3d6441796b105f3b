"""Fixtures that all tests may use."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

import localazure
from localazure.handle import LocalAzure

ROOT = Path(__file__).resolve().parents[1]
LONGEST = tuple(
    ROOT / "tests" / name
    for name in ("spark/test_projection_job.py", "chaos/test_rebuild_kill.py", "spark/test_batches.py")
)
ONE_SPARK = {f"tests/spark/test_{name}.py" for name in ("batches", "session", "sources", "tables")}
"""Files whose tests share one session of Spark (`tests/spark/conftest.py`): a second one costs more than they do."""
QUICK = (ROOT / "tests" / "protocol", ROOT / "tests" / "unit")
"""Folders of tests that wait for nothing."""
HELPERS = {f"tests.{found.stem}" for found in (ROOT / "tests").iterdir()} - {"tests.conftest"}

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # a busy machine is no failure

pytest.register_assert_rewrite(*HELPERS)  # so that a check that fails in one says what it compared


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which files are begun: the longest, those of most tests, and last the quick ones.

    A worker that is free takes the next file (`tests.stages`). A long one that is begun when the others have nothing
    left is what all wait for; quick ones let them end together.
    """
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in LONGEST, is_quick(item.path), -tests[item.path]))


class WholeFiles(LoadFileScheduling):  # type: ignore[misc]  # xdist is not typed where mypy looks
    """`--dist loadfile`, with the files of `ONE_SPARK` as if they were one."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "tests/spark" if file in ONE_SPARK else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WholeFiles | None:
    return WholeFiles(config, log) if config.getoption("dist") == "loadfile" else None


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
