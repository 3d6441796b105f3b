"""The armed faults of one server: what a lesson or a test makes the embedded services do wrong, each hit counted.

The services ask the book at the points where the real service can fail: `take` counts a hit, and a fault that has had
its times strikes no more; `peek` looks without counting, at a fault that lasts until it is cleared. Refuses to know:
which kinds there are, and which facts and values they take (`fault_kinds`), and who arms them (`faults`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from localazure.fault_kinds import UnknownFault, check

Service = Literal["cosmos", "event_hubs", "event_grid"]
FOREVER = -1
CASELESS = ("hub", "group")
"""Facts that are names of Event Hubs, which the service compares without regard to case."""


@dataclass(slots=True)
class Fault:
    """One armed fault: strikes `times` times (`FOREVER`: until cleared) where every fact in `where` matches."""

    number: int
    service: Service
    kind: str
    times: int
    where: Mapping[str, Any]
    values: Mapping[str, Any]
    hits: int = 0

    def matches(self, service: Service, kind: str, facts: Mapping[str, Any]) -> bool:
        alive = self.times == FOREVER or self.hits < self.times
        return (
            alive
            and self.service == service
            and self.kind == kind
            and all(are_same(name, facts.get(name), value) for name, value in self.where.items())
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "service": self.service,
            "kind": self.kind,
            "times": self.times,
            "where": dict(self.where),
            "values": dict(self.values),
            "hits": self.hits,
        }


def are_same(name: str, one: Any, other: Any) -> bool:
    if name in CASELESS and isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return bool(one == other)


@dataclass(slots=True)
class FaultBook:
    """The armed faults of one server, in the order in which they were armed."""

    _faults: list[Fault] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def any_armed(self) -> bool:
        return bool(self._faults)

    def arm(
        self, service: Service, kind: str, times: int, where: Mapping[str, Any], values: Mapping[str, Any]
    ) -> Fault:
        """Raises: `UnknownFault` for a kind, fact or value that no fault has, or a count that is not one."""
        check(service, kind, where, values)
        if times != FOREVER and times < 1:
            raise UnknownFault(f"a fault strikes at least once, not {times} times")
        with self._lock:
            fault = Fault(next(self._numbers), service, kind, times, dict(where), dict(values))
            self._faults.append(fault)
        return fault

    def take(self, service: Service, kind: str, **facts: Any) -> Fault | None:
        """The first armed fault of this kind that these facts meet, with one hit counted; None if there is none."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.matches(service, kind, facts):
                    fault.hits += 1
                    return fault
        return None

    def peek(self, service: Service, kind: str, **facts: Any) -> Fault | None:
        """As `take`, without counting a hit: for states that last, such as a paused partition."""
        if not self._faults:
            return None
        with self._lock:
            return next((fault for fault in self._faults if fault.matches(service, kind, facts)), None)

    def clear(self, number: int | None = None) -> list[dict[str, Any]]:
        """Disarm one fault, or all of them: as they were at the end, with every hit."""
        with self._lock:
            cleared = [fault for fault in self._faults if number is None or fault.number == number]
            self._faults = [fault for fault in self._faults if fault not in cleared]
        return [fault.as_json() for fault in cleared]

    def report(self) -> list[dict[str, Any]]:
        with self._lock:
            return [fault.as_json() for fault in self._faults]
