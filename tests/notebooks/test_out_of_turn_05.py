"""Notebook 05 as somebody runs it who interrupts cells and repeats them, or runs one out of turn.

A cell that stops a worker or opens a second lab puts back what it took away when it is interrupted, prints nothing but
that interrupt, and can be run again. The kernel interrupts itself, so where in the cell it does so is the same on every
machine.
"""

from __future__ import annotations

from collections.abc import Mapping

import nbformat
import pytest

from tests.notebooks.twice import errors, executed

HOOK = """
import signal

def interrupting(call, when):
    to_come = [when]
    def called(*given, **named):
        if to_come and to_come[0](*given):
            to_come.clear()
            signal.raise_signal(signal.SIGINT)
        return call(*given, **named)
    return called
"""
WHILE_THE_RELAY_RESTS = "monitor.wait_until = interrupting(monitor.wait_until, lambda *_: not relay.running)"
INTERRUPTED = {
    "s4-burst": WHILE_THE_RELAY_RESTS,
    "s7-run": "trial = interrupting(trial, lambda used, *_: used is not lab)",
    "s8-fire": WHILE_THE_RELAY_RESTS,
    "s9-throttle": "monitor.wait_until = interrupting(monitor.wait_until, lambda *_: 'fault' in globals())",
}
"""Cell -> what interrupts it: the relay is stopped, the last trial's workers run in a lab of their own, the hub is
throttled."""
WORKING = "assert relay.running and projector.running"


def out_of_turn(cell: nbformat.NotebookNode, lesson: Mapping[str, str]) -> list[nbformat.NotebookNode]:
    def made(source: str, what: str) -> nbformat.NotebookNode:
        return nbformat.v4.new_code_cell(source, id=f"{cell.id}-{what}")

    if cell.id in INTERRUPTED:
        hook = made(HOOK + INTERRUPTED[cell.id], "hook")
        return [hook, made(cell.source, "interrupted"), made(WORKING, "working"), cell]
    if cell.id == "s3-asserts":
        return [cell, made(lesson["s3-morning"], "morning-again")]
    return [cell]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[nbformat.NotebookNode]:
    return executed("05", tmp_path_factory.mktemp("out of turn"), out_of_turn)


def test_an_interrupted_cell_leaves_nothing_stopped_and_can_be_run_again(cells: list[nbformat.NotebookNode]) -> None:
    failed = {cell.id: error.ename for cell in cells for error in errors(cell)}
    out_of_turn = {"s3-asserts-morning-again": "AssertionError"}
    assert failed == out_of_turn | {f"{cell}-interrupted": "KeyboardInterrupt" for cell in INTERRUPTED}


def test_an_interrupt_prints_no_traceback_of_workers_whose_lab_is_closed(cells: list[nbformat.NotebookNode]) -> None:
    assert {cell.id: out.text for cell in cells for out in cell.outputs if out.get("name") == "stderr"} == {}


def test_the_morning_does_not_wait_for_a_projector_that_works_again(cells: list[nbformat.NotebookNode]) -> None:
    (again,) = (error for cell in cells if cell.id == "s3-asserts-morning-again" for error in errors(cell))
    assert again.evalue.startswith("the projector works again: run the cell above")
