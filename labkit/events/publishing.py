"""Sending event documents to Event Hubs: grouped by hub partition, in as few batches as the size limit allows.

The hub partition is the hash of the aggregate id, so that many aggregates share one batch and the events of one stay in
order. The body is the event document's envelope as it was written. The message's properties repeat what names the
event, so that a body nobody can decode still has a name.

While one batch waits for its acknowledgement the next one is built, also that of the next page. Only the calling thread
sends: after a send that failed nothing more leaves, so that no event overtakes one of its own aggregate. When the page
comes again, what the hub has acknowledged is left out: a page larger than what a throttled hub lets in gets through bit
by bit.
Not known here: where the documents come from, and what is remembered of them (`relay`, `leases`).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from typing import Any, TypeVar

from azure.eventhub import EventData, EventDataBatch, EventHubProducerClient

from labkit import tracing
from labkit.errors import LabError
from labkit.events.envelope import as_written
from labkit.events.leases import Page
from labkit.events.partition_key import partition_of

T = TypeVar("T")
Document = Mapping[str, Any]


class Publisher:
    """Sends through one producer and counts. The producer must be its own: the SDK promises no thread safety for it."""

    def __init__(self, producer: EventHubProducerClient, partition_ids: Sequence[str] = ()) -> None:
        self.published_events = 0
        self._producer = producer
        self._partition_ids = partition_ids

    def publish(self, pages: Iterator[Page], acknowledged: set[str]) -> Generator[str]:
        """Send the events of these pages that are not `acknowledged` yet; each page's continuation when all of it is.

        `acknowledged` grows by the event ids of each batch as it arrives, and so survives a send that fails.
        Raises: the SDK's errors; `LabError` for one event that no batch can hold, by its name.
        """
        with closing(one_ahead(pages)) as read, closing(one_ahead(self._batches(read, acknowledged))) as ready:
            for batch, events, continuation in ready:
                if batch is not None:
                    began = time.time()
                    self._producer.send_batch(batch)
                    acknowledged.update(event["eventId"] for event in events)
                    self.published_events += len(events)
                    for event in events if tracing.is_on() else ():
                        tracing.record("relay", event["metadata"].get("traceparent", ""), began, time.time())
                if continuation is not None:
                    yield continuation

    def _batches(
        self, pages: Iterator[Page], acknowledged: Collection[str]
    ) -> Iterator[tuple[EventDataBatch | None, Sequence[Document], str | None]]:
        """In order within each hub partition, each with its documents; the last of a page with the continuation."""
        for documents, continuation in pages:
            events = [one for one in documents if one.get("kind") == "event" and one.get("eventId") not in acknowledged]
            groups = sorted(by_hub_partition(events, self._hub_partitions).items()) if events else []
            for left, (partition_id, group) in enumerate(groups, 1 - len(groups)):
                batch, begin = self._producer.create_batch(partition_id=partition_id), 0
                for end, document in enumerate(group):
                    event = message(document)
                    if not added(batch, event):
                        if len(batch):
                            yield batch, group[begin:end], None
                        batch, begin = self._producer.create_batch(partition_id=partition_id), end
                        if not added(batch, event):
                            named = f"{document['eventId']} of {document['aggregateId']}"
                            raise LabError(f"{named} is more than a hub's batch holds; the relay stays before it")
                yield batch, group[begin:], None if left else continuation
            if not groups:
                yield None, (), continuation

    @cached_property
    def _hub_partitions(self) -> list[str]:
        return sorted(self._partition_ids or self._producer.get_partition_ids(), key=int)


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


def one_ahead(made: Iterator[T]) -> Generator[T]:
    """The same things in the same order, each made while the one before it is in use.

    Whoever may stop early closes it, which waits until nothing is made any more: an exception keeps it alive otherwise.
    """
    nothing: Any = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, made, nothing)
        while (one := coming.result()) is not nothing:
            coming = pool.submit(next, made, nothing)
            yield one
