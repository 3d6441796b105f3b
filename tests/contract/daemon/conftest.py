"""A data folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localazure import daemon


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder with a space and an umlaut in its name; whatever serves it is stopped afterwards."""
    data = tmp_path / "dåta føldér"
    yield data
    daemon.stop(data)
