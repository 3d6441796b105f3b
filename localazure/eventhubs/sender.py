"""A link that takes events in: from a transfer to the log, and the acknowledgement back once it is on disk.

Owns: the order of checks on an arriving message, the choice of the partition, the faults that strike sends.
Refuses to know: the connection; `abort` cuts it, `wake` says that there is something to send.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide (sender links);
learn.microsoft.com/azure/event-hubs/event-hubs-quotas (1 MB publications).
"""

from __future__ import annotations

from collections.abc import Callable

from localazure.amqp.errors import INTERNAL_ERROR
from localazure.amqp.events import Message
from localazure.amqp.link import Link
from localazure.amqp.performatives import ACCEPTED, rejected
from localazure.eventhubs.hub import Hub, Partition
from localazure.eventhubs.log import Tail
from localazure.eventhubs.messages import Event, split
from localazure.eventhubs.refusals import NotAllowed, Refused
from localazure.eventhubs.world import World

MAX_MESSAGE_BYTES = 1_048_576
CREDIT = 200


class Sender:
    """The service's side of a link whose peer sends. `partition` None: by key, or in turn."""

    def __init__(
        self,
        link: Link,
        hub: Hub,
        partition: Partition | None,
        *,
        world: World,
        abort: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self.link = link
        self.hub = hub
        self.partition = partition
        self._world = world
        self._abort = abort
        self._wake = wake

    def receive(self, message: Message) -> None:
        """Store it and acknowledge, or reject it."""
        hub = self.hub.key
        if self._world.faults.take("event_hubs", "drop_connection", hub=hub):
            self._abort()
            return
        fault = self._world.faults.take("event_hubs", "refuse_send", hub=hub)
        if fault is not None:
            self._reject(message, str(fault.values["condition"]), "refused on purpose")
            return
        try:
            events = split(message.payload, message.message_format)
            partition = self._choose(events)
        except Refused as refusal:
            self._reject(message, refusal.condition, refusal.description)
            return

        def done(tail: Tail | None, error: BaseException | None) -> None:
            self._stored(message, partition, len(events), tail, error)

        self._world.log.append(partition.id, events, int(self._world.now() * 1000), done)

    def _choose(self, events: list[Event]) -> Partition:
        key = events[0].partition_key
        if self.partition is None:
            return self.hub.partition_for(key)
        if key is not None:
            raise NotAllowed("a partition key cannot be given to a link that leads to one partition")
        return self.partition

    def _stored(
        self, message: Message, partition: Partition, count: int, tail: Tail | None, error: BaseException | None
    ) -> None:
        if tail is None:
            if isinstance(error, Refused):
                self._reject(message, error.condition, error.description)
            else:
                self._reject(message, INTERNAL_ERROR, f"the events could not be stored: {error}")
        else:
            partition.advance(tail)
            self._world.counters.events_in += count
            self._world.counters.batches_in += 1
            if self._world.faults.take("event_hubs", "lose_acknowledgement", hub=self.hub.key):
                self._abort()
                return
            if not message.settled:
                self.link.settle(message.delivery_id, message.delivery_id, ACCEPTED)
        self._wake()

    def _reject(self, message: Message, condition: str, description: str) -> None:
        """A message that was sent settled cannot be rejected: its link goes instead."""
        if message.settled:
            self.link.detach(condition, description)
        else:
            self.link.settle(message.delivery_id, message.delivery_id, rejected(condition, description))
        self._wake()
