"""Faults on purpose, from the side of a lesson or a test: arm one, count its hits, clear it.

`Faults` speaks to the control route and returns a handle whose `hits` says how often the fault has struck, so that a
lesson can account for every one. Refuses to know how a fault strikes: the server's `fault_book` holds those that are
armed. Which kinds exist, and which facts and values they take, is the knowledge of `fault_kinds`; which operations of
Cosmos DB there are to be named stands here, and a test compares it with the routes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from localazure.fault_book import FOREVER, Service, are_same
from localazure.fault_kinds import UnknownFault

Control = Callable[[str, str, Mapping[str, Any] | None], Any]
"""(method, path, JSON body) -> JSON answer of the control route; raises on a refusal."""


@dataclass(frozen=True, slots=True)
class FaultHandle:
    """A fault armed from the client side."""

    number: int
    _control: Control

    @property
    def hits(self) -> int:
        """How often it has struck so far."""
        for fault in self._control("GET", "/faults", None):
            if fault["number"] == self.number:
                return int(fault["hits"])
        raise LookupError(f"fault {self.number} has been cleared")

    def clear(self) -> int:
        """Disarm it; the number of times it struck."""
        cleared = self._control("DELETE", f"/faults/{self.number}", None)
        if not cleared:
            raise LookupError(f"fault {self.number} has been cleared")
        return int(cleared[0]["hits"])


@dataclass(frozen=True, slots=True)
class _Armer:
    _control: Control
    _scope: Mapping[str, str] = field(default_factory=dict)
    """Facts that narrow every fault armed here, unless the fault itself names others."""

    def _arm(self, service: Service, kind: str, times: int, where: Mapping[str, Any], **values: Any) -> FaultHandle:
        told = {**self._scope, **{name: value for name, value in where.items() if value is not None}}
        body = {"service": service, "kind": kind, "times": times, "where": told, "values": values}
        return FaultHandle(int(self._control("POST", "/faults", body)["number"]), self._control)


class EventHubsFaults(_Armer):
    """What Event Hubs can be made to do.

    `hub` and `partition` narrow a fault; without them it strikes anywhere. A transfer is one `send_batch`.
    """

    def refuse_send(
        self, condition: str = "com.microsoft:server-busy", *, times: int = 1, hub: str | None = None
    ) -> FaultHandle:
        """Reject the next transfers with this AMQP error condition; nothing is stored."""
        return self._arm("event_hubs", "refuse_send", times, {"hub": hub}, condition=condition)

    def lose_acknowledgement(self, *, times: int = 1, hub: str | None = None) -> FaultHandle:
        """Store the transfer, then cut the connection unacknowledged: the SDK sends again, and it is stored twice."""
        return self._arm("event_hubs", "lose_acknowledgement", times, {"hub": hub})

    def delay_acknowledgement(self, milliseconds: float, *, times: int = 1, hub: str | None = None) -> FaultHandle:
        """Store the transfer at once and acknowledge it so much later."""
        return self._arm("event_hubs", "delay_acknowledgement", times, {"hub": hub}, milliseconds=milliseconds)

    def detach_sender(
        self, condition: str = "amqp:link:detach-forced", *, times: int = 1, hub: str | None = None
    ) -> FaultHandle:
        """Detach the link at its next transfer, with this condition, before anything is stored."""
        return self._arm("event_hubs", "detach_sender", times, {"hub": hub}, condition=condition)

    def detach_receiver(
        self,
        condition: str = "amqp:link:detach-forced",
        *,
        times: int = 1,
        hub: str | None = None,
        partition: str | None = None,
    ) -> FaultHandle:
        """Detach a receiver with this condition when it is next to be given an event."""
        where = {"hub": hub, "partition": partition}
        return self._arm("event_hubs", "detach_receiver", times, where, condition=condition)

    def throttle(self, throughput_units: float, *, hub: str | None = None) -> FaultHandle:
        """Give no more than so many throughput units until the fault is cleared; a hit is a transfer turned away."""
        return self._arm("event_hubs", "throttle", FOREVER, {"hub": hub}, throughput_units=throughput_units)

    def deliver_twice(self, *, times: int = 1, hub: str | None = None) -> FaultHandle:
        """Deliver an event a second time with the same sequence number, as after a consumer's reconnect."""
        return self._arm("event_hubs", "deliver_twice", times, {"hub": hub})

    def drop_connection(self, *, times: int = 1) -> FaultHandle:
        """Cut the TCP connection at the next transfer, before anything is stored."""
        return self._arm("event_hubs", "drop_connection", times, {})

    def end_retention(self, *, hub: str | None = None) -> int:
        """Remove what the hub holds now, as when its retention has ended: at once, and done when it returns.

        The number of events removed; sequence numbers go on. Raises: `ValueError` if no hub is told here or by a scope.
        """
        name = hub or self._scope.get("hub")
        if name is None:
            raise ValueError("say whose retention ends: hub=")
        return int(self._control("DELETE", f"/hubs/{quote(name, safe='')}/events", None)["events"])

    def pause_partition(self, partition: str, *, hub: str | None = None, group: str | None = None) -> FaultHandle:
        """Deliver nothing from this hub partition until the fault is cleared; sending goes on, and so do the readers of
        other consumer groups if `group` names one ("$Default" for the projector's)."""
        where = {"hub": hub, "partition": partition, "group": group}
        return self._arm("event_hubs", "pause_partition", FOREVER, where)


COSMOS_OPERATIONS = frozenset(
    {
        *("create", "read", "replace", "upsert", "patch", "delete", "batch", "delete_partition"),
        *("query", "read_feed", "change_feed", "list_ranges", "read_account"),
        *("create_database", "read_database", "list_databases", "query_databases", "delete_database"),
        *("create_container", "read_container", "list_containers", "query_containers"),
        *("replace_container", "delete_container"),
        *("read_offer", "list_offers", "query_offers", "replace_offer"),
    }
)


def _cosmos_where(operation: str | None, container: str | None, **facts: Any) -> dict[str, Any]:
    """Raises: `UnknownFault` for an operation that no request is, which would never strike."""
    if operation is not None and operation not in COSMOS_OPERATIONS:
        raise UnknownFault(f"no operation {operation!r}; there are: {', '.join(sorted(COSMOS_OPERATIONS))}")
    return {"operation": operation, "container": container, **facts}


class CosmosFaults(_Armer):
    """What Cosmos DB can be made to do. `operation` (of `COSMOS_OPERATIONS`) and `container` narrow a fault.

    Raises, each of them: `UnknownFault` for an operation that does not exist.
    """

    def respond(
        self,
        status: int,
        *,
        substatus: int = 0,
        retry_after_ms: int | None = None,
        times: int = 1,
        operation: str | None = None,
        container: str | None = None,
    ) -> FaultHandle:
        """Answer the next matching requests with this status; nothing is read or written."""
        where = _cosmos_where(operation, container)
        return self._arm(
            "cosmos", "respond", times, where, status=status, substatus=substatus, retry_after_ms=retry_after_ms
        )

    def delay(
        self, milliseconds: float, *, times: int = 1, operation: str | None = None, container: str | None = None
    ) -> FaultHandle:
        """Hold the next matching requests back for this long before they are carried out."""
        where = _cosmos_where(operation, container)
        return self._arm("cosmos", "delay", times, where, milliseconds=milliseconds)

    def drop_connection(
        self,
        *,
        after_commit: bool = False,
        times: int = 1,
        operation: str | None = None,
        container: str | None = None,
    ) -> FaultHandle:
        """Cut the connection without an answer, before the operation or (`after_commit`) after it is on disk."""
        where = _cosmos_where(operation, container, after_commit=after_commit)
        return self._arm("cosmos", "drop_connection", times, where)

    def crash(
        self, *, after_commit: bool = False, operation: str | None = None, container: str | None = None
    ) -> FaultHandle:
        """Die at the next matching request and come back: every connection is cut, only what is on disk is known.

        Before the operation, or (`after_commit`) between its commit and its answer.
        """
        where = _cosmos_where(operation, container, after_commit=after_commit)
        return self._arm("cosmos", "crash", 1, where)

    def enforce_throughput(self, *, container: str | None = None) -> FaultHandle:
        """Until cleared, refuse with 429 what exceeds a physical partition's provisioned RU/s; `hits` counts them."""
        return self._arm("cosmos", "enforce_throughput", FOREVER, {"container": container})

    def lag_second_region(self, milliseconds: float) -> FaultHandle:
        """Until cleared, have a second, readable region ("Local Second") that sees writes this much later.

        A client made afterwards reads there with `preferred_locations=["Local Second"]`; `hits` counts such reads.
        """
        everywhere = CosmosFaults(self._control)  # a region serves the whole account
        return everywhere._arm("cosmos", "lag_second_region", FOREVER, {}, milliseconds=milliseconds)


class EventGridFaults(_Armer):
    """What Event Grid can be made to do. `topic` narrows a fault."""

    def refuse_publish(self, status: int, *, times: int = 1, topic: str | None = None) -> FaultHandle:
        """Answer the next requests to publish with this status; nothing is stored."""
        return self._arm("event_grid", "refuse_publish", times, {"topic": topic}, status=status)

    def lose_acknowledgement(self, *, times: int = 1, topic: str | None = None) -> FaultHandle:
        """Store the events, then cut the connection. The SDK does not repeat that: who publishes again makes two."""
        return self._arm("event_grid", "lose_acknowledgement", times, {"topic": topic})

    def deliver_twice(self, *, times: int = 1, topic: str | None = None) -> FaultHandle:
        """Deliver what the webhook has taken a second time, as after a lost answer."""
        return self._arm("event_grid", "deliver_twice", times, {"topic": topic})


@dataclass(frozen=True, slots=True)
class Faults:
    """`faults.event_hubs...`, `faults.cosmos...`, `faults.event_grid...`, `report()` and `clear()`."""

    _control: Control
    _database: str | None = None
    _hub: str | None = None
    _topic: str | None = None

    def within(self, *, database: str, hub: str, topic: str | None = None) -> Faults:
        """Faults that strike, report and clear in this database, hub and topic only: for users who share."""
        return Faults(self._control, database, hub, topic)

    @property
    def event_hubs(self) -> EventHubsFaults:
        return EventHubsFaults(self._control, {"hub": self._hub} if self._hub else {})

    @property
    def cosmos(self) -> CosmosFaults:
        return CosmosFaults(self._control, {"database": self._database} if self._database else {})

    @property
    def event_grid(self) -> EventGridFaults:
        return EventGridFaults(self._control, {"topic": self._topic} if self._topic else {})

    def report(self) -> list[dict[str, Any]]:
        """Every armed fault with its hits."""
        report: list[dict[str, Any]] = self._control("GET", "/faults", None)
        return [fault for fault in report if self._is_mine(fault["where"])]

    def clear(self) -> None:
        """Disarm every fault."""
        for fault in self.report():
            self._control("DELETE", f"/faults/{fault['number']}", None)

    def _is_mine(self, where: Mapping[str, Any]) -> bool:
        if self._database is None and self._hub is None:
            return True
        mine = where.get("database") == self._database or are_same("hub", where.get("hub"), self._hub)
        return mine or (self._topic is not None and where.get("topic") == self._topic)
