"""When an event is tried again, and when it is given up: pure.

Source: learn.microsoft.com/azure/event-grid/delivery-and-retry (schedule; codes that are not tried again; waits by
code; 30 attempts and 24 hours by default; 10 s, 30 s, 1, 5, 10, 30 minutes, 1, 3, 6 hours, then every 12)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TAKEN = frozenset({200, 201, 202, 203, 204})
STEPS_SECONDS = (10.0, 30.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0, 10_800.0, 21_600.0, 43_200.0)
AT_LEAST_SECONDS: Mapping[int, float] = {408: 120.0, 503: 30.0}
HOPELESS: Mapping[int, str] = {
    400: "UndeliverableDueToHttpBadRequest",
    401: "UndeliverableDueToHttpUnauthorized",
    403: "UndeliverableDueToHttpForbidden",
    413: "UndeliverableDueToHttpRequestEntityTooLarge",
}
"""Answers of a webhook that trying again does not change -> the reason told with the dead letter."""
MOST_ATTEMPTS = 30
LONGEST_SECONDS = 24 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class Policy:
    """How one subscription is served. `time_scale` shortens waits and the time to live: the lab's own, not Azure's.

    Raises: `ValueError` for what Azure does not take.
    """

    max_attempts: int = MOST_ATTEMPTS
    ttl_seconds: float = LONGEST_SECONDS
    dead_letter: bool = False
    max_events_per_batch: int = 1
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= MOST_ATTEMPTS:
            raise ValueError(f"max_attempts is 1 to {MOST_ATTEMPTS}")
        if not 60 <= self.ttl_seconds <= LONGEST_SECONDS:
            raise ValueError(f"ttl_seconds is 60 to {LONGEST_SECONDS:.0f}")
        if not 1 <= self.max_events_per_batch <= 5_000:
            raise ValueError("max_events_per_batch is 1 to 5000")
        if not 0 < self.time_scale <= 1:
            raise ValueError("time_scale is above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Again:
    after_seconds: float


@dataclass(frozen=True, slots=True)
class GivenUp:
    reason: str


def verdict(
    status: int | None, attempts: int, age_seconds: float, policy: Policy, jitter: float = 0.0
) -> Again | GivenUp:
    """What follows after the `attempts`-th try was answered with `status` (None: not at all).

    `jitter` (0 to 1) stretches the wait by up to a tenth. Ages and waits are real seconds, scaled by the policy.
    """
    if status is not None and status in HOPELESS:
        return GivenUp(HOPELESS[status])
    if attempts >= policy.max_attempts:
        return GivenUp("MaxDeliveryAttemptsExceeded")
    step = STEPS_SECONDS[min(attempts, len(STEPS_SECONDS)) - 1]
    wait = max(step, AT_LEAST_SECONDS.get(status or 0, 0.0)) * (1 + jitter / 10) * policy.time_scale
    if age_seconds + wait > policy.ttl_seconds * policy.time_scale:
        return GivenUp("TimeToLiveExceeded")
    return Again(wait)
