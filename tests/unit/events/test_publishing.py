"""Batches by hub partition, made one ahead; and how long a relay waits after which failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub.exceptions import AuthenticationError, ConnectError, EventHubError

from labkit.events.publishing import by_hub_partition, one_ahead
from labkit.events.relay import LONGEST_PAUSE_SECONDS, is_throttling, may_pass, pause_seconds


def test_one_ahead_hands_out_the_same_things_in_the_same_order() -> None:
    for count in (0, 1, 2, 5):
        assert list(one_ahead(iter(range(count)))) == list(range(count))


def test_the_next_one_is_made_while_the_one_before_it_is_in_use() -> None:
    second_made = threading.Event()

    def made() -> Iterator[int]:
        yield 1
        second_made.set()
        yield 2

    in_use = one_ahead(made())
    assert next(in_use) == 1
    assert second_made.wait(10)
    assert next(in_use) == 2


def test_what_goes_wrong_in_the_making_is_raised_where_it_is_used() -> None:
    def made() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    in_use = one_ahead(made())
    assert next(in_use) == 1
    with pytest.raises(LookupError, match="no more"):
        next(in_use)


def test_who_stops_early_leaves_no_thread_behind() -> None:
    in_use: Iterator[int] = one_ahead(iter(range(100)))
    assert next(in_use) == 0
    in_use.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_events_of_one_aggregate_stay_together_in_order() -> None:
    events = [{"aggregateId": f"order-{number % 3}", "version": number} for number in range(9)]
    groups = by_hub_partition(events, ["0", "1"])
    assert sorted(event["version"] for group in groups.values() for event in group) == list(range(9))
    for aggregate in ("order-0", "order-1", "order-2"):
        homes = [name for name, group in groups.items() if any(one["aggregateId"] == aggregate for one in group)]
        assert len(homes) == 1
        versions = [one["version"] for one in groups[homes[0]] if one["aggregateId"] == aggregate]
        assert versions == sorted(versions)


def cosmos(status: int, **headers: str) -> CosmosHttpResponseError:
    error = CosmosHttpResponseError(status_code=status, message="no")
    error.headers = headers
    return error


def busy() -> EventHubError:
    error = EventHubError("busy")
    error.error = "server-busy"
    return error


def test_pauses_double_to_a_bound_and_are_never_shorter_than_the_service_asks_for() -> None:
    pauses = [pause_seconds(cosmos(500), tries) for tries in range(1, 4)]
    assert pauses == [0.1, 0.2, 0.4]
    assert pause_seconds(cosmos(500), 10_000) == LONGEST_PAUSE_SECONDS
    assert pause_seconds(cosmos(429, **{"x-ms-retry-after-ms": "2500"}), 1) == 2.5
    assert pause_seconds(cosmos(429, **{"x-ms-retry-after-ms": "9000"}), 50) == 9.0
    assert pause_seconds(ServiceRequestError("nobody"), 1) == 0.1


@pytest.mark.parametrize(
    ("error", "passes", "throttles"),
    [
        (cosmos(429), True, True),
        (cosmos(503), True, False),
        (cosmos(403), False, False),
        (busy(), True, True),
        (ConnectError("gone"), True, False),
        (AuthenticationError("no right"), False, False),
        (ServiceRequestError("nobody"), True, False),
        (ValueError("a mistake"), False, False),
    ],
)
def test_what_may_pass_is_told_from_what_lasts(error: Exception, passes: bool, throttles: bool) -> None:
    assert (may_pass(error), is_throttling(error)) == (passes, throttles)
