"""Provisioned throughput, enforced: how many request units each physical partition has left in this second.

Owns: the budgets. Refuses to know: charges' origin, HTTP, whether enforcing was asked for.

How: a container's request units per second are shared evenly by its physical partitions, so that a hot one is refused
while others idle. A budget fills continuously up to one second's worth; a request is let in while anything is left,
and its charge may take the budget below zero, as on Azure, where the charge is known only afterwards.

Source: learn.microsoft.com/azure/cosmos-db/nosql/troubleshoot-request-rate-too-large,
learn.microsoft.com/azure/cosmos-db/distribute-throughput-across-partitions
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from localazure.cosmos.errors import TooManyRequests


@dataclass(slots=True)
class _Budget:
    left_ru: float
    filled_at: float


@dataclass(slots=True)
class Throttle:
    """Budgets by container resource id and range id; `clock` in seconds, monotonic."""

    clock: Callable[[], float] = time.monotonic
    _budgets: dict[tuple[str, str], _Budget] = field(default_factory=dict)

    def admit(self, container_rid: str, range_id: str, ru_per_second: float) -> None:
        """Raises: `TooManyRequests` with the time after which something will be left."""
        budget = self._filled(container_rid, range_id, ru_per_second)
        if budget.left_ru <= 0:
            wait_ms = max(1.0, (1 - budget.left_ru) / ru_per_second * 1000)
            raise TooManyRequests("Request rate is large. More Request Units may be needed.", retry_after_ms=wait_ms)

    def spend(self, container_rid: str, range_id: str, ru_per_second: float, charge: float) -> None:
        self._filled(container_rid, range_id, ru_per_second).left_ru -= charge

    def forget(self) -> None:
        self._budgets.clear()

    def _filled(self, container_rid: str, range_id: str, ru_per_second: float) -> _Budget:
        now = self.clock()
        budget = self._budgets.setdefault((container_rid, range_id), _Budget(ru_per_second, now))
        budget.left_ru = min(ru_per_second, budget.left_ru + (now - budget.filled_at) * ru_per_second)
        budget.filled_at = now
        return budget
