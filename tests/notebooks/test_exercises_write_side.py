"""The exercises of notebooks 01 and 02 that need no Azure: what is given fails with a hint, the solution passes.

For each, typical wrong answers are refused with the hint that fits them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

from labkit.events.partition_key import partition_of
from labkit.write_model import orders as domain

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
ORDER = "order-20260105-{:04}"


@functools.cache
def cells(notebook: str) -> Mapping[str, str]:
    return {cell.id: cell.source for cell in nbformat.read(NOTEBOOKS / notebook, as_version=4).cells}


def write_model_names() -> dict[str, Any]:
    return {**vars(domain), "Decimal": Decimal, "datetime": datetime, "first": ORDER.format(1)}


def event_names() -> dict[str, Any]:
    ids = ("0", "1", "2", "3")
    documents = [
        {"eventId": f"event-{number}-{version}", "aggregateId": ORDER.format(number), "version": version}
        for number in range(4)
        for version in (1, 2, 3)
    ]
    return {
        "dataclass": dataclass,
        "partition_of": partition_of,
        "documents": documents,
        "orders": [ORDER.format(number) for number in range(4)],
        "partitions": len(ids),
        "lab": SimpleNamespace(partition_ids=ids),
    }


def check(notebook: str, exercise: str, answer: str, names: dict[str, Any]) -> None:
    """Run an answer, then the exercise's check, as a learner would. Raises: `AssertionError` with the check's hint."""
    for source in (answer, cells(notebook)[f"{exercise}-check"]):
        exec(compile(source, f"{notebook}, {exercise}", "exec", dont_inherit=True), names)


EXERCISES = [
    ("01_write_model.ipynb", "exercise-1", write_model_names),
    ("02_events.ipynb", "exercise-1", event_names),
    ("02_events.ipynb", "exercise-2", event_names),
]


@pytest.mark.parametrize(("notebook", "exercise", "names"), EXERCISES)
def test_the_solution_passes(notebook: str, exercise: str, names: Any) -> None:
    check(notebook, exercise, cells(notebook)[f"{exercise}-solution"], names())


@pytest.mark.parametrize(("notebook", "exercise", "names"), EXERCISES)
def test_what_is_given_fails_at_the_check_and_no_hint_prints_the_answer(
    notebook: str, exercise: str, names: Any
) -> None:
    with pytest.raises(AssertionError, match=r"\w+") as refused:
        check(notebook, exercise, cells(notebook)[exercise], names())
    answer_lines = set(cells(notebook)[f"{exercise}-solution"].split("\n")) - set(cells(notebook)[exercise].split("\n"))
    assert not any(line.strip() in str(refused.value) for line in answer_lines if line.strip())


WRONG = [
    (
        "01_write_model.ipynb",
        "def decide_with_limit(state, command, now, limit=Decimal('100.00')):\n"
        "    outcome = decide(state, command, now)\n"
        "    if isinstance(outcome, OrderCreated) and outcome.total > limit:\n"
        "        return Refusal(RefusalCode.INVALID_ITEMS, 'too dear')\n"
        "    return outcome\n",
        "an order can still grow",
    ),
    (
        "01_write_model.ipynb",
        "def decide_with_limit(state, command, now, limit=Decimal('100.00')):\n"
        "    outcome = decide(state, command, now)\n"
        "    if getattr(outcome, 'total', 0) >= limit:\n"
        "        return Refusal(RefusalCode.INVALID_ITEMS, 'too dear')\n"
        "    return outcome\n",
        "100.00 is not above the limit",
    ),
    (
        "02_events.ipynb",
        "def each_once(arrived):\n    return list({one.sequence_number: one for one in arrived}.values())\n",
        "a sequence number is new for every copy",
    ),
    (
        "02_events.ipynb",
        "def each_once(arrived):\n    return list({one.properties['aggregateId']: one for one in arrived}.values())\n",
        "events are missing",
    ),
    (
        "02_events.ipynb",
        "def each_once(arrived):\n    return list({one.properties['eventId']: one for one in arrived}.values())\n",
        "keep the first copy",
    ),
]


@pytest.mark.parametrize(("notebook", "answer", "hint"), WRONG)
def test_a_typical_wrong_answer_to_the_first_exercise_gets_the_hint_that_fits(
    notebook: str, answer: str, hint: str
) -> None:
    names = write_model_names() if notebook.startswith("01") else event_names()
    with pytest.raises(AssertionError, match=hint):
        check(notebook, "exercise-1", answer, names)


def test_everything_in_one_partition_is_no_answer_to_the_second_exercise_of_notebook_02() -> None:
    answer = "def grouped(events, partition_ids):\n    return {partition_ids[0]: list(events)}\n"
    with pytest.raises(AssertionError, match="wastes all the others"):
        check("02_events.ipynb", "exercise-2", answer, event_names())
