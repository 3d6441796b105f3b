"""What a notebook teaches is what `labkit` runs: one true copy, compared as syntax trees without docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def without_docstrings(tree: ast.AST) -> str:
    """The tree as text; a body that held only its docstring becomes `pass`."""
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def definitions(source: str) -> dict[str, str]:
    tree = ast.parse(source)
    return {node.name: without_docstrings(node) for node in tree.body if isinstance(node, DEFINITIONS)}


def labkit_definitions() -> dict[str, dict[str, str]]:
    """Name -> module path -> definition."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((ROOT / "labkit").rglob("*.py")):
        for name, tree in definitions(path.read_text(encoding="utf-8")).items():
            found.setdefault(name, {})[path.relative_to(ROOT).as_posix()] = tree
    return found


def taught_cells() -> Iterator[tuple[str, str, str]]:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if "taught" in cell.metadata.get("tags", ()):
                yield path.name, cell.id, cell.source


LABKIT = labkit_definitions()


@pytest.mark.parametrize(("notebook", "cell", "source"), list(taught_cells()))
def test_a_taught_definition_is_labkits_own(notebook: str, cell: str, source: str) -> None:
    taught = definitions(source)
    assert taught, f"{notebook}, cell {cell}: tagged `taught`, but it defines nothing"
    for name, tree in taught.items():
        assert name in LABKIT, f"{notebook}, cell {cell}: labkit has no {name}"
        places = ", ".join(LABKIT[name])
        assert tree in LABKIT[name].values(), f"{notebook}, cell {cell}: {name} differs from the one in {places}"


def test_docstrings_do_not_count_and_code_does() -> None:
    worded = definitions('def f(a: int) -> int:\n    """Words."""\n    return a + 1')
    assert worded == definitions("def f(a: int) -> int:\n    return a + 1")
    assert worded != definitions("def f(a: int) -> int:\n    return a + 2")
    assert worded != definitions("def f(a: str) -> int:\n    return a + 1")
    assert definitions('class C:\n    """Words."""') == definitions("class C:\n    pass")


@pytest.mark.parametrize("notebook", ["01_write_model.ipynb", "02_events.ipynb"])
def test_the_first_notebooks_teach_something(notebook: str) -> None:
    assert any(name == notebook for name, _, _ in taught_cells())
