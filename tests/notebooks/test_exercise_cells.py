"""The cells of exercises as they stand in the files: their order, their names, and that none goes untried."""

from __future__ import annotations

import ast
import builtins
import re

import nbformat
import pytest
from nbformat import NotebookNode

from tests.notebooks.exercises import ANSWERS, exercises, source, tagged
from tests.notebooks.test_notebook_files import NAMES

EXERCISES_AT_LEAST = {
    "01_write_model": 4,
    "02_events": 4,
    "03_projections": 4,
    "04_read_queries": 4,
    "05_lag_monitoring": 4,
}
ROLES = {"exercise": "", "solution": "-solution", "check": "-check"}
"""Tag -> what follows the exercise's id in the cell's. In this order, directly after each other."""


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def book(name: str) -> NotebookNode:
    return nbformat.read(source(name), as_version=4)


def test_there_are_enough_and_they_are_counted_from_one(name: str, book: NotebookNode) -> None:
    ids = [cell.id for cell in tagged(book, "exercise")]
    assert len(ids) >= EXERCISES_AT_LEAST[name]
    assert ids == [f"exercise-{number}" for number in range(1, len(ids) + 1)]


def test_a_solution_follows_its_exercise_and_a_check_follows_that(book: NotebookNode) -> None:
    roles = [(cell.id, tag) for cell in book.cells for tag in cell.metadata.get("tags", []) if tag in ROLES]
    wanted = [(one.id + end, tag) for one in tagged(book, "exercise") for tag, end in ROLES.items()]
    assert roles == wanted
    ids = [cell.id for cell in book.cells]
    for one in tagged(book, "exercise"):
        at = ids.index(one.id)
        assert ids[at : at + 3] == [one.id + end for end in ROLES.values()]


def test_heading_check_and_committed_output_say_the_same_name(book: NotebookNode) -> None:
    by_id = {cell.id: cell for cell in book.cells}
    for one in exercises(book):
        number, title = re.fullmatch(r"Exercise (\d+) · (.+)", one.heading).groups()
        assert f'checks.exercise({number}, "{title}")' in one.check, one.id
        assert "assert " not in one.check, f"{one.id}: `check.that` tells what an assert does not"
        assert [output.text for output in by_id[f"{one.id}-check"].outputs] == [f"{one.heading}: right.\n"]


def test_the_rest_of_the_notebook_uses_nothing_that_an_exercise_defines(book: NotebookNode) -> None:
    defined = {name for one in exercises(book) for name in re.findall(r"^(?:def|class) (\w+)", one.given, re.MULTILINE)}
    rest = [
        cell for cell in book.cells if cell.cell_type == "code" and not set(cell.metadata.get("tags", [])) & set(ROLES)
    ]
    used = {cell.id: sorted(name for name in defined if re.search(rf"\b{name}\b", cell.source)) for cell in rest}
    assert {cell: names for cell, names in used.items() if names} == {}


def test_a_check_names_what_the_notebook_made_only_where_it_can_say_that_it_is_missing(book: NotebookNode) -> None:
    """After a restart a name is missing: outside of its `with` a check would end in a bare NameError."""
    bare = {one.id: sorted(named_before_the_with(one.check)) for one in exercises(book)}
    assert {exercise: names for exercise, names in bare.items() if names} == {}


def named_before_the_with(check: str) -> set[str]:
    steps = [step for step in ast.parse(check).body if not isinstance(step, ast.With | ast.FunctionDef | ast.ClassDef)]
    names = [node for step in steps for node in ast.walk(step) if isinstance(node, ast.Name)]
    imported = {name.name for step in steps if isinstance(step, ast.ImportFrom) for name in step.names}
    made = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return {name.id for name in names} - made - imported - set(dir(builtins))


def test_each_notebook_has_its_tests_and_its_wrong_answers() -> None:
    tests = {path.name for path in ANSWERS.parent.glob("test_exercises_[0-9]*.py")}
    assert tests == {f"test_exercises_{name[:2]}.py" for name in NAMES}
    for name in NAMES:
        assert f'notebook = "{name}"' in (ANSWERS.parent / f"test_exercises_{name[:2]}.py").read_text(encoding="utf-8")
    assert {path.stem for path in ANSWERS.glob("*.toml")} == set(NAMES)
