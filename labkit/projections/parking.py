"""The parking lane: events that could not be applied, kept in Cosmos DB until somebody looks.

Owns the documents of the container `parked-events` (partition key `/aggregateId`, id `<hub partition>-<sequence>`):
the event's bytes as they came, why they could not be applied, and since when. Refuses to know what the bytes mean.
A document stays below Cosmos DB's 2 MB: a body or a reason too long for that is cut, and the reason says so.

An event is parked first and passed by afterwards, so a crash between the two parks it again: the same id, so nothing
changes, and the first reason stays. Order within the lane is the hub partition's.

Known gaps: no replay and no discarding yet.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError

from labkit.projections.folds import Arrival, Parked

FIRSTS = "SELECT c.aggregateId, c.sequenceNumber FROM c WHERE c.hub = @hub"
"""Not grouped: across partitions, Azure's Python SDK refuses GROUP BY."""

LONGEST_BODY = 1_300_000
"""Bytes that are kept of a body; base64 makes 1.73 MB of them. Event Hubs takes bodies of up to 1 MiB, and far larger
ones in its dedicated tier."""
LONGEST_REASON = 500
"""Characters."""


class OtherEventParked(RuntimeError):
    """A different event holds this place in the lane, so parking would lose this one (a hub made anew, say)."""


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """A parked event as the lane holds it. `parked_at` is wall time."""

    arrival: Arrival
    aggregate_id: str
    reason: str
    hub: str
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
                if (there["hub"], there["body"]) != (hub, document["body"]):
                    raise OtherEventParked(f"{document['id']} of {event.aggregate_id} is another event") from None

    def firsts(self, hub: str) -> dict[str, int]:
        """Aggregate id -> the sequence number of its first parked event of this hub."""
        found = self._container.query_items(
            FIRSTS, parameters=[{"name": "@hub", "value": hub}], enable_cross_partition_query=True
        )
        firsts: dict[str, int] = {}
        for document in found:
            who, number = document["aggregateId"], document["sequenceNumber"]
            if who:
                firsts[who] = min(number, firsts.get(who, number))
        return firsts

    def events(self, aggregate_id: str) -> list[ParkedEvent]:
        """What is parked of one aggregate, in the order in which it arrived."""
        found = self._container.query_items("SELECT * FROM c", partition_key=aggregate_id)
        return sorted((_parked(document) for document in found), key=lambda parked: parked.arrival.sequence_number)

    def _document(self, hub: str, event: Parked) -> dict[str, Any]:
        arrival = event.arrival
        return {
            "id": f"{arrival.hub_partition}-{arrival.sequence_number}",
            "aggregateId": event.aggregate_id,
            "hub": hub,
            "hubPartition": arrival.hub_partition,
            "sequenceNumber": arrival.sequence_number,
            "reason": _reason(event),
            "parkedAt": self._now().isoformat(),
            "body": base64.b64encode(arrival.body[:LONGEST_BODY]).decode("ascii"),
        }


def _reason(event: Parked) -> str:
    reason, size = event.reason, len(event.arrival.body)
    if len(reason) > LONGEST_REASON:
        reason = f"{reason[:LONGEST_REASON]}... (the first {LONGEST_REASON} of {len(reason)} characters)"
    if size > LONGEST_BODY:
        reason += f" (of the body, the first {LONGEST_BODY} of {size} bytes are kept)"
    return reason


def _parked(document: Mapping[str, Any]) -> ParkedEvent:
    who = document["aggregateId"]
    body = base64.b64decode(document["body"])
    arrival = Arrival(document["hubPartition"], document["sequenceNumber"], body, who)
    parked_at = datetime.fromisoformat(document["parkedAt"])
    return ParkedEvent(arrival, who, document["reason"], document["hub"], parked_at)
