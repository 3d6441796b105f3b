"""One client's connection to Event Hubs: which link leads where, who may attach, whose turn it is to deliver.

Owns: the links of a connection and the tokens put on it, and what ends with them. Refuses to know: sockets, frames.

How: the events of `amqp.Connection` are dispatched to what a link's `context` is: a `Sender`, a `Receiver` or a `Node`.
Deliveries are made when output is asked for (`data_to_send`), a bounded amount at a time, receivers taking turns; if
more is ready, `wake` is called again. So a slow client costs the server one round of output.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide (links, claims).
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable

from localazure.amqp.connection import Connection
from localazure.amqp.errors import CONNECTION_FORCED
from localazure.amqp.events import Attaching, Credit, Detached, Event, Message, Part
from localazure.amqp.link import Link
from localazure.eventhubs.addresses import CBS, MANAGEMENT, Address, parse_address
from localazure.eventhubs.hub import Hub
from localazure.eventhubs.nodes import Node, Nodes
from localazure.eventhubs.positions import position_of
from localazure.eventhubs.receiver import RUNTIME_METRIC, Next, Receiver
from localazure.eventhubs.refusals import (
    EntityNotFound,
    NotAllowed,
    NotImplementedHere,
    ReceiverDisconnected,
    Refused,
    Unauthorized,
)
from localazure.eventhubs.retention import Retention
from localazure.eventhubs.sender import CREDIT, MAX_MESSAGE_BYTES, Sender
from localazure.eventhubs.starts import first_to_deliver
from localazure.eventhubs.termini import address_of, is_coordinator, owner_level, wants
from localazure.eventhubs.tokens import Grants, Right
from localazure.eventhubs.world import World

logger = logging.getLogger(__name__)

OUTPUT_BYTES = 131_072
PAUSE_SECONDS = 0.05
"""After so long it is looked whether a receiver that may not deliver may do so now."""
NEVER = float("inf")


class HubConnection:
    """A connection of one client. `closed`: send what is left, then close; `aborted`: drop the socket as it is."""

    def __init__(self, world: World, retention: Retention, container_id: str, wake: Callable[[], None]) -> None:
        self._world = world
        self._retention = retention
        self._wake = wake
        self._amqp = Connection(container_id)
        self._grants = Grants()
        self._nodes = Nodes(world, self._grants, self._note_expiry)
        self._claims: dict[Link, tuple[str, Right]] = {}
        self._expiry = NEVER
        self._ready: dict[Receiver, None] = {}
        self._paused: dict[Receiver, None] = {}
        self._paused_until = NEVER
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.aborted = False
        world.counters.connections += 1

    @property
    def closed(self) -> bool:
        return self._amqp.closed

    # Bytes and time.

    def receive_bytes(self, data: bytes | memoryview) -> None:
        for event in self._amqp.receive_bytes(data):
            self._dispatch(event)
            if self.aborted:
                return

    def data_to_send(self) -> bytes:
        """A bounded amount of what there is to send; `wake` follows if there is more."""
        budget = OUTPUT_BYTES // max(1, len(self._ready))
        ready, self._ready = self._ready, {}
        for receiver in ready:
            self._pump(receiver, max(budget, 1))
        output = self._amqp.data_to_send()
        if self._ready:
            self._wake()
        return output

    def tick(self, now: float) -> float | None:
        """Heartbeats, expired tokens, pauses; when to be called again."""
        times = [self._amqp.tick(now) or NEVER]
        self._retention.sweep(now)
        times.append(self._retention.due)
        if now >= self._expiry:
            self._end_expired(now)
        while self._later and self._later[0][0] <= now:
            heapq.heappop(self._later)[2]()
        if self._later:
            times.append(self._later[0][0])
        if self._paused and now < self._paused_until <= now + PAUSE_SECONDS:  # later only if the clock was set back
            times.append(self._paused_until)
        elif self._paused:
            self._ready, self._paused = self._ready | self._paused, {}
        if self._ready or self._amqp.has_output:
            self._wake()
        soonest = min(*times, self._expiry)
        return None if soonest == NEVER else soonest

    def connection_lost(self) -> None:
        """The socket has gone: nothing can be said any more."""
        for event in self._amqp.lost():
            self._dispatch(event)

    def _do_later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._later, (self._world.now() + seconds, next(self._order), action))
        self._wake()

    def abort(self) -> None:
        """Cut the connection without a word."""
        self.aborted = True
        self._wake()

    def shut_down(self) -> None:
        """Say that the service is stopping; what is left to send may be sent, then the socket is to be closed."""
        for event in self._amqp.close(CONNECTION_FORCED, "The service is stopping."):
            self._dispatch(event)
        self._amqp.closed = True
        self._wake()

    def end_links(self, hub: Hub, refusal: Refused) -> None:
        """Detach every link that leads to this hub."""
        for link in list(self._claims):
            if link.context.hub is hub:
                self._end(link, refusal)

    # What arrives.

    def _dispatch(self, event: Event) -> None:
        match event:
            case Attaching(link):
                self._attach(link)
            case Message(link):
                self._message(link, event)
            case Part(link):
                if isinstance(link.context, Sender):
                    link.context.receive_part(event)
            case Credit(link):
                if isinstance(link.context, Receiver):
                    self._make_ready(link.context)
                elif isinstance(link.context, Node):
                    link.context.flush()
            case Detached(link):
                self._forget(link)
            case _:
                logger.debug("%s", event)

    def _message(self, link: Link, message: Message) -> None:
        if isinstance(link.context, Sender):
            link.context.receive(message)
        elif isinstance(link.context, Node):
            self._nodes.receive(link.context, message)

    def _make_ready(self, receiver: Receiver) -> None:
        if receiver not in self._paused:
            self._ready[receiver] = None
            self._wake()

    def _pump(self, receiver: Receiver, budget_bytes: int) -> None:
        try:
            following = receiver.pump(budget_bytes)
        except Refused as refusal:
            self._end(receiver.link, refusal)
            return
        if following is Next.TURN:
            self._ready[receiver] = None
        elif following is Next.PAUSE:
            if not self._paused:
                self._paused_until = self._world.now() + PAUSE_SECONDS
            self._paused[receiver] = None

    def _end(self, link: Link, refusal: Refused) -> None:
        link.detach(refusal.condition, refusal.description)
        self._forget(link)
        self._wake()

    def _forget(self, link: Link) -> None:
        self._claims.pop(link, None)
        context = link.context
        if isinstance(context, Receiver):
            context.partition.release(context)
            self._ready.pop(context, None)
            self._paused.pop(context, None)
        elif isinstance(context, Node):
            self._nodes.forget(context)
        link.context = None

    # Who may attach.

    def _attach(self, link: Link) -> None:
        terminus = link.attach.target if link.peer_sends else link.attach.source
        text = address_of(terminus)
        try:
            if is_coordinator(terminus):
                raise NotImplementedHere("transactions are not implemented")
            address = None if text is None else parse_address(text)
            if address is None:
                raise EntityNotFound(f"The messaging entity {text!r} could not be found.")
            if address.node in (CBS, MANAGEMENT):
                link.context = self._nodes.attach(address.node, link)
                link.accept(max_message_bytes=MAX_MESSAGE_BYTES, credit=CREDIT)
            else:
                self._attach_to_hub(link, address)
        except Refused as refusal:
            logger.debug("attach to %r refused: %s: %s", text, refusal.condition, refusal)
            link.refuse(refusal.condition, refusal.description)

    def _attach_to_hub(self, link: Link, address: Address) -> None:
        hub = self._world.hub(address.hub or "")
        right = Right.SEND if link.peer_sends else Right.LISTEN
        if not self._grants.permits(address.path, right, self._world.now()):
            claim = "Send" if link.peer_sends else "Listen"
            raise Unauthorized(
                f"Unauthorized access. '{claim}' claim(s) are required to perform this operation."
                f" Resource: '{address.path}'."
            )
        if link.peer_sends:
            self._attach_sender(link, hub, address)
        else:
            self._attach_receiver(link, hub, address)
        self._claims[link] = address.path, right
        self._note_expiry()

    def _attach_sender(self, link: Link, hub: Hub, address: Address) -> None:
        if address.group is not None:
            raise NotAllowed("events are sent to a hub or a partition, not to a consumer group")
        partition = None if address.partition is None else hub.partition(address.partition)
        link.context = Sender(
            link,
            hub,
            partition,
            world=self._world,
            abort=self.abort,
            end=lambda refusal: self._end(link, refusal),
            later=self._do_later,
            wake=self._wake,
        )
        link.accept(max_message_bytes=MAX_MESSAGE_BYTES, credit=CREDIT)

    def _attach_receiver(self, link: Link, hub: Hub, address: Address) -> None:
        if address.group is None or address.partition is None:
            raise NotAllowed("events are received from one partition, through a consumer group")
        hub.check_group(address.group)
        partition = hub.partition(address.partition)
        assert link.attach.source is not None
        start = first_to_deliver(self._world.log, partition.id, position_of(link.attach.source.value), partition.tail)
        receiver = Receiver(
            link,
            hub,
            partition,
            address.group,
            start,
            owner_level=owner_level(link.attach),
            tracks_last_enqueued=wants(link.attach, RUNTIME_METRIC),
            world=self._world,
            wake=self._make_ready,
            end=lambda refusal: self._end(link, refusal),
        )
        for displaced in partition.admit(receiver):
            displaced.end(
                ReceiverDisconnected(
                    f"New receiver with higher epoch of '{receiver.owner_level}' is created hence current receiver"
                    f" with epoch '{displaced.owner_level or 0}' is getting disconnected."
                )
            )
        link.context = receiver
        capabilities = (RUNTIME_METRIC,) if receiver.tracks_last_enqueued else ()
        link.accept(max_message_bytes=MAX_MESSAGE_BYTES, capabilities=capabilities)

    # What ends with its token.

    def _note_expiry(self) -> None:
        self._expiry = min((self._grants.until(*claim) for claim in self._claims.values()), default=NEVER)

    def _end_expired(self, now: float) -> None:
        for link, (path, right) in list(self._claims.items()):
            if self._grants.until(path, right) <= now:
                self._end(link, Unauthorized(f"ExpiredToken: The token is expired. Resource: '{path}'."))
        self._note_expiry()
