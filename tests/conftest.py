"""Fixtures that all tests may use."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import localazure
from localazure.handle import LocalAzure


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
