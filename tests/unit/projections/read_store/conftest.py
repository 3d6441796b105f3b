"""A store of the test's own; every test of this folder runs both ways in which rows come into a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.projections import handles
from labkit.projections.read_store import ReadStore


@pytest.fixture(autouse=True, params=["put", "merge"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How rows come into a table: days of few rows are put, others merged. Each test here holds for both."""
    if request.param == "merge":
        monkeypatch.setattr(handles, "FEW_ROWS", -1)
    return str(request.param)


@pytest.fixture
def store(tmp_path: Path) -> ReadStore:
    return ReadStore(str(tmp_path))
