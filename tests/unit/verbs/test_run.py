"""`run`, without a kernel: what it says of copies and cells."""

from __future__ import annotations

import errno
from pathlib import Path

import nbformat
import papermill
import pytest
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

from labkit.errors import LabError
from labkit.verbs import render
from labkit.verbs.run import NoKernel, execute, started


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    path = tmp_path / "01_short.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1"), new_code_cell("2")]), path)
    return path


def test_a_copy_that_cannot_be_written_is_one_sentence(notebook: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out" / notebook.name
    copy.mkdir(parents=True)
    with pytest.raises(LabError, match=r"01_short\.ipynb cannot be written: "):
        execute(notebook, copy, {})


def test_a_kernel_that_dies_at_once_leaves_no_copy_of_an_earlier_run_and_counts_no_cells_of_it(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(str(number)) for number in range(9)]), copy)

    def die(*_: object, **__: object) -> None:
        raise DeadKernelError("at once")

    monkeypatch.setattr(papermill, "execute_notebook", die)
    outcome = execute(notebook, copy, {})
    assert (outcome.cells, outcome.error) == (2, "the kernel died: at once")
    assert not copy.exists()


def did_not_start(*, hidden: bool = False) -> None:
    try:
        raise RuntimeError("Kernel died before replying to kernel_info")
    finally:
        assert not hidden


@pytest.mark.parametrize("hidden", [False, True], ids=["as papermill tells it", "as nbclient hides it"])
def test_a_kernel_that_ends_before_it_answers_is_started_once_more(hidden: bool) -> None:
    tries: list[int] = []

    def execute() -> str:
        tries.append(1)
        if len(tries) == 1:
            did_not_start(hidden=hidden)
        return "executed"

    assert started(execute) == "executed"
    with pytest.raises(NoKernel, match=r"does not start: `lab\.py doctor`"):
        started(lambda: did_not_start(hidden=hidden))


def test_what_fails_in_a_kernel_that_answered_is_not_begun_again() -> None:
    tries: list[int] = []

    def execute() -> None:
        tries.append(1)
        raise DeadKernelError("Kernel died")

    with pytest.raises(DeadKernelError):
        started(execute)
    assert tries == [1]


def test_a_disk_that_fills_is_one_sentence_and_leaves_no_half_copy(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.ipynb"

    def fill(*_: object, **__: object) -> None:
        copy.write_text('{"cells": [', encoding="utf-8")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(papermill, "execute_notebook", fill)
    with pytest.raises(LabError, match=r"copy\.ipynb cannot be written: No space left on device"):
        execute(notebook, copy, {})
    assert not copy.exists()


def test_a_render_that_finds_the_disk_full_leaves_the_notebook_as_it_was(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = notebook.read_bytes()

    def full(self: Path, *_: object, **__: object) -> None:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left on device"):
        render.replace(notebook, "{}")
    assert notebook.read_bytes() == before
    assert [path.name for path in notebook.parent.iterdir()] == [notebook.name]
