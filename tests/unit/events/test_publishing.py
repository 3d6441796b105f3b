"""Batches by hub partition, made one ahead; and how long a relay waits after which failure."""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from azure.core.exceptions import ClientAuthenticationError, IncompleteReadError, ServiceRequestError
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub import EventDataBatch, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, ConnectError, EventHubError

from labkit.events import ids, relay
from labkit.events.envelope import EventEnvelope, to_document
from labkit.events.leases import Lease, Page
from labkit.events.publishing import Publisher, by_hub_partition, one_ahead
from labkit.events.relay import LONGEST_PAUSE_SECONDS, Relay, is_throttling, may_pass, pause_seconds


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
    assert second_made.wait(60)
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
    in_use = one_ahead(iter(range(100)))
    assert next(in_use) == 0
    in_use.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


class Hub:
    """As much of a producer as a publisher uses; what happened, in order. `next_made`: a second batch was begun."""

    def __init__(self, refused: int | None = None) -> None:
        self.log: list[str] = []
        self.next_made = threading.Event()
        self._made = self._sent = 0
        self._refused = refused

    def get_partition_ids(self) -> list[str]:
        return ["0"]

    def create_batch(self, partition_id: str) -> EventDataBatch:
        self._made += 1
        if self._made == 2:
            self.next_made.set()
        return EventDataBatch(partition_id=partition_id)

    def send_batch(self, batch: EventDataBatch) -> None:
        self._sent += 1
        if self._sent == self._refused:
            raise ConnectError("refused")
        assert self.next_made.wait(60), "the next page's batch is not made while this one is on its way"
        self.log.append(f"{len(batch)} sent")


def page(number: int) -> tuple[list[dict[str, Any]], str]:
    """A page of two events, a state document, and its continuation."""
    events = [to_document(envelope(f"order-20260105-{number}", version)) for version in (1, 2)]
    return [*events, {"id": "state", "kind": "state"}], f"page {number}"


def envelope(aggregate_id: str, version: int) -> EventEnvelope:
    names = ids.event_id(aggregate_id, version), "OrderPaid", aggregate_id, "Order"
    return EventEnvelope(*names, version, datetime(2026, 1, 5, tzinfo=UTC), "story", "cause", {}, {}, 1)


def test_while_the_last_batch_of_a_page_is_on_its_way_the_next_page_is_made_ready() -> None:
    hub, acknowledged = Hub(), set[str]()
    publisher = Publisher(cast(EventHubProducerClient, hub))
    for continuation in publisher.publish(iter([page(1), page(2), ([], "page 3")]), acknowledged):
        hub.log.append(f"{continuation} of {len(acknowledged)}")
    assert hub.log == ["2 sent", "page 1 of 2", "2 sent", "page 2 of 4", "page 3 of 4"]
    assert publisher.published_events == 4


def test_a_page_whose_send_failed_has_no_continuation_and_nothing_leaves_behind_it() -> None:
    hub, acknowledged = Hub(refused=2), set[str]()
    publisher = Publisher(cast(EventHubProducerClient, hub))
    published = publisher.publish(iter([page(1), page(2), page(3)]), acknowledged)
    assert next(published) == "page 1"
    with pytest.raises(ConnectError):
        next(published)
    assert hub.log == ["2 sent"]
    assert acknowledged == {one["eventId"] for one in page(1)[0][:2]}
    again = publisher.publish(iter([page(1), page(2)]), acknowledged)
    assert list(again) == ["page 1", "page 2"]
    assert hub.log == ["2 sent", "2 sent"], "what was acknowledged is left out"


def test_a_publisher_that_is_told_of_the_hub_partitions_does_not_ask_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    monkeypatch.setattr(hub, "get_partition_ids", lambda: pytest.fail("it asked"))
    publisher = Publisher(cast(EventHubProducerClient, hub), ["0", "1"])
    assert list(publisher.publish(iter([page(1), page(2)]), set())) == ["page 1", "page 2"]
    assert publisher.published_events == 4


class Range:
    """One feed range's pages and saved continuations, and a relay that publishes it; the order in which it happened."""

    def __init__(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[int] = []
        self.saved: list[str] = []
        nobody: Any = None
        self.relay = Relay(nobody, cast(EventHubProducerClient, hub), nobody)
        self.lease = Lease("continuation-0", {})
        monkeypatch.setattr(relay, "pages", lambda *_: self._pages())
        monkeypatch.setattr(self.relay._leases, "save", self._save)

    def drain(self, until: float) -> None:
        self.relay._drain(self.lease, until)

    def _pages(self) -> Iterator[Page]:
        for number in range(9):
            self.read.append(number)
            yield page(number)

    def _save(self, _: Lease, continuation: str) -> bool:
        self.saved.append(continuation)
        return True


def ahead() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_a_turn_that_fails_leaves_no_thread_that_reads_or_makes_batches_beside_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed = Range(Hub(refused=1), monkeypatch)
    with pytest.raises(ConnectError) as kept:  # whoever keeps the error keeps its frames, and the generators in them
        feed.drain(math.inf)
    assert kept.tb is not None
    assert ahead() == []
    assert feed.saved == []


def test_a_lease_that_was_lost_leaves_no_thread_either(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Range(Hub(), monkeypatch)
    monkeypatch.setattr(feed.relay._leases, "save", lambda *_: False)
    gc.disable()
    try:
        feed.drain(math.inf)
        assert ahead() == []
    finally:
        gc.enable()


def test_a_turn_whose_time_is_over_reads_no_page_that_it_does_not_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    hub.next_made.set()
    feed = Range(hub, monkeypatch)
    feed.drain(until=-math.inf)
    assert (feed.read, feed.saved) == ([0], ["page 0"])
    feed.relay._ending.set()
    feed.drain(until=math.inf)
    assert (feed.read, feed.saved) == ([0, 0], ["page 0", "page 0"])
    feed.relay._ending.clear()
    feed.drain(until=math.inf)
    assert feed.saved[2:] == [f"page {number}" for number in range(9)]


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
        (IncompleteReadError("0 bytes read, 529 more expected"), True, False),
        (ClientAuthenticationError("no token to ask with"), False, False),
        (ValueError("a mistake"), False, False),
    ],
)
def test_what_may_pass_is_told_from_what_lasts(error: Exception, passes: bool, throttles: bool) -> None:
    assert (may_pass(error), is_throttling(error)) == (passes, throttles)
