"""The support table is honest: every row names a test that exists, and the page is what the rows say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from localazure import support

ROOT = Path(__file__).resolve().parents[2]
ROWS = [(title, row) for title, rows in support.sections() for row in rows]


def ids_of(path: Path) -> set[str]:
    """The pytest ids of a file, without parameters."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
            names |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.AsyncFunctionDef)}
    return names


@pytest.mark.parametrize(("title", "row"), ROWS, ids=[f"{title}: {row.operation}" for title, row in ROWS])
def test_every_row_names_a_test_that_exists(title: str, row: support.Row) -> None:
    if not row.supported and not row.proof:
        assert row.note, f"{title}: {row.operation} is not kept and does not say what happens instead"
        return
    file, _, test = row.proof.partition("::")
    assert file.startswith("tests/"), f"{title}: {row.operation} names no test"
    assert test.partition("[")[0] in ids_of(ROOT / file)


def test_the_page_is_what_the_rows_say() -> None:
    committed = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")
    assert committed == support.page(), "write it again: python -m localazure.support"


def test_no_operation_is_listed_twice() -> None:
    listed = [(title, row.operation) for title, row in ROWS]
    assert len(listed) == len(set(listed))
