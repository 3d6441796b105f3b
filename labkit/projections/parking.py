"""The parking lane: events that could not be applied, kept in Cosmos DB until somebody looks.

Owns the documents of the container `parked-events` (partition key `/aggregateId`, id `<hub partition>-<sequence>`):
the event's bytes as they came, why they could not be applied, and since when. Refuses to know what the bytes mean, and
how they are applied after all (`replay`).
A document stays below Cosmos DB's 2 MB: a body or a reason too long for that is cut, and the reason says so.

An event is parked first and passed by afterwards, so a crash between the two parks it again: the same id, so nothing
changes, and the first reason stays. Order within the lane is the hub partition's.

A discarded event leaves the lane and stays in the container, with who discarded it and why in `discarded`: should the
hub deliver it once more, it is not parked again. Discarding changes no table. The versions behind a discarded one are
gaps, and stay parked, until that version comes after all: sent again, or from the history by a rebuild.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

from labkit.documents import queried
from labkit.errors import LabError
from labkit.projections.folds import Arrival, Parked

PARKED = "SELECT c.id, c.aggregateId, c.sequenceNumber, c.reason, c.parkedAt FROM c WHERE c.hub = @hub"
"""Not grouped: across partitions, Azure's Python SDK refuses GROUP BY. A discarded event has no `hub`."""
FIRST = "SELECT TOP 1 * FROM c WHERE c.hub = @hub ORDER BY c.sequenceNumber"

LONGEST_BODY = 1_300_000
"""Bytes that are kept of a body; base64 makes 1.73 MB of them. Event Hubs takes bodies of up to 1 MiB, and far larger
ones in its dedicated tier."""
LONGEST_REASON = 500
"""Characters."""


class NotParked(LabError, LookupError):
    """No such event is in the lane: it was replayed or discarded, or never parked."""


class OtherEventParked(RuntimeError):
    """A different event holds this place in the lane, so parking would lose this one (a hub made anew, say)."""


class ParkedEvent(msgspec.Struct, frozen=True, rename="camel"):
    """A parked event as its document holds it. `place` is the document's id, `parked_at` is wall time."""

    place: str = msgspec.field(name="id")
    aggregate_id: str
    hub: str
    hub_partition: str
    sequence_number: int
    reason: str
    parked_at: datetime
    body: bytes

    @property
    def arrival(self) -> Arrival:
        return Arrival(self.hub_partition, self.sequence_number, self.body, self.aggregate_id)


@dataclass(frozen=True, slots=True)
class Held:
    """One aggregate in the lane: how many of its events, and the first of them."""

    aggregate_id: str
    events: int
    first: str
    reason: str
    parked_at: datetime


class ParkingLane:
    """The lane in one container. Safe to use from one thread at a time."""

    def __init__(self, container: ContainerProxy, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._container = container
        self._now = now

    def park(self, hub: str, events: Iterable[Parked]) -> None:
        """Keep these events; when this returns, they are safe. Doing it again changes nothing.

        Raises: `OtherEventParked`.
        """
        for event in events:
            document = self._document(hub, event)
            try:
                self._container.create_item(document)
            except CosmosResourceExistsError:
                there = self._container.read_item(document["id"], event.aggregate_id)
                parked_in = there.get("hub") or there["discarded"]["hub"]
                if (parked_in, there["body"]) != (hub, document["body"]):
                    raise OtherEventParked(f"{document['id']} of {event.aggregate_id} is another event") from None

    def firsts(self, hub: str) -> dict[str, int]:
        """Aggregate id -> the sequence number of its first parked event of this hub."""
        found = sorted(queried(self._container, PARKED, hub=hub), key=itemgetter("sequenceNumber"), reverse=True)
        return {document["aggregateId"]: document["sequenceNumber"] for document in found if document["aggregateId"]}

    def held(self, hub: str) -> list[Held]:
        """The aggregates of which this hub's events are parked, the longest waiting one first."""
        lanes: dict[str, list[dict[str, Any]]] = {}
        for document in sorted(queried(self._container, PARKED, hub=hub), key=itemgetter("sequenceNumber")):
            lanes.setdefault(document["aggregateId"], []).append(document)
        held = [
            Held(who, len(lane), lane[0]["id"], lane[0]["reason"], datetime.fromisoformat(lane[0]["parkedAt"]))
            for who, lane in lanes.items()
        ]
        return sorted(held, key=lambda one: one.parked_at)

    def first(self, hub: str, aggregate_id: str) -> ParkedEvent | None:
        """The event that all others of the aggregate wait behind."""
        found = msgspec.convert(queried(self._container, FIRST, aggregate_id, hub=hub), list[ParkedEvent])
        return found[0] if found else None

    def refresh(self, hub: str, lane: dict[str, int], aggregate_ids: Iterable[str]) -> None:
        """Look again for those of these aggregates that `lane` (as from `firsts`) holds: events of them may have been
        replayed or discarded since."""
        for who in [who for who in aggregate_ids if who in lane]:
            first = self.first(hub, who)
            if first is None:
                del lane[who]
            else:
                lane[who] = first.arrival.sequence_number

    def events(self, aggregate_id: str) -> list[ParkedEvent]:
        """What is parked of one aggregate, in the order in which it arrived."""
        found = queried(self._container, "SELECT * FROM c WHERE IS_DEFINED(c.hub)", aggregate_id)
        return sorted(msgspec.convert(found, list[ParkedEvent]), key=attrgetter("sequence_number"))

    def keep(self, event: ParkedEvent, reason: str) -> None:
        """Leave the event where it is, for this reason now."""
        operations = [{"op": "set", "path": "/reason", "value": _reason(Parked(event.arrival, "", reason))}]
        with suppress(CosmosResourceNotFoundError):
            self._container.patch_item(event.place, event.aggregate_id, operations)

    def release(self, event: ParkedEvent) -> None:
        """The tables have the event: take it out of the lane. Twice is as good as once."""
        with suppress(CosmosResourceNotFoundError):
            self._container.delete_item(event.place, event.aggregate_id)

    def discard(self, event: ParkedEvent, by: str, why: str) -> None:
        """Take an event out of the lane unapplied, and write down who did so and why. Raises: `NotParked`."""
        told = {"by": by, "why": why, "at": self._now().isoformat(), "hub": event.hub}
        operations: list[dict[str, Any]] = [
            {"op": "add", "path": "/discarded", "value": told},
            {"op": "remove", "path": "/hub"},
        ]
        try:
            self._container.patch_item(
                event.place, event.aggregate_id, operations, filter_predicate="FROM c WHERE IS_DEFINED(c.hub)"
            )
        except (CosmosResourceNotFoundError, CosmosAccessConditionFailedError):
            raise NotParked(f"{event.place} of {event.aggregate_id} is not parked any more") from None

    def _document(self, hub: str, event: Parked) -> dict[str, Any]:
        one, body = event.arrival, event.arrival.body[:LONGEST_BODY]
        where = (place(one), event.aggregate_id, hub, one.hub_partition, one.sequence_number)
        document: dict[str, Any] = msgspec.to_builtins(ParkedEvent(*where, _reason(event), self._now(), body))
        return document


def place(arrival: Arrival) -> str:
    """Where in the lane it is: `<hub partition>-<sequence number>`."""
    return f"{arrival.hub_partition}-{arrival.sequence_number}"


def _reason(event: Parked) -> str:
    reason, size = event.reason, len(event.arrival.body)
    if len(reason) > LONGEST_REASON:
        reason = f"{reason[:LONGEST_REASON]}... (the first {LONGEST_REASON} of {len(reason)} characters)"
    if size > LONGEST_BODY:
        reason += f" (of the body, the first {LONGEST_BODY} of {size} bytes are kept)"
    return reason
