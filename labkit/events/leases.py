"""Who publishes which part of the change feed, and how far it has come: leases on Cosmos DB, shared by several relays.

Owns the container `relay-state`: `feed-ranges` names the feed ranges as first seen, and each of them has a lease
document, `continuation-<number>`, that holds its owner and its continuation. Both travel together: a continuation is
saved under the lease's etag, so that a relay which has lost its lease cannot overwrite what its successor has saved.
Refuses to know what is published, and how.

A lease is taken by replacing the document under the etag that was read: of two claims one wins. It ends when its owner
gives it back, or when nothing was written to it for its `leaseSeconds`, by the reader's clock against the server's
`_ts` (whole seconds), as azure-eventhub's load balancing does it. A clock that runs wrong makes relays take live leases
from each other: events are repeated then, never lost.

Balance: each relay aims at its share of the ranges among all that hold any. It takes free ones first; when there are
none it takes one from the relay that has most, if that has two more than itself.

A range that Cosmos DB has split or merged stays one lease: the SDK's continuation holds its parts, and goes on in each
of them. Known gap: so there are never more leases than there were ranges when the first relay began.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError
from msgspec.structs import replace

from labkit.documents import document_named
from labkit.events.ownership import LOST

log = logging.getLogger(__name__)

ROOTS = "feed-ranges"
RENEW_AFTER = 1 / 3
"""Share of a lease's time after which its owner renews it."""

FeedRange = Mapping[str, Any]
"""Opaque, as the SDK has it."""
Page = tuple[list[dict[str, Any]], str]
"""Documents of the change feed, and the continuation after them."""


class Lease(msgspec.Struct, frozen=True, rename="camel"):
    """One part of the change feed, as its document was read or written last; all but the last two are in that."""

    id: str
    feed_range: FeedRange
    continuation: str | None = None
    owner: str = ""
    lease_seconds: float = 0.0
    etag: str | None = None
    """None: there is no document yet."""
    age_seconds: float = 0.0

    @property
    def is_held(self) -> bool:
        return self.owner != "" and self.age_seconds <= self.lease_seconds


def pages(container: ContainerProxy, lease: Lease, page_documents: int) -> Iterator[Page]:
    """The change feed from the lease's continuation to its end.

    The continuation comes from the answer's own headers: what the client remembers is that of any thread's last answer.
    """
    start: dict[str, Any] = {"continuation": lease.continuation}
    if lease.continuation is None:
        start = {"feed_range": lease.feed_range, "start_time": "Beginning"}
    told: list[Mapping[str, str]] = []
    changes = container.query_items_change_feed(
        max_item_count=page_documents, response_hook=lambda headers, _: told.append(headers), **start
    )
    for page in changes.by_page():
        documents = list(page)
        yield documents, told.pop()["etag"]


def read_leases(
    state: ContainerProxy,
    write_model: ContainerProxy,
    wanted: Callable[[FeedRange], bool] = lambda _: True,
    known: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Lease]:
    """The leases of the wanted ranges as they are now; ranges that no relay has seen yet come without an etag.

    What is `known` of `state` already, by id, is not read again.
    """

    def named(name: str) -> Mapping[str, Any] | None:
        return (known or {}).get(name) or document_named(state, name)

    roots = named(ROOTS)
    ranges = roots["feedRanges"] if roots else list(write_model.read_feed_ranges())
    for number, feed_range in enumerate(ranges):
        lease_id = f"continuation-{number}"
        if wanted(feed_range):
            yield lease_from(named(lease_id), lease_id, feed_range)


def lease_from(document: Mapping[str, Any] | None, lease_id: str, feed_range: FeedRange) -> Lease:
    if document is None:
        return Lease(lease_id, feed_range)
    told = {"etag": document["_etag"], "ageSeconds": time.time() - document["_ts"]}
    return msgspec.convert({"feedRange": feed_range, **document, **told}, Lease)


def due(leases: Sequence[Lease], me: str) -> list[Lease]:
    """The leases that this relay should take now; empty when the shares are fair."""
    holders = Counter(lease.owner for lease in leases if lease.is_held)
    mine = holders[me]
    free = [lease for lease in leases if not lease.is_held]
    if free:
        share = math.ceil(len(leases) / len({me, *holders}))
        return free[: max(0, share - mine)]
    richest, most = max(holders.items(), key=lambda holder: holder[1], default=("", 0))
    return [lease for lease in leases if lease.owner == richest][:1] if most >= mine + 2 else []


class Leases:
    """The leases of one relay. One thread balances, saves and releases; any thread may look (`of`)."""

    def __init__(self, state: ContainerProxy, write_model: ContainerProxy, owner: str, lease_seconds: float) -> None:
        self._state = state
        self._write_model = write_model
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._held: dict[str, Lease] = {}
        self._has_roots = False

    @property
    def held(self) -> list[Lease]:
        return list(self._held.values())

    def balance(self) -> None:
        """Renew what is this relay's own, and take what is due to it."""
        self._take(lambda leases: due(leases, self._owner))

    def take_free(self) -> None:
        """Take every lease that nobody holds."""
        self._take(lambda leases: [lease for lease in leases if not lease.is_held])

    def save(self, lease: Lease, continuation: str) -> bool:
        """Remember how far the range is published; False if the lease is another's now, and nothing was saved."""
        current = self._held.get(lease.id)
        return current is not None and self._write(replace(current, continuation=continuation), "upsert_item")

    def release(self) -> None:
        """Give all leases back. What cannot be given back ends by itself."""
        with contextlib.suppress(AzureError):
            for lease in self.held or list(read_leases(self._state, self._write_model)):
                if lease.owner == self._owner:
                    self._write(replace(lease, owner=""))
        self._held.clear()

    def forget(self) -> None:
        """After an error: trust what the container says, not what was held."""
        self._held.clear()

    def of(self, aggregate_id: str) -> Lease:
        """The lease of the range in which this aggregate's events are."""
        point = self._write_model.feed_range_from_partition_key(aggregate_id)
        covers = self._write_model.is_feed_range_subset
        return next(read_leases(self._state, self._write_model, lambda whole: covers(dict(whole), point)))

    def _take(self, chosen: Callable[[list[Lease]], list[Lease]]) -> None:
        self._make_roots()
        leases = list(read_leases(self._state, self._write_model))
        self._held = {lease.id: lease for lease in leases if lease.owner == self._owner}
        for lease in self.held:
            if not lease.is_held or lease.age_seconds > RENEW_AFTER * self._lease_seconds:
                self._write(lease)
        for lease in chosen([self._held.get(lease.id, lease) for lease in leases]):
            if self._write(replace(lease, owner=self._owner)):
                log.info("%s took %s%s", self._owner, lease.id, f" from {lease.owner}" if lease.owner else "")

    def _make_roots(self) -> None:
        """Of several relays that start at once on nothing, one names the ranges for all."""
        if self._has_roots:
            return
        if document_named(self._state, ROOTS) is None:
            with contextlib.suppress(CosmosResourceExistsError):
                ranges = list(self._write_model.read_feed_ranges())
                self._state.create_item({"id": ROOTS, "feedRanges": ranges})
        self._has_roots = True

    def _write(self, lease: Lease, method: str = "replace_item") -> bool:
        """Write the lease where its etag still holds, and remember whether it is this relay's now."""
        body = _body(replace(lease, lease_seconds=self._lease_seconds))
        try:
            if lease.etag is None:
                written = self._state.create_item(body)
            else:
                same = {"etag": lease.etag, "match_condition": MatchConditions.IfNotModified}
                where = {"item": lease.id} if method == "replace_item" else {}
                written = getattr(self._state, method)(body=body, **where, **same)
        except LOST:
            self._held.pop(lease.id, None)
            return False
        if lease.owner == self._owner:
            self._held[lease.id] = lease_from(written, lease.id, lease.feed_range)
        else:
            self._held.pop(lease.id, None)
        return True


def _body(lease: Lease) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(lease)
    return {name: value for name, value in body.items() if name not in ("etag", "ageSeconds")}
