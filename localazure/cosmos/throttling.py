"""Provisioned throughput, enforced: how many request units each physical partition has left in this second.

Owns: the budgets. Refuses to know: charges' origin, HTTP, whether enforcing was asked for.

How: request units per second are shared evenly by physical partitions, so that a hot one is refused while others idle.
Containers that share their database's throughput share its physical partitions too. A budget fills continuously up to
one second's worth; a request is let in while anything is left, and its charge may take the budget below zero, as on
Azure, where the charge is known only afterwards.

Source: learn.microsoft.com/azure/cosmos-db/nosql/troubleshoot-request-rate-too-large,
learn.microsoft.com/azure/cosmos-db/distribute-throughput-across-partitions
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from localazure.cosmos.errors import TooManyRequests


@dataclass(slots=True)
class _Budget:
    left_ru: float
    filled_at: float


@dataclass(frozen=True, slots=True)
class Budgets:
    """Those of one owner's physical partitions, each of `ru_per_second`."""

    ru_per_second: float
    _left: dict[str, _Budget]
    _clock: Callable[[], float]

    def admit(self, range_ids: Sequence[str]) -> None:
        """Raises: `TooManyRequests` with the time after which something will be left."""
        for range_id in range_ids:
            left_ru = self._filled(range_id).left_ru
            if left_ru <= 0:
                wait_ms = max(1.0, (1 - left_ru) / self.ru_per_second * 1000)
                raise TooManyRequests(
                    "Request rate is large. More Request Units may be needed.", retry_after_ms=wait_ms
                )

    def spend(self, range_ids: Sequence[str], charge: float) -> None:
        """In equal parts."""
        for range_id in range_ids:
            self._filled(range_id).left_ru -= charge / len(range_ids)

    def _filled(self, range_id: str) -> _Budget:
        now = self._clock()
        budget = self._left.setdefault(range_id, _Budget(self.ru_per_second, now))
        budget.left_ru = min(self.ru_per_second, budget.left_ru + (now - budget.filled_at) * self.ru_per_second)
        budget.filled_at = now
        return budget


@dataclass(slots=True)
class Throttle:
    """The budgets of everything that has throughput; `clock` in seconds, monotonic."""

    clock: Callable[[], float]
    _budgets: dict[str, dict[str, _Budget]] = field(default_factory=dict)

    def of(self, owner: str, ru_per_second: float) -> Budgets:
        """`owner`: the resource id of a container, or of a database whose containers share its throughput."""
        return Budgets(ru_per_second, self._budgets.setdefault(owner, {}), self.clock)

    def forget(self) -> None:
        self._budgets.clear()
