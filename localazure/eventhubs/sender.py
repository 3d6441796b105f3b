"""A link that takes events in: from a transfer to the log, and the acknowledgement back once it is on disk.

Owns: the order of checks on an arriving message, the choice of the partition, the faults that strike sends.
Refuses to know: the connection; it is reached through
the functions it gives: cut, detach, do later (seconds), there is something to send.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide (sender links);
learn.microsoft.com/azure/event-hubs/event-hubs-quotas (1 MB publications).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from localazure.amqp.errors import INTERNAL_ERROR
from localazure.amqp.events import Message, Part
from localazure.amqp.link import Link
from localazure.amqp.performatives import ACCEPTED, rejected
from localazure.eventhubs.hub import Hub, Partition
from localazure.eventhubs.intake import Arrived, Arriving
from localazure.eventhubs.refusals import OnPurpose, Refused, ServerBusy
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
        end: Callable[[Refused], None],
        later: Callable[[float, Callable[[], None]], None],
        wake: Callable[[], None],
    ) -> None:
        self.link = link
        self.hub = hub
        self.partition = partition
        self._world = world
        self._abort = abort
        self._end = end
        self._later = later
        self._wake = wake
        self._arriving: Arriving | None = None

    def receive_part(self, part: Part) -> None:
        """Do what can be done before the message is whole."""
        if part.is_first or self._arriving is None:
            self._arriving = Arriving(part.message_format)
        self._arriving.add(part.payload)

    def receive(self, message: Message) -> None:
        """Store it and acknowledge, or reject it."""
        arriving, self._arriving = self._arriving, None
        if arriving is None or len(message.parts) == 1:
            arriving = Arriving(message.message_format)
        if self._is_struck(message):
            return
        arriving.add(message.parts[-1])
        try:
            arriving.cutter.finish()
            partition = self._choose(arriving.cutter.partition_key)
            self._meter(arriving.record.size_bytes, arriving.cutter.count)
        except Refused as refusal:
            self._reject(message, refusal.condition, refusal.description)
            return

        self._world.log.append(
            Arrived(
                arriving,
                partition.id,
                int(self._world.now() * 1000),
                done=lambda error: self._stored(message, arriving.cutter.count, error),
                kept=partition.advance,
            )
        )

    def _is_struck(self, message: Message) -> bool:
        """Whether a fault has dealt with the message."""
        faults, hub = self._world.faults, self.hub.name
        if faults.take("event_hubs", "drop_connection", hub=hub):
            self._abort()
            return True
        fault = faults.take("event_hubs", "detach_sender", hub=hub)
        if fault is not None:
            self._end(OnPurpose(str(fault.values["condition"])))
            return True
        fault = faults.take("event_hubs", "refuse_send", hub=hub)
        if fault is not None:
            refusal = OnPurpose(str(fault.values["condition"]))
            self._reject(message, refusal.condition, refusal.description)
            return True
        return False

    def _meter(self, size_bytes: int, events: int) -> None:
        """Raises: `ServerBusy` above the throughput units that a fault allows."""
        limit = self._world.throttle(self.hub)
        if limit is not None and not limit[1].take_in(size_bytes, events, self._world.now()):
            self._world.faults.take("event_hubs", "throttle", hub=self.hub.name)
            raise ServerBusy(
                "The request was terminated because the namespace is being throttled."
                " Error code : 50002. Please wait 4 seconds and try again."
            )

    def _choose(self, key: str | None) -> Partition:
        """A link to a partition leads there, whatever the key: the SDK's buffered mode sends both."""
        return self.partition or self.hub.partition_for(key)

    def _stored(self, message: Message, count: int, error: BaseException | None) -> None:
        if error is None:
            self._world.counters.events_in += count
            self._world.counters.batches_in += 1
            self._acknowledge(message)
            self._wake()
        elif isinstance(error, Refused):
            self._reject(message, error.condition, error.description)
        else:
            self._reject(message, INTERNAL_ERROR, f"the events could not be stored: {error}")

    def _acknowledge(self, message: Message) -> None:
        faults, hub = self._world.faults, self.hub.name
        if faults.take("event_hubs", "lose_acknowledgement", hub=hub):
            self._abort()
        elif not message.settled:
            settle = partial(self.link.settle, message.delivery_id, message.delivery_id, ACCEPTED)
            delay = faults.take("event_hubs", "delay_acknowledgement", hub=hub)
            if delay is None:
                settle()
            else:
                self._later(float(delay.values["milliseconds"]) / 1000, settle)

    def _reject(self, message: Message, condition: str, description: str) -> None:
        """A message that was sent settled cannot be rejected: its link goes instead."""
        if message.settled:
            self.link.detach(condition, description)
        else:
            self.link.settle(message.delivery_id, message.delivery_id, rejected(condition, description))
        self._wake()
