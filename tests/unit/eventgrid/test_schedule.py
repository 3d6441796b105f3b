"""When Event Grid tries again: days pass without waiting."""

from __future__ import annotations

from typing import Any

import pytest

from localazure.eventgrid.schedule import STEPS_SECONDS, Again, GivenUp, Policy, verdict


def test_the_waits_are_those_of_the_page_until_the_day_is_over() -> None:
    waits, age, attempts = [], 0.0, 0
    while isinstance(found := verdict(500, attempts := attempts + 1, age, Policy()), Again):
        waits.append(found.after_seconds)
        age += found.after_seconds
    assert waits == list(STEPS_SECONDS)
    assert found == GivenUp("TimeToLiveExceeded")


@pytest.mark.parametrize(("status", "wait"), [(500, 10), (None, 10), (404, 10), (429, 10), (503, 30), (408, 120)])
def test_the_first_wait_depends_on_the_answer(status: int | None, wait: float) -> None:
    assert verdict(status, 1, 0, Policy()) == Again(wait)


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_an_answer_that_no_other_try_changes_ends_it_at_once(status: int) -> None:
    found = verdict(status, 1, 0, Policy())
    assert isinstance(found, GivenUp)
    assert found.reason.startswith("UndeliverableDueToHttp")


def test_the_last_attempt_is_the_last() -> None:
    assert isinstance(verdict(500, 2, 0, Policy(max_attempts=3)), Again)
    assert verdict(500, 3, 0, Policy(max_attempts=3)) == GivenUp("MaxDeliveryAttemptsExceeded")


def test_jitter_stretches_by_a_tenth_at_most_and_the_scale_shortens_waits_and_life() -> None:
    assert verdict(500, 1, 0, Policy(), jitter=1.0) == Again(pytest.approx(11))
    assert verdict(500, 2, 0.1, Policy(time_scale=0.01)) == Again(pytest.approx(0.3))
    assert verdict(500, 2, 0.4, Policy(ttl_seconds=60, time_scale=0.01)) == GivenUp("TimeToLiveExceeded")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": 31},
        {"ttl_seconds": 59},
        {"ttl_seconds": 86_401},
        {"max_events_per_batch": 0},
        {"max_events_per_batch": 5_001},
        {"time_scale": 0},
        {"time_scale": 2},
    ],
)
def test_a_policy_that_azure_does_not_take_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Policy(**wrong)
