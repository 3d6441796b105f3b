"""What is too old or too much goes, from the beginning of each partition.

Owns: when to look and what has expired. Refuses to know: how it is removed (`log.expire`).

Source: learn.microsoft.com/azure/event-hubs/event-hubs-features (event retention; 7 days at most in the Standard tier).
Gap: Azure has no retention by size; it is here so that a long run cannot fill a disk.
"""

from __future__ import annotations

from dataclasses import dataclass

from localazure.eventhubs.world import World

SWEEP_SECONDS = 5.0


@dataclass(slots=True)
class Retention:
    """Looks every `SWEEP_SECONDS`, when somebody's tick comes by."""

    world: World
    due: float = 0.0

    def sweep(self, now: float) -> None:
        """Have removed what has expired by `now` (seconds since 1970)."""
        if now < self.due:
            return
        self.due = now + SWEEP_SECONDS
        for hub in self.world.hubs.values():
            record = hub.record
            before_ms = int(now * 1000) - record.retention_ms
            for partition in hub.partitions:
                if partition.tail.next_sequence:
                    self.world.log.expire(partition.id, before_ms, record.retention_bytes)
