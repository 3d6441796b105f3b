"""`-p name=value`: what a notebook's `parameters` cell declares, and what the command line may set. Pure.

A parameter is a plain assignment of a literal in the cell tagged `parameters`. A value from the command line is read
as a Python literal of the same kind as the default, or taken as text where the default is text.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from nbformat import NotebookNode

from labkit.errors import LabError

Value = str | int | float | bool | None | list[Any] | tuple[Any, ...] | dict[Any, Any]


def declared(notebook: NotebookNode) -> dict[str, Value]:
    """The parameters of a notebook with their defaults, in order."""
    found: dict[str, Value] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or "parameters" not in cell.metadata.get("tags", []):
            continue
        for statement in ast.parse(cell.source).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
                found[statement.target.id] = ast.literal_eval(statement.value)
    return found


def split(assignments: Sequence[str]) -> dict[str, str]:
    """`["seed=3"]` as a mapping. Raises: `LabError` for one without a name or a value."""
    pairs: dict[str, str] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise LabError(f"-p {text}: write it as name=value, such as -p seed=3")
        pairs[name.strip()] = value.strip()
    return pairs


def assign(wanted: Mapping[str, str], books: Mapping[str, Mapping[str, Value]]) -> dict[str, dict[str, Value]]:
    """For each book, the wanted values of the parameters it declares.

    Raises: `LabError` for a name that no book declares, or a value of another kind than its default.
    """
    everything = {name for book in books.values() for name in book}
    for name in wanted:
        if name not in everything:
            raise LabError(f"no notebook here has a parameter {name!r}; there are {', '.join(sorted(everything))}")
    return {
        title: {name: _typed(name, text, book[name]) for name, text in wanted.items() if name in book}
        for title, book in books.items()
    }


def _typed(name: str, text: str, default: Value) -> Value:
    if isinstance(default, str):
        return text
    try:
        value: Value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if default is not None and type(value) is not type(default):
        raise LabError(f"the parameter {name!r} takes a {type(default).__name__} such as {default!r}, not {text!r}")
    return value
