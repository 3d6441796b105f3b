"""A client's bytes for the protocol tests, and what a server answers, read back."""

from __future__ import annotations

import contextlib
import hmac
import itertools
import queue
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from localazure.amqp import encode, frames, performatives, records
from localazure.amqp.connection import Connection
from localazure.amqp.decode import decode
from localazure.amqp.events import Attaching, Detached, Event, Message
from localazure.amqp.link import Link
from localazure.amqp.performatives import ACCEPTED
from localazure.amqp.records import Attach, Begin, Detach, End, Flow, Open, Performative, RawValue, SaslInit, Transfer
from localazure.eventhubs.messages import sections
from localazure.eventhubs.service import EventHubs
from localazure.fault_book import FaultBook

SENDER, RECEIVER = 1, 2
"""Handles of the client's two links."""


def terminus(address: str, code: int) -> RawValue:
    return RawValue(None, encode.described(code, encode.list_of([encode.string(address)])))


def frame(performative: Performative, channel: int = 0) -> bytes:
    return frames.frame(channel, performatives.write(performative))


def attach(handle: int, *, is_receiver: bool, name: str | None = None) -> Attach:
    return Attach(
        name=name or f"link-{handle}",
        handle=handle,
        is_receiver=is_receiver,
        source=terminus("a source", 0x28),
        target=terminus("a target", 0x29),
        initial_delivery_count=None if is_receiver else 0,
    )


def transfer(handle: int = SENDER, delivery_id: int = 0, payload: bytes = b"payload", **more: Any) -> Transfer:
    return Transfer(handle, delivery_id, b"tag", 0, payload=payload, **more)


SASL = frames.SASL_HEADER
SASL_INIT = frames.frame(0, performatives.write(SaslInit("ANONYMOUS", b"", "localhost")), frames.SASL_FRAME)
AMQP = frames.AMQP_HEADER
OPEN = frame(Open("a client", "localhost", 65_536, 65_535))
BEGIN = frame(Begin(None, 0, 2_048, 2_048))
ATTACH_SENDER = frame(attach(SENDER, is_receiver=False))
ATTACH_RECEIVER = frame(attach(RECEIVER, is_receiver=True))
TRANSFER = frame(transfer())
FLOW = frame(Flow(0, 2_048, 0, 2_048, SENDER, 0, 10))
DETACH = frame(Detach(SENDER, closed=True))
END = frame(End())
CLOSE = frame(records.Close())
UP_TO_OPEN = SASL + SASL_INIT + AMQP
UP_TO_BEGIN = UP_TO_OPEN + OPEN
UP_TO_ATTACH = UP_TO_BEGIN + BEGIN


@dataclass
class Server:
    """A connection with the least of a service on it: accepts every link, acknowledges every message."""

    connection: Connection = field(default_factory=lambda: Connection("a server"))
    events: list[Event] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    max_message_bytes: int = 100_000

    def feed(self, data: bytes, at_a_time: int | None = None) -> bytes:
        """The answer to these bytes, given whole or in pieces."""
        size = at_a_time or max(1, len(data))
        answer = b""
        for start in range(0, len(data), size):
            for event in self.connection.receive_bytes(data[start : start + size]):
                self.events.append(event)
                self._react(event)
            answer += self.connection.data_to_send()
        return answer

    def _react(self, event: Event) -> None:
        if isinstance(event, Attaching):
            self.links.append(event.link)
            event.link.accept(max_message_bytes=self.max_message_bytes, credit=10)
        elif isinstance(event, Message) and not event.settled:
            event.link.settle(event.delivery_id, event.delivery_id, ACCEPTED)

    def detached(self) -> int:
        return sum(isinstance(event, Detached) for event in self.events)


def answers(data: bytes) -> list[Any]:
    """The protocol headers and performatives in a server's output; None for an empty frame."""
    found: list[Any] = []
    while data:
        if data[:4] == b"AMQP":
            found.append(data[:8])
            data = data[8:]
            continue
        size = int.from_bytes(data[:4], "big")
        assert len(data) >= size, "a server's frame is cut off"
        found.append(performatives.read(data[8:size]) if size > 8 else None)
        data = data[size:]
    return found


def conditions(data: bytes) -> list[str | None]:
    """The error conditions in a server's answer, one per detach, end or close."""
    return [
        performatives.error_condition(answer.error)
        for answer in answers(data)
        if isinstance(answer, records.Detach | records.End | records.Close)
    ]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def opened() -> Callable[[], Server]:
    """Makes servers with a mapped session, their output so far taken."""

    def make() -> Server:
        server = Server()
        server.feed(UP_TO_ATTACH)
        return server

    return make


KEY = "a key"
HOST = "sb://localhost"


def put_token(
    path: str, policy: str = "manage", *, key: str = KEY, expires: int = 2_000_000, audience: str | None = None
) -> bytes:
    """A put-token request for `sb://localhost/<path>` with a SAS token of this policy."""
    resource = quote_plus(f"{HOST}/{path}")
    signature = b64encode(hmac.digest(key.encode(), f"{resource}\n{expires}".encode(), "sha256")).decode()
    token = f"SharedAccessSignature sr={resource}&sig={quote_plus(signature)}&se={expires}&skn={policy}"
    return request(
        {"operation": "put-token", "name": f"{HOST}/{path}" if audience is None else audience}, encode.string(token)
    )


def request(properties: dict[str, str], body: bytes = encode.NULL, message_id: bytes | None = None) -> bytes:
    """A request message."""
    pairs = [(encode.string(name), encode.string(value)) for name, value in properties.items()]
    return b"".join(
        (
            encode.described(0x73, encode.list_of([message_id or encode.string("request-1")])),
            encode.described(0x74, encode.map_of(pairs)),
            encode.described(0x77, body),
        )
    )


class Peer:
    """A client of a whole `EventHubs`, without sockets: links by handle, messages as bytes."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.connection = namespace.service.connect(lambda: None)
        self._handles = itertools.count(1)
        self._deliveries = itertools.count(0)
        self.feed(UP_TO_ATTACH)

    def feed(self, data: bytes) -> list[Any]:
        self.connection.receive_bytes(data)
        return answers(self.take())

    def take(self) -> bytes:
        """Everything the server has to send now."""
        output = b""
        while piece := self.connection.data_to_send():
            output += piece
        return output

    def attach(
        self, address: str, *, is_receiver: bool, source: bytes | None = None, target: bytes | None = None
    ) -> Any:
        """The handle and the server's answers."""
        handle = next(self._handles)
        mine = terminus(address, 0x28 if is_receiver else 0x29)
        asked = Attach(
            name=f"link-{handle}",
            handle=handle,
            is_receiver=is_receiver,
            source=RawValue(None, source) if source else mine if is_receiver else terminus("here", 0x28),
            target=RawValue(None, target) if target else terminus("here", 0x29) if is_receiver else mine,
            initial_delivery_count=None if is_receiver else 0,
        )
        return handle, self.feed(frame(asked))

    def flow(self, handle: int, credit: int = 100, **more: Any) -> list[Any]:
        return self.feed(frame(Flow(0, 100_000, 0, 100_000, handle, 0, credit, **more)))

    def send(self, handle: int, payload: bytes, message_format: int = 0, *, settled: bool = False) -> list[Any]:
        """The answers, once what was stored is durable."""
        number = next(self._deliveries)
        whole = Transfer(handle, number, b"tag", message_format, settled, payload=payload)
        got = self.feed(frame(whole))
        if not got:
            self.namespace.run_posted()
            got = answers(self.take())
        return got

    def authorise(self, path: str, policy: str = "manage", **token: Any) -> int:
        """Put a token; the status of the answer."""
        return self.ask("$cbs", put_token(path, policy, **token))["status-code"]

    def ask(self, node: str, message: bytes) -> dict[str, Any]:
        """The application properties of the answer, and its body under `body`."""
        requests, _ = self.attach(node, is_receiver=False)
        replies, _ = self.attach(node, is_receiver=True)
        self.flow(replies, 5)
        got = self.send(requests, message)
        (response,) = [one for one in got if isinstance(one, Transfer)]
        self.feed(frame(Detach(requests, closed=True)) + frame(Detach(replies, closed=True)))
        parts = {one.code: decode(response.payload, one.value)[0] for one in sections(response.payload)}
        return {**parts[0x74], "body": parts[0x77], "correlation_id": parts[0x73][5]}


class Namespace:
    """An `EventHubs` whose clock stands still and whose callbacks run when they are asked to."""

    def __init__(self, folder: Path) -> None:
        self.time = 1_000_000.0
        self.faults = FaultBook()
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        keys = dict.fromkeys(("RootManageSharedAccessKey", "manage", "send", "listen"), KEY)
        self.service = EventHubs(
            folder, keys=keys, post=self._posted.put, faults=self.faults, now=lambda: self.time, bearer_token="a bearer"
        )

    def run_posted(self) -> None:
        """Wait for the first report, and for all that is on its way to the disk, and run what is there."""
        self._posted.get(timeout=60)()
        while self.service._log._intake.is_busy:
            self._posted.get(timeout=60)()
        with contextlib.suppress(queue.Empty):
            while True:
                self._posted.get_nowait()()

    def run_all_posted(self) -> None:
        """Have everything that was submitted so far made durable, moved into the file, and reported."""
        while self.service._log._intake.is_busy:
            self._posted.get(timeout=60)()
        self.service._log._intake.unmoved.move()
        self.service._log._journal.run(lambda _: None)
        with contextlib.suppress(queue.Empty):
            while True:
                self._posted.get_nowait()()


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    made = Namespace(tmp_path)
    yield made
    made.service.close()


@pytest.fixture
def peer(namespace: Namespace) -> Peer:
    """A client with every right on the hub `orders` (2 partitions, group `monitor`)."""
    namespace.service.create_hub("orders", 2, ["monitor"])
    made = Peer(namespace)
    assert made.authorise("orders") == 202
    return made
