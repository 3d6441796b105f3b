"""The two service nodes of a connection: `$cbs` takes tokens, `$management` tells properties.

Owns: their operations and the way of a response to the right link. Refuses to know: hubs' links.

How: a response goes to the link of the same node whose target is the request's reply-to, or, as the Azure SDK for
Python sends none, to the one in the same session; it waits there for credit. The request is settled after its
response: AMQP leaves the order open, and the SDK, which pauses for 50 ms after each frame while it opens a link, needs
the response alone (a request by itself took 415 ms, and takes 368).

Source: AMQP claims-based security draft 1, section 3 (put-token); azure-eventhub 5.15.1, `_pyamqp/cbs.py`. An unknown
hub is refused here with 404, not at attach: that is where the SDK turns it into an error that names the cause.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from localazure.amqp import encode
from localazure.amqp.events import Message
from localazure.amqp.link import Link
from localazure.amqp.performatives import ACCEPTED, rejected
from localazure.eventhubs.addresses import CBS, MANAGEMENT, path_of
from localazure.eventhubs.management import hub_properties, is_partition_request, partition_properties
from localazure.eventhubs.refusals import BadMessage, NotImplementedHere, Refused, Unauthorized
from localazure.eventhubs.requests import Request, read_request, write_response
from localazure.eventhubs.termini import address_of
from localazure.eventhubs.tokens import ALL, Grants, check_token
from localazure.eventhubs.world import World

PUT_TOKEN = "put-token"


@dataclass(slots=True, eq=False)
class Node:
    """One link to a node, in either direction."""

    name: str
    link: Link
    outbox: deque[bytes] = field(default_factory=deque)

    def flush(self) -> None:
        """Send the responses that credit allows."""
        while self.outbox and self.link.sendable:
            self.link.send(self.outbox.popleft())


class Nodes:
    """All node links of one connection, and the tokens that came over them."""

    def __init__(self, world: World, grants: Grants, granted: Callable[[], None]) -> None:
        self._world = world
        self._grants = grants
        self._granted = granted
        self._nodes: list[Node] = []

    def attach(self, name: str, link: Link) -> Node:
        node = Node(name, link)
        self._nodes.append(node)
        return node

    def forget(self, node: Node) -> None:
        self._nodes.remove(node)

    def receive(self, node: Node, message: Message) -> None:
        """Carry out a request and answer it."""
        try:
            request = read_request(message.payload)
        except BadMessage as refusal:
            node.link.settle(message.delivery_id, message.delivery_id, rejected(refusal.condition, refusal.description))
            return
        try:
            status, body = (self._put_token if node.name == CBS else self._read)(request)
            response = write_response(request, status, "Accepted" if status == 202 else "OK", None, body)
        except Refused as refusal:
            response = write_response(request, refusal.status, refusal.description, refusal.condition, encode.NULL)
        answering = self._answering(node, request)
        if answering is not None:
            answering.outbox.append(response)
            answering.flush()
        if not message.settled:
            node.link.settle(message.delivery_id, message.delivery_id, ACCEPTED)

    def _answering(self, node: Node, request: Request) -> Node | None:
        candidates = [one for one in self._nodes if one.name == node.name and not one.link.peer_sends]
        for one in candidates:
            if request.reply_to is not None and address_of(one.link.attach.target) == request.reply_to:
                return one
        return next((one for one in candidates if one.link.session is node.link.session), None)

    def _put_token(self, request: Request) -> tuple[int, bytes]:
        if request.properties.get("operation") != PUT_TOKEN:
            raise NotImplementedHere(f"the operation {request.properties.get('operation')!r} is not implemented")
        audience = request.text("name")
        if not isinstance(request.body, str):
            raise BadMessage("the token must be a string")
        token = check_token(
            request.body,
            audience,
            keys=self._world.keys,
            bearer_token=self._world.bearer_token,
            now=self._world.now(),
        )
        path = path_of(audience)
        if path:
            self._world.hub(path[0])
        self._grants.put(token)
        self._granted()
        return 202, encode.NULL

    def _read(self, request: Request) -> tuple[int, bytes]:
        of_partition = is_partition_request(request)
        hub = self._world.hub(request.text("name"))
        if not self._grants.permits(f"{hub.key}/{MANAGEMENT}", ALL, self._world.now()):
            raise Unauthorized(f"Unauthorized access. A token for '{hub.name}' is needed.")
        if not of_partition:
            return 200, hub_properties(hub)
        partition = hub.partition(request.text("partition"))
        first = self._world.log.first_sequence(partition.id, partition.tail)
        return 200, partition_properties(hub, partition, first)
