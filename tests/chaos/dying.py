"""`python -m tests.chaos.dying N VERB ...`: a verb of `labkit` in a process that kills itself before its N-th step.

A step is what changes something that outlives the process: a table's commit, a document of the lane, the pointer, a
folder. 0 lets it live.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from labkit.__main__ import main
from labkit.projections import pointer
from labkit.projections.parking import ParkingLane
from labkit.projections.read_store import ReadStore

STEPS: tuple[tuple[Any, str], ...] = (
    (ReadStore, "_make"),
    (ReadStore, "_commit"),
    (ParkingLane, "park"),
    (ParkingLane, "keep"),
    (ParkingLane, "release"),
    (pointer, "write"),
    (pointer, "delete"),
)


def counted(step: Callable[..., Any], counter: itertools.count[int], last: int) -> Callable[..., Any]:
    def dying(*args: Any, **options: Any) -> Any:
        if next(counter) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args, **options)

    return dying


if __name__ == "__main__":
    last = int(sys.argv.pop(1))
    counter = itertools.count(1)
    for owner, name in STEPS:
        setattr(owner, name, counted(getattr(owner, name), counter, last))
    sys.exit(main())
