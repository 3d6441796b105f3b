"""Two short notebooks, and where a reader's copies of them go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.verbs.short_notebooks import BOOK, write


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    books = tmp_path / "notebooks"
    (books / "figures").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    for name in ("notebooks/figures/path.svg", "notebooks/figures/more.svg", "docs/words.md"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    return [write(books / BOOK), write(books / "02_more.ipynb")]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tmp_path / "my_lab"
