"""Time that can be replaced: aware UTC always.

Notebooks use `SteppingClock`, so that the same cells give the same timestamps on every machine; the APIs use
`WallClock`. Lag is measured with wall time only, and not by these.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol

LESSONS_START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""The moment at which every notebook begins, a Monday morning."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, aware and in UTC."""
        ...


class SteppingClock:
    """Each call of `now` is `step` later than the one before; the first gives `start`. Threads may share it."""

    def __init__(self, start: datetime = LESSONS_START, step: timedelta = timedelta(seconds=1)) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware time; give a tzinfo, best UTC")
        self._next = start.astimezone(UTC)
        self._step = step
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            moment = self._next
            self._next += self._step
            return moment

    def advance(self, by: timedelta) -> None:
        """Let `by` pass at once, such as a night. Raises: `ValueError` for time that runs backwards."""
        if by < timedelta(0):
            raise ValueError("time does not run backwards")
        with self._lock:
            self._next += by


class WallClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)
