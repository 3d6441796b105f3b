"""The relay: from the outbox in Cosmos DB to Event Hubs, by the change feed.

One round reads each feed range of `write-model` from its continuation to its end, page by page. Of a page it takes the
event documents, groups them by hub partition (the hash of the aggregate id, so that many aggregates share one batch and
those of one aggregate stay in order), sends them by size, and saves the continuation in `relay-state` only after every
batch of the page has been acknowledged. A crash anywhere therefore loses nothing and may send a page again: the same
event ids under new sequence numbers. Whoever reads must tell them apart; the relay does not pretend to.

The body is the event document's envelope as it was written. The message's properties repeat what names the event, so
that a body nobody can decode still has a name.

Known gap: one relay per write model; sharing its feed ranges between several is not supported yet.
Source: learn.microsoft.com/azure/architecture/databases/guide/transactional-out-box-cosmos
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError
from azure.eventhub import EventData, EventDataBatch, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, EventHubError

from labkit.errors import LabError, NotYet
from labkit.events import ids
from labkit.events.envelope import as_written
from labkit.events.partition_key import partition_of

log = logging.getLogger(__name__)

PAGE_DOCUMENTS = 1_000
POLL_SECONDS = 0.05
BEAT_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0
FAILURES_IN_A_ROW = 10
PASSING_STATUS = frozenset({408, 410, 429, 449, 500, 503})
"""Answers of Cosmos DB that a later try can change."""


class EventTooLarge(LabError):
    """One event is more than the hub takes, so none behind it can be published either. The message names it."""

    def __init__(self, document: Mapping[str, Any], limit_bytes: int) -> None:
        token = ids.token(document["aggregateId"], document["version"])
        size = len(as_written(document))
        super().__init__(
            f"{document['eventType']} {document['eventId']} of {token} has {size} bytes, and a hub's batch "
            f"holds {limit_bytes} with its properties; the relay stays before it"
        )


@dataclass(slots=True)
class FeedRange:
    """One part of the change feed, and how far it has been published."""

    state_id: str
    feed_range: Mapping[str, Any]
    continuation: str | None


class Relay:
    """Publishes what the outbox holds. `start` and `stop` run it on a thread; `run_once` makes one round here.

    The clients behind `write_model` and `producer` must be the relay's own: the SDK keeps the newest continuation on
    the Cosmos client, and promises no thread safety for the producer.
    """

    def __init__(
        self,
        write_model: ContainerProxy,
        producer: EventHubProducerClient,
        state: ContainerProxy,
        *,
        page_documents: int = PAGE_DOCUMENTS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self.error: BaseException | None = None
        """What ended the thread, if anything did."""
        self.published_events = 0
        self.batches_sent = 0
        self.failures = 0
        """Rounds that failed and were tried again."""
        self._write_model = write_model
        self._producer = producer
        self._state = state
        self._page_documents = page_documents
        self._poll_seconds = poll_seconds
        self._partition_ids: list[str] = []
        self._ranges: list[FeedRange] | None = None
        self._stopping = threading.Event()
        self._reading = threading.Lock()
        self._progress = threading.Condition()
        self._rounds_begun = 0
        self._rounds_under_way = 0
        self._whole_round: int | None = None
        self._thread: threading.Thread | None = None

    def run_once(self) -> int:
        """Publish all that was committed before the call; the number of events sent.

        Raises: the SDK's errors. Nothing is lost then: the next round begins at the last continuation saved.
        """
        with self._progress:
            self._rounds_begun += 1
            self._rounds_under_way += 1
            this_round = self._rounds_begun
        whole = False
        try:
            if self._ranges is None:
                self._ranges = self._load_ranges()
            sent = sum(self._drain(feed) for feed in self._ranges)
            whole = not self._stopping.is_set()
        except BaseException:
            self._ranges = None
            raise
        finally:
            with self._progress:
                self._rounds_under_way -= 1
                self._whole_round = this_round if whole else self._whole_round
                self._progress.notify_all()
        return sent

    def start(self) -> None:
        """Make rounds on a thread until `stop`, backing off when a round fails. Raises: `RuntimeError` if started."""
        if self._thread is not None:
            raise RuntimeError("this relay runs already")
        self.error = None
        self._thread = threading.Thread(target=self._work, name="relay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the page at hand. Stopping a relay that does not run is fine."""
        if self._thread is None:
            return
        self._stopping.set()
        self._thread.join()
        self._stopping.clear()
        with self._progress:
            self._thread = None
            self._progress.notify_all()

    def wait_until_published(self, token: str, timeout_seconds: float) -> None:
        """Return once this version and all before it are in Event Hubs, acknowledged.

        Published means: a round that began after the event was committed has reached the end of the feed.
        Raises: the worker's error; `NotYet` after `timeout_seconds`, or at once if there is no such event or the relay
        is not running.
        """
        deadline = time.monotonic() + timeout_seconds
        self._must_exist(token)
        with self._progress:
            needed = self._rounds_begun + 1
            while self._whole_round is None or self._whole_round < needed:
                if self.error is not None:
                    raise self.error
                if self._thread is None and not self._rounds_under_way:
                    raise NotYet(f"{token} may wait for long: the relay is not running; start it, or call run_once")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NotYet(f"{token} was not published within {timeout_seconds} seconds")
                self._progress.wait(left)

    def _must_exist(self, token: str) -> None:
        aggregate_id, version = ids.parse_token(token)
        try:
            with self._reading:
                self._write_model.read_item(ids.event_id(aggregate_id, version), partition_key=aggregate_id)
        except CosmosResourceNotFoundError:
            raise NotYet(f"{token} is not in the outbox: nothing with that version has been committed") from None

    def _drain(self, feed: FeedRange) -> int:
        """Publish one feed range to its end, or to the end of the page at hand when the relay is stopping."""
        sent = 0
        for documents, continuation in self._pages(feed):
            sent += self._publish(documents)
            self._save(feed, continuation)
            if self._stopping.is_set():
                break
        return sent

    def _pages(self, feed: FeedRange) -> Iterator[tuple[list[dict[str, Any]], str]]:
        """The pages from the continuation to the end of the feed, each with the continuation after it."""
        where: dict[str, Any] = {"continuation": feed.continuation}
        if feed.continuation is None:
            where = {"feed_range": feed.feed_range, "start_time": "Beginning"}
        changes = self._write_model.query_items_change_feed(max_item_count=self._page_documents, **where)
        pages: Any = changes.by_page()
        while True:
            with self._reading:
                page = next(pages, None)
                if page is None:
                    return
                documents, continuation = list(page), pages.continuation_token
            yield documents, continuation

    def _publish(self, documents: Iterable[Mapping[str, Any]]) -> int:
        """Send the events among these documents; all of them are acknowledged on return. Raises: `EventTooLarge`."""
        groups = by_hub_partition((d for d in documents if d.get("kind") == "event"), self._hub_partitions())
        for partition_id, events in sorted(groups.items()):
            for batch in self._batches(partition_id, events):
                self._producer.send_batch(batch)
                self.batches_sent += 1
                self.published_events += len(batch)
        return sum(map(len, groups.values()))

    def _batches(self, partition_id: str, events: Iterable[Mapping[str, Any]]) -> Iterator[EventDataBatch]:
        """As few batches as the hub's size limit allows, in order. Raises: `EventTooLarge`."""
        batch = self._producer.create_batch(partition_id=partition_id)
        for document in events:
            event = message(document)
            if not added(batch, event):
                if len(batch):
                    yield batch
                batch = self._producer.create_batch(partition_id=partition_id)
                if not added(batch, event):
                    raise EventTooLarge(document, batch.max_size_in_bytes)
        yield batch

    def _hub_partitions(self) -> list[str]:
        if not self._partition_ids:
            self._partition_ids = sorted(self._producer.get_partition_ids(), key=int)
        return self._partition_ids

    def _load_ranges(self) -> list[FeedRange]:
        """The feed ranges as first seen (a range that was split since is followed by the SDK), with continuations."""
        try:
            known = self._state.read_item("feed-ranges", partition_key="feed-ranges")["feedRanges"]
        except CosmosResourceNotFoundError:
            known = list(self._write_model.read_feed_ranges())
            self._state.create_item({"id": "feed-ranges", "feedRanges": known})
        return [
            FeedRange(f"continuation-{number}", feed_range, self._saved_continuation(f"continuation-{number}"))
            for number, feed_range in enumerate(known)
        ]

    def _saved_continuation(self, state_id: str) -> str | None:
        try:
            return str(self._state.read_item(state_id, partition_key=state_id)["continuation"])
        except CosmosResourceNotFoundError:
            return None

    def _save(self, feed: FeedRange, continuation: str) -> None:
        self._state.upsert_item({"id": feed.state_id, "continuation": continuation})
        feed.continuation = continuation

    def _beat(self) -> None:
        """Say that the relay is alive, in wall time: `heartbeat` in `relay-state`."""
        now = datetime.now(UTC).isoformat()
        self._state.upsert_item({"id": "heartbeat", "at": now, "publishedEvents": self.published_events})

    def _work(self) -> None:
        in_a_row, next_beat = 0, 0.0
        while not self._stopping.is_set():
            pause = self._poll_seconds
            try:
                self.run_once()
                if time.monotonic() >= next_beat:
                    self._beat()
                    next_beat = time.monotonic() + BEAT_SECONDS
                in_a_row = 0
            except Exception as error:  # the thread's outermost loop
                in_a_row += 1
                if in_a_row >= FAILURES_IN_A_ROW or not may_pass(error):
                    self._end(error)
                    return
                self.failures += 1
                pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**in_a_row)
                log.warning("round failed (%s), again in %.2f s", type(error).__name__, pause)
            self._stopping.wait(pause)

    def _end(self, error: BaseException) -> None:
        log.error("the relay has stopped: %s", error)
        with self._progress:
            self.error = error
            self._progress.notify_all()


def by_hub_partition(
    events: Iterable[Mapping[str, Any]], partition_ids: Sequence[str]
) -> dict[str, list[Mapping[str, Any]]]:
    """Events by the hub partition of their aggregate, each group in the order given."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        groups[partition_of(event["aggregateId"], partition_ids)].append(event)
    return dict(groups)


def message(document: Mapping[str, Any]) -> EventData:
    """The message of one event document: its envelope as written, and properties that name it."""
    event = EventData(as_written(document))
    event.content_type = "application/json"
    event.properties = {name: document[name] for name in ("eventId", "eventType", "aggregateId", "version")}
    return event


def added(batch: EventDataBatch, event: EventData) -> bool:
    """Whether there was room for it."""
    try:
        batch.add(event)
    except ValueError:
        return False
    return True


def may_pass(error: BaseException) -> bool:
    """Whether trying again can help."""
    if isinstance(error, CosmosHttpResponseError):
        return error.status_code in PASSING_STATUS
    if isinstance(error, EventHubError):
        return not isinstance(error, AuthenticationError)
    return isinstance(error, (ServiceRequestError, ServiceResponseError))
