"""Hubs and partitions while the service runs: where each log ends, who waits at its end, who owns it.

Owns: the in-memory side of a hub. The disk side is `log`. Refuses to know: frames.

How: a partition's tail moves when a commit is reported; receivers that had nothing left to deliver are woken then.
Owner levels and the limit of five are kept per partition and consumer group, among the receivers that are attached.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-event-processor-host (epoch);
learn.microsoft.com/azure/event-hubs/event-hubs-quotas (five non-epoch receivers, 1 to 32 partitions, 20 groups).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localazure.eventhubs.addresses import DEFAULT_GROUP
from localazure.eventhubs.catalog import HubRecord, Tail
from localazure.eventhubs.partition_key import partition_of
from localazure.eventhubs.refusals import EntityNotFound, QuotaExceeded, ReceiverDisconnected

if TYPE_CHECKING:
    from localazure.eventhubs.receiver import Receiver

MOST_PARTITIONS = 32
MOST_CONSUMER_GROUPS = 20
MOST_RECEIVERS_WITHOUT_OWNER_LEVEL = 5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


@dataclass(slots=True, eq=False)
class Partition:
    """One partition: its id in the log, its number as clients write it."""

    id: int
    number: str
    tail: Tail
    waiting: set[Receiver] = field(default_factory=set)
    receivers: dict[str, list[Receiver]] = field(default_factory=dict)

    def admit(self, receiver: Receiver) -> list[Receiver]:
        """Let a receiver in; those it displaces. Raises: `ReceiverDisconnected`, `QuotaExceeded`."""
        others = self.receivers.setdefault(receiver.group, [])
        level = receiver.owner_level
        highest = max((other.owner_level for other in others if other.owner_level is not None), default=None)
        displaced: list[Receiver] = []
        if level is None:
            if highest is not None:
                raise ReceiverDisconnected(
                    f"At least one receiver for the endpoint is created with epoch of '{highest}', and so non-epoch"
                    " receiver is not allowed."
                )
            if len(others) >= MOST_RECEIVERS_WITHOUT_OWNER_LEVEL:
                raise QuotaExceeded(
                    "Exceeded the maximum number of allowed receivers per partition in a consumer group which is"
                    f" {MOST_RECEIVERS_WITHOUT_OWNER_LEVEL}."
                )
        else:
            if highest is not None and highest > level:
                raise ReceiverDisconnected(
                    f"A receiver with a higher epoch '{highest}' already exists. A receiver with epoch '{level}'"
                    " cannot be created."
                )
            displaced, others[:] = list(others), []
        others.append(receiver)
        return displaced

    def release(self, receiver: Receiver) -> None:
        """Forget a receiver that has gone; it may have been displaced already."""
        self.waiting.discard(receiver)
        others = self.receivers.get(receiver.group, [])
        if receiver in others:
            others.remove(receiver)

    def advance(self, tail: Tail) -> None:
        """The log has grown up to `tail`, durably: wake whoever waited for that."""
        if tail.next_sequence > self.tail.next_sequence:
            self.tail = tail
            waiting, self.waiting = self.waiting, set()
            for receiver in waiting:
                receiver.wake()


@dataclass(slots=True, eq=False)
class Hub:
    """One hub. `key` is its name as names are compared."""

    record: HubRecord
    partitions: tuple[Partition, ...]
    groups: frozenset[str]
    _turn: int = -1

    @classmethod
    def from_record(cls, record: HubRecord, tail: Callable[[int], Tail]) -> Hub:
        partitions = tuple(Partition(id, str(number), tail(id)) for number, id in enumerate(record.partitions))
        return cls(record, partitions, frozenset({DEFAULT_GROUP, *(name.lower() for name in record.groups)}))

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def key(self) -> str:
        return self.record.name.lower()

    @property
    def created_ms(self) -> int:
        return self.record.created_ms

    def partition(self, number: str) -> Partition:
        """Raises: `EntityNotFound`."""
        if number.isdecimal() and int(number) < len(self.partitions):
            return self.partitions[int(number)]
        raise EntityNotFound(f"The messaging entity '{self.name}|{number}' could not be found.")

    def partition_for(self, key: str | None) -> Partition:
        """By the key's hash, or in turn without one."""
        if key is not None:
            return self.partitions[partition_of(key, len(self.partitions))]
        self._turn = (self._turn + 1) % len(self.partitions)
        return self.partitions[self._turn]

    def check_group(self, group: str) -> None:
        """Raises: `EntityNotFound`."""
        if group not in self.groups:
            raise EntityNotFound(f"The messaging entity '{self.name}|{group}' could not be found.")


def check_new_hub(name: str, partition_count: int, groups: Iterable[str]) -> None:
    """Raises: `ValueError` for what Event Hubs does not allow in the Standard tier."""
    groups = list(groups)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no hub name: letters, digits, '.', '-' and '_', at most 255")
    if not 1 <= partition_count <= MOST_PARTITIONS:
        raise ValueError(f"a hub has 1 to {MOST_PARTITIONS} partitions, not {partition_count}")
    if len({DEFAULT_GROUP, *(group.lower() for group in groups)}) > MOST_CONSUMER_GROUPS:
        raise ValueError(f"a hub has at most {MOST_CONSUMER_GROUPS} consumer groups, $Default included")
    for group in groups:
        if group.lower() != DEFAULT_GROUP and not _NAME.fullmatch(group):
            raise ValueError(f"{group!r} is no consumer group name")
