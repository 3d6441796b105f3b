"""The relay: from the outbox in Cosmos DB to Event Hubs, by the change feed.

One round reads each feed range that this relay holds from its continuation to its end, page by page: it sends the
events of a page (`publishing`), and saves the continuation (`leases`) only after every batch of the page has been
acknowledged. A crash anywhere therefore loses nothing and may send a page again: the same event ids under new sequence
numbers. Whoever reads must tell them apart; the relay does not pretend to. While it lives, it sends again only what has
not been acknowledged: this memory spares repetitions, and nothing rests on it.

Several relays share the feed ranges of one write model. When one dies, the others take over its ranges as soon as its
leases have ended. Who loses a lease in the middle of a page repeats events, and saves nothing.

Source: learn.microsoft.com/azure/architecture/databases/guide/transactional-out-box-cosmos
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

from azure.cosmos import ContainerProxy
from azure.eventhub import EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, EventHubError

from labkit.documents import document_named, is_unanswered
from labkit.errors import NotYet
from labkit.events import ids
from labkit.events.leases import Lease, Leases, Page, pages
from labkit.events.publishing import Publisher
from labkit.worker import Worker

log = logging.getLogger(__name__)

PAGE_DOCUMENTS = 4_000
"""Asked for at most; the service ends a page at 4 MB."""
POLL_SECONDS = 0.05
"""From the beginning of one turn to that of the next, at least: what is committed meanwhile shares a page, its batches
and its continuation, which cost as much for one event as for many. A turn that takes longer is followed at once."""
TURN_SECONDS = 1.0
BEAT_SECONDS = 1.0
LEASE_SECONDS = 10.0
BALANCES_PER_LEASE = 4
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0
FAILURES_IN_A_ROW = 10
PASSING_STATUS = frozenset({408, 410, 429, 449, 500, 503})
"""Answers of Cosmos DB that a later try can change."""


class Relay(Worker):
    """Publishes what the outbox holds. `start` and `stop` run it on a thread; `run_once` makes one round here.

    The producer must be the relay's own: the SDK promises no thread safety for it. `name` says in the leases whose they
    are, and is drawn if it is not given: two relays that run must not share one. `partition_ids` are those of the hub;
    without them each relay asks for them once, which takes the SDK four tenths of a second.
    """

    def __init__(
        self,
        write_model: ContainerProxy,
        producer: EventHubProducerClient,
        state: ContainerProxy,
        *,
        page_documents: int = PAGE_DOCUMENTS,
        lease_seconds: float = LEASE_SECONDS,
        name: str | None = None,
        partition_ids: Sequence[str] = (),
    ) -> None:
        self.name = name or f"relay-{secrets.token_hex(4)}"
        super().__init__(self.name)
        self.failures = 0
        """Rounds that failed and were tried again."""
        self._write_model = write_model
        self._state = state
        self._publisher = Publisher(producer, partition_ids)
        self._acknowledged: dict[str, set[str]] = {}
        """Lease -> the event ids of a page whose continuation is not saved yet."""
        self._leases = Leases(state, write_model, self.name, lease_seconds)
        self._page_documents = page_documents
        self._balance_seconds = lease_seconds / BALANCES_PER_LEASE
        self._next_balance = self._next_beat = 0.0

    @property
    def published_events(self) -> int:
        return self._publisher.published_events

    def run_once(self) -> int:
        """Publish what was committed before the call, in each feed range that no other relay holds; the events sent.

        Raises: `RuntimeError` while the thread runs; `NotYet` if one that has failed does not end; the SDK's errors.
        Nothing is lost then: the next round begins at the last continuation saved.
        """
        if self.running:
            raise RuntimeError("this relay runs already, on its thread")
        self.stop()  # a thread that has failed gives its leases back first
        try:
            self._leases.take_free()
            return sum(self._drain(lease) for lease in self._leases.held)
        finally:
            self._leases.release()

    def wait_until_published(self, token: str, timeout_seconds: float) -> None:
        """Return once this version and all before it are in Event Hubs, acknowledged, whichever relay sent them.

        Published means: the change feed does not hold the event any more behind the continuation saved for its range.
        Raises: the worker's error; `NotYet` after `timeout_seconds`, or at once if there is no such event.
        """
        deadline = time.monotonic() + timeout_seconds
        aggregate_id, version = ids.parse_token(token)
        event_id = ids.event_id(aggregate_id, version)
        if document_named(self._write_model, event_id, aggregate_id) is None:
            raise NotYet(f"{token} is not in the outbox: nothing with that version has been committed")
        while True:
            began, error = time.monotonic(), self.error
            lease = self._leases.of(aggregate_id)
            if not self._is_ahead(lease, event_id):
                return
            if error is not None and lease.owner in ("", self.name):
                raise error
            left = deadline - time.monotonic()
            if left <= 0:
                idle = "" if self.running or lease.is_held else "; the relay is not running: start it, or call run_once"
                raise NotYet(f"{token} was not published within {timeout_seconds} seconds{idle}")
            time.sleep(min(left, max(POLL_SECONDS, 2 * (time.monotonic() - began))))  # a long backlog is read seldom

    def _is_ahead(self, lease: Lease, event_id: str) -> bool:
        """Whether the event is still to be published."""
        feed = pages(self._write_model, lease, self._page_documents)
        return any(document["id"] == event_id for documents, _ in feed for document in documents)

    def _drain(self, lease: Lease, until: float = math.inf) -> int:
        """Publish one feed range to its end, or to that of the pages at hand: at `until`, or when stopping."""
        before, acknowledged = self.published_events, self._acknowledged.setdefault(lease.id, set())
        with closing(self._publisher.publish(self._pages(lease, until), acknowledged)) as published:
            for continuation in published:
                saved = self._leases.save(lease, continuation)
                acknowledged.clear()
                if not saved:
                    log.info("%s lost %s: another relay goes on from the last continuation saved", self.name, lease.id)
                    self._next_balance = 0.0
                    break
        return self.published_events - before

    def _pages(self, lease: Lease, until: float) -> Iterator[Page]:
        """At least one page, if there is one; none is asked for any more at `until`, or when stopping."""
        for page in pages(self._write_model, lease, self._page_documents):
            yield page
            if self._ending.is_set() or time.monotonic() >= until:
                return

    def _beat(self) -> None:
        """Say that relays are alive, in wall time: `heartbeat` in `relay-state`, which all of them write."""
        told = {"at": datetime.now(UTC).isoformat(), "relay": self.name, "publishedEvents": self.published_events}
        self._state.upsert_item({"id": "heartbeat", **told})

    def _turn(self) -> int:
        """What is due, and a second at most of publishing in each feed range; the events sent."""
        now = time.monotonic()
        if now >= self._next_balance:
            self._leases.balance()
            self._next_balance = now + self._balance_seconds
        sent = sum(self._drain(lease, time.monotonic() + TURN_SECONDS) for lease in self._leases.held)
        if time.monotonic() >= self._next_beat:
            self._beat()
            self._next_beat = time.monotonic() + BEAT_SECONDS
        return sent

    def _work(self) -> None:
        """Rounds until `stop`, backing off when one fails."""
        self._next_balance = self._next_beat = 0.0
        self._ready.set()
        in_a_row = lasting = 0
        while not self._ending.is_set():
            next_turn = time.monotonic() + POLL_SECONDS
            try:
                self._turn()
                in_a_row, lasting, pause = 0, 0, next_turn - time.monotonic()
            except Exception as error:  # the thread's outermost loop
                in_a_row, lasting = in_a_row + 1, 0 if is_throttling(error) else lasting + 1
                if lasting >= FAILURES_IN_A_ROW or not may_pass(error):
                    raise
                self.failures += 1
                pause = pause_seconds(error, in_a_row)
                log.warning("turn failed (%s), again in %.2f s", type(error).__name__, pause)
                self._leases.forget()
                self._next_balance = 0.0
            self._ending.wait(pause)

    def _ended(self) -> None:
        """Give the leases back, after the pages at hand."""
        self._leases.release()


def may_pass(error: BaseException) -> bool:
    """Whether trying again can help."""
    if isinstance(error, EventHubError):
        return not isinstance(error, AuthenticationError)
    return is_unanswered(error) or getattr(error, "status_code", None) in PASSING_STATUS


def is_throttling(error: BaseException) -> bool:
    """Whether the service asks for patience: that may last, and is no reason to give up."""
    return getattr(error, "status_code", None) == 429 or getattr(error, "error", None) == "server-busy"


def pause_seconds(error: BaseException, in_a_row: int) -> float:
    """How long to wait before the next try: twice as long each time, and never less than the service asks for."""
    headers: Mapping[str, str] = getattr(error, "headers", None) or {}
    asked = float(headers.get("x-ms-retry-after-ms", 0)) / 1000
    return max(asked, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(in_a_row, 10)))
