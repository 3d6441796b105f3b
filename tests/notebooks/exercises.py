"""Every exercise of a notebook, tried as learners would: what is given, wrong answers, the solution, in one kernel.

The cells come from the copies that `lab.py lab` makes, and run in a folder laid out like my_lab: the student's copy
gives the exercise cells, the solved one everything else. Before each try the kernel's names are put back to what they
were at the exercise, so that no try lives on what another defined. Documents and events stay, as they do for a learner.

Wrong answers and the hints they must get: answers/<notebook>.toml. Exercises are found by their tags.
"""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from labkit import settings
from labkit.verbs import copies, places
from labkit.verbs.run import started

ANSWERS = Path(__file__).parent / "answers"
CELL_SECONDS = 120
WRONG_ANSWERS_AT_LEAST = 2
WORDS_OF_A_HINT_AT_LEAST = 4
LETTERS_OF_A_TELLING_LINE = 8
"""Shorter lines of a solution, such as `]`, give nothing away."""
KEEP = "__import__('builtins').names_at_the_exercise = dict(globals())"
PUT_BACK = """
def put_back(names, kept):
    names.clear()
    names.update(kept)
put_back(globals(), __import__('builtins').names_at_the_exercise)
"""


@dataclass(frozen=True)
class Exercise:
    id: str
    heading: str
    """As the check prints it: "Exercise 1 · Each event once"."""
    given: str
    solution: str
    check: str

    @property
    def telling_lines(self) -> set[str]:
        """What only the solution says, line by line."""
        lines = {line.strip() for line in self.solution.splitlines()} - {
            line.strip() for line in self.given.splitlines()
        }
        return {line for line in lines if len(line) >= LETTERS_OF_A_TELLING_LINE and not line.startswith("#")}


@dataclass(frozen=True)
class Try:
    """What came of one answer: the error of the answer's own cell, and of the check's."""

    answer: str
    stopped: str | None
    refused: str | None
    """The check's whole message; None: it passed."""
    kind: str | None
    """The class of the check's error."""
    shown: str
    """What Jupyter displays of it."""
    printed: str


@dataclass
class Tried:
    given: dict[str, Try] = field(default_factory=dict)
    wrong: dict[str, list[Try]] = field(default_factory=dict)
    solved: dict[str, Try] = field(default_factory=dict)


def source(notebook: str) -> Path:
    return places.NOTEBOOKS / f"{notebook}.ipynb"


def tagged(book: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in book.cells if tag in cell.metadata.get("tags", [])]


def exercises(book: NotebookNode) -> list[Exercise]:
    """Every cell tagged `exercise`, with its solution and its check by their ids. Raises: `KeyError` without them."""
    by_id = {cell.id: cell.source for cell in book.cells}
    headings = dict(re.findall(r"^### Exercise (\d+) · (.+)$", "\n".join(by_id.values()), re.MULTILINE))
    found = []
    for cell in tagged(book, "exercise"):
        number = cell.id.removeprefix("exercise-")
        name = f"Exercise {number} · {headings[number]}"
        found.append(Exercise(cell.id, name, cell.source, by_id[f"{cell.id}-solution"], by_id[f"{cell.id}-check"]))
    return found


def answers(notebook: str) -> dict[str, Any]:
    """Exercise id -> {"given": hint, "wrong": [{"answer": code, "hint": words}]}; empty without a file."""
    path = ANSWERS / f"{notebook}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


class Kernel:
    """A kernel in the folder of the copies."""

    def __init__(self, client: NotebookClient) -> None:
        self._client = client

    def run(self, code: str) -> NotebookNode:
        """The executed cell, whatever it raised."""
        cell = nbformat.v4.new_code_cell(code)
        self._client.nb.cells.append(cell)
        return self._client.execute_cell(cell, len(self._client.nb.cells) - 1)

    def attempt(self, answer: str, check: str) -> Try:
        self.run(PUT_BACK)
        stopped = error_of(self.run(answer))
        checked = self.run(check)
        error = error_of(checked)
        return Try(
            answer,
            stopped.evalue if stopped else None,
            error.evalue if error else None,
            error.ename if error else None,
            "\n".join(error.traceback) if error else "",
            "".join(output.text for output in checked.outputs if output.output_type == "stream"),
        )


def error_of(cell: NotebookNode) -> NotebookNode | None:
    return next((output for output in cell.get("outputs", []) if output.output_type == "error"), None)


def try_all(notebook: str, folder: Path) -> Tried:
    """Run the solved copy from top to bottom; at each exercise, first everything else that has been answered.

    An assertion of the lesson itself that fails is told by the stages that run the notebooks, not here.
    """
    path = source(notebook)
    mine, solved = folder / "my_lab", folder / "solved"
    copies.bring(mine, [path])
    copies.bring_solved(solved, [path])
    given = {cell.id: cell.source for cell in nbformat.read(mine / path.name, as_version=4).cells}
    book = nbformat.read(solved / "notebooks" / path.name, as_version=4)
    known, tried = answers(notebook), Tried()
    client = NotebookClient(
        nbformat.v4.new_notebook(),
        timeout=CELL_SECONDS,
        kernel_name="python3",
        allow_errors=True,
        config=places.kernel_config(),
    )
    with contextlib.ExitStack() as stack:
        started(lambda: stack.enter_context(client.setup_kernel(cwd=str(mine), env=surroundings(folder))))
        kernel = Kernel(client)
        for cell in book.cells:
            tags = cell.metadata.get("tags", [])
            if "solution" in tags:
                name = cell.id.removesuffix("-solution")
                check = given[f"{name}-check"]
                kernel.run(KEEP)
                tried.given[name] = kernel.attempt(given[name], check)
                wrong = known.get(name, {}).get("wrong", [])
                tried.wrong[name] = [kernel.attempt(one["answer"], check) for one in wrong]
                tried.solved[name] = kernel.attempt(cell.source, check)
            elif cell.cell_type == "code" and "check" not in tags:
                error = error_of(kernel.run(cell.source))
                fine = error is None or error.ename == "AssertionError" or "raises-exception" in tags
                assert fine, f"cell {cell.id}: {error.ename}: {error.evalue}"
    return tried


def surroundings(folder: Path) -> dict[str, str]:
    """An embedded Azure of this run alone: what wrong answers leave behind disturbs nobody."""
    around = {name: value for name, value in os.environ.items() if not name.startswith(("COSMOS_", "EVENTHUB_"))}
    return {**around, **places.kernel_environment(folder), settings.DATA_DIR: str(folder / "state")}


class EachExercise:
    """The tests of one notebook's exercises; a subclass names it. One file each, so that they run side by side."""

    notebook: str

    @pytest.fixture(scope="class")
    @classmethod
    def known(cls) -> dict[str, Any]:
        return answers(cls.notebook)

    @pytest.fixture(scope="class")
    @classmethod
    def asked(cls) -> list[Exercise]:
        return exercises(nbformat.read(source(cls.notebook), as_version=4))

    @pytest.fixture(scope="class")
    @classmethod
    def tried(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
        folder = tmp_path_factory.mktemp("a reader's folder")
        try:
            yield try_all(cls.notebook, folder)
        finally:
            settings.stop_embedded(folder / "state")

    def test_two_wrong_answers_and_their_hints_are_written_down_for_each(
        self, asked: list[Exercise], known: dict[str, Any]
    ) -> None:
        few = [one.id for one in asked if len(known.get(one.id, {}).get("wrong", [])) < WRONG_ANSWERS_AT_LEAST]
        assert not few, f"answers/{self.notebook}.toml: at least {WRONG_ANSWERS_AT_LEAST} wrong answers for {few}"
        assert set(known) <= {one.id for one in asked}, f"answers/{self.notebook}.toml names an exercise there is not"
        hints = [hint for one in known.values() for hint in (one["given"], *(wrong["hint"] for wrong in one["wrong"]))]
        assert [hint for hint in hints if len(hint.split()) < WORDS_OF_A_HINT_AT_LEAST] == []

    def test_what_is_given_fails_at_the_check_with_the_intended_message(
        self, asked: list[Exercise], known: dict[str, Any], tried: Tried
    ) -> None:
        for one in asked:
            assert_refused(one, tried.given[one.id], known[one.id]["given"])

    def test_each_wrong_answer_is_refused_with_the_hint_that_fits(
        self, asked: list[Exercise], known: dict[str, Any], tried: Tried
    ) -> None:
        for one in asked:
            for answer, came_of_it in zip(known[one.id]["wrong"], tried.wrong[one.id], strict=True):
                assert_refused(one, came_of_it, answer["hint"])

    def test_the_solution_passes_after_all_these(self, asked: list[Exercise], tried: Tried) -> None:
        for one in asked:
            done = tried.solved[one.id]
            assert done.stopped is None, f"{one.id}: the solution stops: {done.stopped}"
            assert done.refused is None, f"{one.id}: the solution is refused:\n{done.refused}"
            assert done.printed.endswith(f"{one.heading}: right.\n"), done.printed

    def test_neither_a_hint_nor_the_check_holds_a_line_of_the_solution(
        self, asked: list[Exercise], tried: Tried
    ) -> None:
        for one in asked:
            refusals = [refusal.refused or "" for refusal in (tried.given[one.id], *tried.wrong[one.id])]
            ideas = [" ".join(text.partition("  think of")[2].split()) for text in refusals]  # the rest is the reader's
            told = [line for line in one.telling_lines if any(line in text for text in (one.check, *ideas))]
            assert not told, f"{one.id}: the answer can be read in the check or a hint: {told}"


def assert_refused(exercise: Exercise, came_of_it: Try, hint: str) -> None:
    about = f"{exercise.id}, answered with:\n{came_of_it.answer}\n"
    assert came_of_it.stopped is None, f"{about}stopped before the check: {came_of_it.stopped}"
    assert came_of_it.refused is not None, f"{about}was taken for right"
    assert came_of_it.kind == "CheckFailed", f"{about}failed with {came_of_it.kind}: {came_of_it.refused}"
    assert came_of_it.refused.startswith(f"{exercise.heading}: not yet."), f"{about}was told\n{came_of_it.refused}"
    assert came_of_it.shown == came_of_it.refused, f"{about}shows more than the message:\n{came_of_it.shown}"
    told = " ".join(came_of_it.refused.split())  # the message folds long lines
    assert hint in told, f"{about}should be told {hint!r}, and was told\n{came_of_it.refused}"
