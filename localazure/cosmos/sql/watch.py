"""How long one run of a query may take, and whether anybody still waits for it.

Owns: the end of a run, and looking at the clock. Refuses to know: what is run, and what becomes of a run that was cut.

How: whatever yields documents or items of arrays calls `tick` for each, and a regular expression is given no more time
than is left. So no join, subquery or pattern holds its thread for longer than it may.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from localazure.cosmos.sql.errors import OutOfTime


class Watch:
    """Runs from its making for `seconds`, or until `is_cancelled` says so. For one run, in one thread."""

    def __init__(self, seconds: float = math.inf, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        self._started = time.monotonic()
        self._end = self._started + seconds
        self.is_cancelled = is_cancelled

    def tick(self) -> None:
        """Raises: OutOfTime."""
        if time.monotonic() > self._end or self.is_cancelled():
            raise OutOfTime

    def left(self) -> float:
        """Seconds; negative when the time is over."""
        return self._end - time.monotonic()

    def shorten(self, seconds: float) -> None:
        """To so many seconds since the beginning, if that is sooner."""
        self._end = min(self._end, self._started + seconds)
