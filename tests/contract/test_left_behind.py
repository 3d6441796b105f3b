"""A kernel that ends without closing its lab: nothing of it stays, while the lab of another goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import settings
from labkit.lab import Lab, open_lab

ROOT = Path(__file__).resolve().parents[2]
OPEN = """
import os
from labkit.lab import open_lab
from labkit.projections.read_store import ReadStore
lab = open_lab("03", partitions=1)
ReadStore(lab.tables_url)
lab.producer("relay").get_partition_ids()
print(lab.hub, flush=True)
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Open all the time, in a folder of its own."""
    target = settings.target({settings.DATA_DIR: str(tmp_path)})
    with open_lab("01", partitions=1, target=target) as opened:
        yield opened
    settings.stop_embedded(tmp_path)


def kernel(folder: Path, then: str = "") -> str:
    """The name of the lab of a process that has ended."""
    ended = subprocess.run(
        [sys.executable, "-c", OPEN + then],
        cwd=ROOT,
        env={**os.environ, settings.DATA_DIR: str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.stderr == ""
    return ended.stdout.strip()


def labs(lab: Lab, folder: Path) -> tuple[set[str], set[str], set[str]]:
    """The databases, the folders of tables and the notes of owners that there are."""
    client = lab._cosmos[settings.Role.COMMAND]
    databases = {str(found["id"]) for found in client.list_databases()}
    tables = {path.name for path in (folder / "tables").glob("*")}
    return databases, tables, {path.stem for path in (folder / "labs").glob("*.lock")}


def test_a_process_that_ends_closes_its_lab(lab: Lab, tmp_path: Path) -> None:
    assert kernel(tmp_path) != ""
    assert labs(lab, tmp_path) == ({lab.hub}, set(), {lab.hub})


def test_what_a_killed_process_left_is_deleted_by_the_next_lab(lab: Lab, tmp_path: Path) -> None:
    killed = kernel(tmp_path, "os._exit(9)")
    assert labs(lab, tmp_path) == ({lab.hub, killed}, {killed}, {lab.hub, killed})
    with open_lab("02", partitions=1, target=settings.target({settings.DATA_DIR: str(tmp_path)})) as following:
        assert labs(lab, tmp_path) == ({lab.hub, following.hub}, set(), {lab.hub, following.hub})
    assert labs(lab, tmp_path) == ({lab.hub}, set(), {lab.hub})
