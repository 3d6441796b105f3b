"""Lag, as values: what one sample holds, what can be said from it, and the formula that should not be trusted.

Owns the definitions. Refuses to know where the figures come from (`sources`) and when they are taken (`monitor`).

Wall time only, aware, UTC. Two clocks are always involved, the service's and the reader's: an age that comes out below
zero because they disagree is reported as 0.
- `lag_events`: last enqueued sequence number - last applied one, per hub partition.
- `lag_seconds`: the age of the oldest event that is enqueued and not applied, the maximum over hub partitions; 0 when
  nothing is unapplied. None when something is unapplied and its age could not be read, or the hub has dropped it all.
- outbox: events committed and not yet published, and the age of the oldest.
- `staleness_seconds`: the age of the oldest accepted fact that the read models do not show, wherever it waits.
- retention loss: events that the hub dropped before they were applied. An alarm of its own, whatever the lag says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from labkit.projections.folds import NOTHING


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One hub partition. `applied` is read after `last_enqueued`, so that a lag of 0 is never overlooked.

    `first_retained` is the lowest sequence number that the hub still holds, or will. `oldest_unapplied_at` is when the
    hub took the first event after `applied` that it still holds; None when there is none, or it could not be read.
    """

    partition_id: str
    first_retained: int
    last_enqueued: int
    applied: int
    oldest_unapplied_at: datetime | None = None

    @property
    def lag_events(self) -> int:
        return max(self.last_enqueued - self.applied, 0)

    @property
    def lost_events(self) -> int:
        """Events that left the hub by retention before they were applied."""
        if self.last_enqueued == NOTHING:
            return 0
        return max(min(self.first_retained, self.last_enqueued + 1) - (self.applied + 1), 0)

    def lag_seconds(self, now: datetime) -> float | None:
        if self.lag_events == 0:
            return 0.0
        return age_seconds(self.oldest_unapplied_at, now)


@dataclass(frozen=True, slots=True)
class OutboxLag:
    """Events in the write model that the relay has not published; `is_at_least` when counting stopped early."""

    events: int
    oldest_at: datetime | None = None
    is_at_least: bool = False


@dataclass(frozen=True, slots=True)
class LagSample:
    """Everything that was read at about `at`."""

    at: datetime
    partitions: tuple[PartitionLag, ...]
    outbox: OutboxLag
    parked_events: int = 0
    oldest_parked_at: datetime | None = None
    relay_beat_at: datetime | None = None
    projector_beat_at: datetime | None = None
    newest_event_at: datetime | None = None
    newest_update_at: datetime | None = None

    @property
    def lag_events(self) -> int:
        return sum(partition.lag_events for partition in self.partitions)

    @property
    def lag_seconds(self) -> float | None:
        return _highest(partition.lag_seconds(self.at) for partition in self.partitions)

    @property
    def outbox_seconds(self) -> float | None:
        return age_seconds(self.outbox.oldest_at, self.at) if self.outbox.events else 0.0

    @property
    def staleness_seconds(self) -> float | None:
        return _highest([self.lag_seconds, self.outbox_seconds])

    @property
    def lost_events(self) -> int:
        return sum(partition.lost_events for partition in self.partitions)

    @property
    def naive_seconds(self) -> float | None:
        return naive_lag_seconds(self.newest_event_at, self.newest_update_at)

    def as_row(self) -> dict[str, object]:
        """One row of the tidy frame: a column per measure, `lag_events_<hub partition>` per hub partition."""
        named = ("lag_events", "lag_seconds", "outbox_seconds", "staleness_seconds", "naive_seconds", "lost_events")
        oldest = {"parked": self.oldest_parked_at}
        ages = oldest | {"relay_beat": self.relay_beat_at, "projector_beat": self.projector_beat_at}
        return (
            {"at": self.at, "outbox_events": self.outbox.events, "parked_events": self.parked_events}
            | {name: getattr(self, name) for name in named}
            | {f"{name}_seconds": age_seconds(moment, self.at) for name, moment in ages.items()}
            | {f"lag_events_{partition.partition_id}": partition.lag_events for partition in self.partitions}
        )


def naive_lag_seconds(newest_event_at: datetime | None, newest_update_at: datetime | None) -> float | None:
    """The widely copied formula, max(event time) - max(updated at): kept to show where it lies.

    Negative when caught up; blind to one stuck hub partition; the same for ever once the projector is dead and traffic
    has ended; and as wrong as the producer's clock.
    """
    if newest_event_at is None or newest_update_at is None:
        return None
    return (newest_event_at - newest_update_at).total_seconds()


def age_seconds(moment: datetime | None, now: datetime) -> float | None:
    """How long ago; never below 0, None for no moment."""
    return None if moment is None else max((now - moment).total_seconds(), 0.0)


def is_stalled(beat_at: datetime | None, now: datetime, limit_seconds: float) -> bool:
    """Whether a worker's last sign of life is missing or too old: lag alone cannot tell idle from dead."""
    age = age_seconds(beat_at, now)
    return age is None or age > limit_seconds


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` (0 < share <= 1) of the values do not exceed (nearest rank).

    Raises: `ValueError` without values: there is no honest figure then.
    """
    ordered = sorted(values)
    if not ordered or not 0 < share <= 1:
        raise ValueError("a percentile needs at least one value and a share in (0, 1]")
    return ordered[math.ceil(share * len(ordered)) - 1]


def _highest(values: Iterable[float | None]) -> float | None:
    """The maximum; None if any part of it is not known, as the unknown part may be the worst."""
    known = list(values)
    if any(value is None for value in known):
        return None
    return max((value for value in known if value is not None), default=0.0)
