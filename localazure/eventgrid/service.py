"""Event Grid of one server: its topics, their subscriptions, and what happens to an event that is published.

Owns names and bounds, and the life of the store and the deliverer. Refuses to know HTTP (`app`, `control`).

Webhooks are on this machine only: an address elsewhere is refused, so that nothing leaves it.
Source: learn.microsoft.com/azure/event-grid/quotas-limits, .../event-grid/subscription-creation-schema
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from localazure.eventgrid.delivery import Deliverer
from localazure.eventgrid.refusals import TooManyRequests
from localazure.eventgrid.schedule import Policy
from localazure.eventgrid.store import FILE, GridStore, Subscription
from localazure.fault_book import FaultBook
from localazure.journal import Post

TOPIC_NAME = re.compile(r"[A-Za-z0-9-]{3,50}", re.ASCII)
SUBSCRIPTION_NAME = re.compile(r"[A-Za-z0-9-]{3,64}", re.ASCII)
MOST_SUBSCRIPTIONS = 500
MOST_PENDING = 100_000
"""Events of a topic, each counted for each subscription, that may wait: the embedded Azure's own bound."""
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class NoSuchTopic(LookupError):
    """No topic, or no subscription of it, has this name."""


class EventGrid:
    """`await start()` once, `await stop()` at the end."""

    def __init__(
        self, data_dir: Path, *, key_of: Callable[[str], str], post: Post, faults: FaultBook,
        now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.key_of = key_of
        """Topic -> its access key."""
        self.faults = faults
        self._data_dir = data_dir
        self._post = post
        self._now = now
        self._counts: Counter[str] = Counter()
        self._store: GridStore | None = None
        self._deliverer: Deliverer | None = None
        self._topics: set[str] = set()

    async def start(self) -> None:
        """Go on with what an earlier server had accepted. Raises: as `Journal`."""
        if (self._data_dir / FILE).exists():
            self._open()

    async def stop(self) -> None:
        if self._deliverer is not None:
            await self._deliverer.stop()
        if self._store is not None:
            self._store.close()

    def counters(self) -> dict[str, int]:
        """Events so far: published, delivered, failed_attempts, dead_lettered, dropped; `pending` is how many wait."""
        return dict(self._counts) | {"pending": self._store.pending() if self._store else 0}

    def topics(self) -> list[str]:
        return sorted(self._topics)

    def has(self, topic: str) -> bool:
        return topic in self._topics

    async def create_topic(self, name: str) -> None:
        """Made if it is not there. Raises: `ValueError` for a name that Azure does not take."""
        if TOPIC_NAME.fullmatch(name) is None:
            raise ValueError(f"a topic's name has 3 to 50 letters, digits and hyphens, not {name!r}")
        store, _ = self._open()
        await store.add_topic(name)
        self._topics.add(name)

    async def delete_topic(self, name: str) -> None:
        """With its subscriptions and all that waits for them. Raises: `NoSuchTopic`."""
        store = self._of(name)
        self._topics.discard(name)
        await store.remove(name)

    async def subscribe(self, topic: str, name: str, endpoint: str, policy: Mapping[str, Any]) -> None:
        """Have a webhook get what is published from now on, once it has said that it wants it.

        Raises: `NoSuchTopic`; `ValueError` for a name, address or policy that is none, or a failed handshake.
        """
        store = self._of(topic)
        if SUBSCRIPTION_NAME.fullmatch(name) is None:
            raise ValueError(f"a subscription's name has 3 to 64 letters, digits and hyphens, not {name!r}")
        wanted = Subscription(topic, name, _loopback(endpoint), Policy(**policy))
        there = [one.name for one in store.subscriptions() if one.topic == topic]
        if name not in there and len(there) >= MOST_SUBSCRIPTIONS:
            raise ValueError(f"a topic has at most {MOST_SUBSCRIPTIONS} subscriptions")
        deliverer = self._open()[1]
        await deliverer.validate(wanted.endpoint)
        await store.subscribe(wanted)
        deliverer.wake()

    def subscriptions(self, topic: str) -> list[Subscription]:
        """Raises: `NoSuchTopic`."""
        return [one for one in self._of(topic).subscriptions() if one.topic == topic]

    async def unsubscribe(self, topic: str, name: str) -> None:
        """With all that waits for it. Raises: `NoSuchTopic`."""
        self._must_have(topic, name)
        await self._of(topic).remove(topic, name)

    def dead_letters(self, topic: str, name: str) -> list[dict[str, Any]]:
        """Of one subscription, oldest first. Raises: `NoSuchTopic`."""
        self._must_have(topic, name)
        return self._of(topic).dead_letters(topic, name)

    async def publish(self, topic: str, events: Sequence[bytes]) -> None:
        """Return when they are on disk. Raises: `NoSuchTopic`; `TooManyRequests` when too much waits already."""
        store, deliverer = self._of(topic), self._open()[1]
        if store.pending(topic) + len(events) > MOST_PENDING:
            raise TooManyRequests(f"{MOST_PENDING} events of this topic wait to be delivered.")
        await store.accept(topic, events, self._now())
        self._counts["published"] += len(events)
        deliverer.wake()

    def _must_have(self, topic: str, name: str) -> None:
        if name not in [one.name for one in self.subscriptions(topic)]:
            raise NoSuchTopic(f"the topic {topic!r} has no subscription {name!r}")

    def _of(self, topic: str) -> GridStore:
        if topic not in self._topics:
            raise NoSuchTopic(f"there is no topic {topic!r}")
        return self._open()[0]

    def _open(self) -> tuple[GridStore, Deliverer]:
        if self._store is None or self._deliverer is None:
            self._store = GridStore(self._data_dir, self._post)
            self._topics = set(self._store.topics())
            self._deliverer = Deliverer(self._store, self.faults, self._counts, self._now)
            self._deliverer.start()
        return self._store, self._deliverer


def _loopback(endpoint: str) -> str:
    """Raises: `ValueError` for what is no HTTP address on this machine."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or parts.hostname not in LOOPBACK_HOSTS or parts.port is None:
        raise ValueError(f"a webhook is on this machine here: http://127.0.0.1:PORT/..., not {endpoint!r}")
    return endpoint
