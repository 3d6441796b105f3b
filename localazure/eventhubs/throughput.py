"""How much a namespace of n throughput units takes in and gives out per second.

Owns: the four limits and the buckets that are filled by the clock. Refuses to know: who is turned away; a sender is
rejected with server-busy, a receiver waits.

How: each bucket holds at most one second's worth. A publication is let in while both ingress buckets are above zero and
may take them below, so that one publication larger than a second's worth is not refused for ever.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-scalability (throughput units: 1 MB/s or 1,000 events/s in,
2 MB/s or 4,096 events/s out).
"""

from __future__ import annotations

from dataclasses import dataclass, field

INGRESS_BYTES_PER_S = 1_048_576
INGRESS_EVENTS_PER_S = 1_000
EGRESS_BYTES_PER_S = 2_097_152
EGRESS_EVENTS_PER_S = 4_096


@dataclass(slots=True)
class Bucket:
    """What may still be used, filled at `per_s` up to one second's worth."""

    per_s: float
    level: float
    filled_at: float

    def available(self, now: float) -> float:
        self.level = min(self.per_s, self.level + max(0.0, now - self.filled_at) * self.per_s)
        self.filled_at = now
        return self.level

    def use(self, amount: float) -> None:
        self.level -= amount


@dataclass(slots=True)
class Meter:
    """The limits of `units` throughput units, full at `now` (seconds)."""

    units: float
    now: float
    _in: tuple[Bucket, Bucket] = field(init=False)
    _out: tuple[Bucket, Bucket] = field(init=False)

    def __post_init__(self) -> None:
        def full(per_s: int) -> Bucket:
            return Bucket(per_s * self.units, per_s * self.units, self.now)

        self._in = full(INGRESS_BYTES_PER_S), full(INGRESS_EVENTS_PER_S)
        self._out = full(EGRESS_BYTES_PER_S), full(EGRESS_EVENTS_PER_S)

    def take_in(self, size_bytes: int, events: int, now: float) -> bool:
        """Whether a publication is let in; it is counted if so."""
        if min([bucket.available(now) for bucket in self._in]) <= 0:
            return False
        self._in[0].use(size_bytes)
        self._in[1].use(events)
        return True

    def egress_bytes(self, now: float) -> float:
        """How many bytes may go out now; 0 or less while a limit is used up."""
        bytes_left, events_left = (bucket.available(now) for bucket in self._out)
        return bytes_left if events_left >= 1 else 0.0

    def give_out(self, size_bytes: int) -> None:
        self._out[0].use(size_bytes)
        self._out[1].use(1)
