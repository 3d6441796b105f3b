"""JupyterLab asks for all cells at once, and the kernel drops those behind a check that refuses: all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from labkit.verbs.run import started

ROUNDS, CELLS = 10, 60
BUSY = """
from pathlib import Path
from labkit import checks
while not Path({all_are_sent!r}).exists():
    pass
"""
REFUSED = """
with checks.exercise(1, "Stops") as check:
    check.that(False, "not yet")
"""


@pytest.fixture
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = started(lambda: start_new_kernel(kernel_name="python3"))
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def statuses(kernel: BlockingKernelClient, all_are_sent: Path, cells: list[str]) -> list[str]:
    """What each cell's request was answered with, all of them sent before the first one, which waits for it, ends.

    A kernel that was slow to start was asked more than once who it is, and those answers come in between.
    """
    asked = [kernel.execute(cell) for cell in [BUSY.format(all_are_sent=str(all_are_sent)), *cells]]
    all_are_sent.touch()
    answers: dict[str, str] = {}
    while not answers.keys() >= set(asked):
        reply: dict[str, Any] = kernel.get_shell_msg(timeout=60)
        answers[reply["parent_header"]["msg_id"]] = reply["content"]["status"]
    return [answers[one] for one in asked]


def test_no_cell_behind_a_check_that_refuses_is_run(kernel: BlockingKernelClient, tmp_path: Path) -> None:
    assert statuses(kernel, tmp_path / "first", []) == ["ok"]
    for number in range(ROUNDS):
        cells = [REFUSED, *["1"] * CELLS]
        assert statuses(kernel, tmp_path / str(number), cells) == ["ok", "error", *["aborted"] * CELLS]
