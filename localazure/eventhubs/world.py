"""What all connections of one service share: hubs, log, keys, clock, faults, counters.

Owns: the hubs by name. Refuses to know: connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from localazure.eventhubs.hub import Hub
from localazure.eventhubs.log import Log
from localazure.eventhubs.refusals import EntityNotFound
from localazure.eventhubs.throughput import Meter
from localazure.fault_book import Fault, FaultBook


@dataclass(slots=True)
class Counters:
    """What a service has done since it started."""

    connections: int = 0
    batches_in: int = 0
    events_in: int = 0
    events_out: int = 0


@dataclass(slots=True)
class World:
    """One service's shared state. `now` is in seconds since 1970."""

    log: Log
    keys: Mapping[str, str]
    bearer_token: str | None
    now: Callable[[], float]
    faults: FaultBook
    hubs: dict[str, Hub] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    _meters: dict[int, Meter] = field(default_factory=dict)

    def hub(self, name: str) -> Hub:
        """The hub of that name, in whatever case. Raises: `EntityNotFound`."""
        hub = self.hubs.get(name.lower())
        if hub is None:
            raise EntityNotFound(f"The messaging entity '{name}' could not be found.")
        return hub

    def throttle(self, hub: Hub) -> tuple[Fault, Meter] | None:
        """The limit that a fault has put on this hub, if any; one meter per armed fault."""
        fault = self.faults.peek("event_hubs", "throttle", hub=hub.name)
        if fault is None:
            return None
        if fault.number not in self._meters:
            self._meters[fault.number] = Meter(float(fault.values["throughput_units"]), self.now())
        return fault, self._meters[fault.number]
