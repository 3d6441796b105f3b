"""How long one run of a query may take, and whether anybody still waits for it.

Owns: the end of a run, and looking at the clock. Refuses to know: what is run, and what becomes of a run that was cut.

How: whatever yields documents or items of arrays calls `tick` for each, which looks at the clock at every sixteenth:
a look costs as much as a comparison does. A regular expression looks before each match, and is given no more time than
is left. So no join, subquery or pattern holds its thread for longer than it may.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from localazure.cosmos.sql.errors import OutOfTime

TICKS_TO_A_LOOK: int = 16


class Watch:
    """Runs from its making for `seconds`, or until `is_cancelled` says so. For one run, in one thread."""

    def __init__(self, seconds: float = math.inf, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        self._started = time.monotonic()
        self._end = self._started + seconds
        self._ticks = 0
        self.is_cancelled = is_cancelled

    def tick(self) -> None:
        """Raises: OutOfTime."""
        self._ticks -= 1
        if self._ticks < 0:
            self._ticks = TICKS_TO_A_LOOK - 1
            self.look()

    def look(self) -> None:
        """At the clock. Raises: OutOfTime."""
        if time.monotonic() > self._end or self.is_cancelled():
            raise OutOfTime

    def left(self) -> float:
        """Seconds; negative when the time is over."""
        return self._end - time.monotonic()

    def shorten(self, seconds: float) -> None:
        """To so many seconds since the beginning, if that is sooner; the next tick looks."""
        self._end = min(self._end, self._started + seconds)
        self._ticks = 0
