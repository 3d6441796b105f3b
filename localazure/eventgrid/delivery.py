"""Pushing what was accepted to the webhooks, at least once, until it is taken or given up.

Owns the loop, the requests and the handshake. Refuses to know where events are kept (`store`) and when to try again
(`schedule`). One event is one request unless the subscription asks for batches; each subscription has a few requests
under way, so that one webhook that hangs does not hold up another.

A delivery is forgotten only after the webhook's 2xx, on disk: killed in between, it is made again.
Known gap: Azure holds new events back for a while from a webhook that keeps failing; here each has its own schedule.
Source: learn.microsoft.com/azure/event-grid/delivery-and-retry, .../end-point-validation-cloud-events-schema;
github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md, section 4
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from localazure.eventgrid.events import BATCH, ONE
from localazure.eventgrid.schedule import TAKEN, Again, GivenUp, verdict
from localazure.eventgrid.store import Delivery, GridStore, Subscription
from localazure.fault_book import FaultBook

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

ORIGIN = "eventgrid.azure.net"
ANSWER_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 5.0
"""So often it looks in any case: a delivery whose end could not be written is due again."""
MOST_UNDER_WAY = 8
"""Requests of one subscription at a time."""
OUTCOMES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "TimedOut",
    413: "PayloadTooLarge",
}


class HandshakeFailed(ValueError):
    """The webhook did not say that it wants the events."""


class Deliverer:
    """`start` and `stop` it in the event loop; `wake` it when something is due."""

    def __init__(self, store: GridStore, faults: FaultBook, counts: Counter[str], now: Callable[[], float]) -> None:
        self._store = store
        self._faults = faults
        self._counts = counts
        self._now = now
        self._due = asyncio.Event()
        self._under_way: dict[tuple[str, str], set[int]] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """What is under way is cut off, and made again after the next start."""
        tasks = [*self._requests, *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def wake(self) -> None:
        self._due.set()

    async def validate(self, endpoint: str) -> None:
        """Ask the webhook whether it wants events from here. Raises: `HandshakeFailed`."""
        headers = {"WebHook-Request-Origin": ORIGIN, "WebHook-Request-Rate": "120"}
        try:
            answer = await self._http().request("OPTIONS", endpoint, headers=headers)
        except (OSError, self._http_error()) as error:
            raise HandshakeFailed(f"Webhook validation handshake failed for {endpoint}: {error!r}.") from error
        allowed = answer.headers.get("WebHook-Allowed-Origin", "")
        if answer.status_code not in TAKEN or allowed not in (ORIGIN, "*"):
            raise HandshakeFailed(
                f"Webhook validation handshake failed for {endpoint}. HTTP OPTIONS returned {answer.status_code} "
                f"with WebHook-Allowed-Origin {allowed!r}; expected is 2XX with {ORIGIN!r} or '*'."
            )

    async def _run(self) -> None:
        while True:
            self._due.clear()
            for subscription in self._store.subscriptions():
                self._begin(subscription)
            following = self._store.next_due(self._now())
            pause = LONGEST_PAUSE_SECONDS if following is None else min(following - self._now(), LONGEST_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), pause)

    def _begin(self, subscription: Subscription) -> None:
        """Begin as many requests as are due and free."""
        place = (subscription.topic, subscription.name)
        ids = self._under_way.setdefault(place, set())
        size = subscription.policy.max_events_per_batch
        free = MOST_UNDER_WAY - -(-len(ids) // size)
        if free <= 0:
            return
        due = self._store.due(subscription, self._now(), len(ids) + free * size)
        waiting = [one for one in due if one.id not in ids]
        for batch in _batches(waiting, size):
            taken = {one.id for one in batch}
            ids |= taken
            task = asyncio.create_task(self._deliver(subscription, batch))
            self._requests.add(task)
            task.add_done_callback(partial(self._ended, ids, taken))

    def _ended(self, ids: set[int], taken: set[int], task: asyncio.Task[None]) -> None:
        self._requests.discard(task)
        ids -= taken
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            self.wake()
        else:
            logger.error("a delivery's end could not be written: %r", error)

    async def _deliver(self, subscription: Subscription, batch: Sequence[Delivery]) -> None:
        status = await self._push(subscription, batch)
        if status in TAKEN:
            self._counts["delivered"] += len(batch)
            if self._faults.take("event_grid", "deliver_twice", topic=subscription.topic) is None:
                await self._store.delivered(one.id for one in batch)
            return
        self._counts["failed_attempts"] += len(batch)
        attempts = batch[0].attempts + 1
        now = self._now()
        again: dict[int, float] = {}
        given_up: dict[int, str] = {}
        for one in batch:
            found = verdict(status, attempts, now - one.accepted_at, subscription.policy, random.random())
            if isinstance(found, Again):
                again[one.id] = now + found.after_seconds
            else:
                given_up[one.id] = _letter(one, found, status, attempts, now)
        if again:
            await self._store.retry(again, attempts)
        if given_up:
            self._counts["dead_lettered" if subscription.policy.dead_letter else "dropped"] += len(given_up)
            await self._store.give_up(subscription, given_up)

    async def _push(self, subscription: Subscription, batch: Sequence[Delivery]) -> int | None:
        """The webhook's status; None if it did not answer."""
        alone = subscription.policy.max_events_per_batch == 1
        body = batch[0].event if alone else b"[" + b",".join(one.event for one in batch) + b"]"
        headers = {
            "Content-Type": f"{ONE if alone else BATCH}; charset=utf-8",
            "WebHook-Request-Origin": ORIGIN,
            "aeg-subscription-name": subscription.name.upper(),
            "aeg-event-type": "Notification",
            "aeg-delivery-count": str(batch[0].attempts),
        }
        try:
            answer = await self._http().post(subscription.endpoint, content=body, headers=headers)
        except (OSError, self._http_error()) as error:
            logger.debug("%s does not answer: %r", subscription.endpoint, error)
            return None
        return int(answer.status_code)

    def _http(self) -> httpx.AsyncClient:
        """Made at first use: most users push nothing, and the import takes time."""
        if self._client is None:
            import httpx

            self._client = httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS)
        return self._client

    @staticmethod
    def _http_error() -> type[Exception]:
        import httpx

        return httpx.HTTPError


def _batches(waiting: Sequence[Delivery], size: int) -> Iterable[Sequence[Delivery]]:
    """Of one number of attempts each, so that the count told with a batch is true of all its events."""
    batch: list[Delivery] = []
    for one in waiting:
        if batch and (len(batch) == size or one.attempts != batch[0].attempts):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _letter(one: Delivery, given_up: GivenUp, status: int | None, attempts: int, now: float) -> str:
    """The event with what befell it, as attributes of the event."""
    event: dict[str, Any] = json.loads(one.event)
    outcome = "TimedOut" if status is None else OUTCOMES.get(status, "GenericError")
    event |= {
        "deadletterreason": given_up.reason,
        "deliveryattempts": attempts,
        "lastdeliveryoutcome": outcome,
        **({} if status is None else {"lasthttpstatuscode": status}),
        "publishtime": datetime.fromtimestamp(one.accepted_at, UTC).isoformat(),
        "lastdeliveryattempttime": datetime.fromtimestamp(now, UTC).isoformat(),
    }
    return json.dumps(event, ensure_ascii=False)
