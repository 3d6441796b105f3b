"""An AMQP server that stores nothing: the ceiling of what the Azure SDK can send and receive.

It accepts any token and any link. A transfer is answered with a disposition made beforehand, a flow with transfers made
beforehand, as many as it gives credit for. Prints its port. Run by `bench/event_hubs.py`.
"""

from __future__ import annotations

import asyncio
import struct

from localazure.amqp import encode, performatives
from localazure.amqp.connection import Connection
from localazure.amqp.events import Attaching, Credit, Event, Message
from localazure.amqp.link import Link
from localazure.amqp.performatives import ACCEPTED
from localazure.amqp.records import Disposition, Transfer
from localazure.eventhubs.messages import split, stamp
from localazure.eventhubs.requests import read_request, write_response
from localazure.eventhubs.sender import MAX_MESSAGE_BYTES
from localazure.eventhubs.termini import address_of

BODY = encode.described(0x75, encode.binary(b"x" * 1_000))
PROPERTIES = encode.map_of(
    [
        (encode.string("name"), encode.string("sink")),
        (encode.string("created_at"), encode.timestamp(0)),
        (encode.string("partition_ids"), encode.array_of_strings(["0"])),
    ]
)
CANNED_EVENTS = 500
TRANSFER_CODE = 0x14
SETTLED = performatives.write(Disposition(True, 0x7FFFFFFF, 0x7FFFFFFF, True, ACCEPTED))
DELIVERY_ID = struct.pack(">I", 0x7FFFFFFF)


class Sink(asyncio.Protocol):
    """Sets a connection up with the real engine, then answers a hub's links from what is canned."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.engine = Connection("sink")
        self.replies: list[Link] = []
        self.canned = b""
        self.sends = False
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        if self.sends:
            self.acknowledge(data)
            return
        for event in self.engine.receive_bytes(data):
            self.react(event)
        output = self.engine.data_to_send()
        if output:
            self.transport.write(output)

    def react(self, event: Event) -> None:
        match event:
            case Attaching(link):
                link.accept(max_message_bytes=MAX_MESSAGE_BYTES, credit=10_000)
                address = address_of(link.attach.target if link.peer_sends else link.attach.source) or ""
                if address.startswith("$"):
                    if not link.peer_sends:
                        self.replies.append(link)
                elif link.peer_sends:
                    self.sends = True
                else:
                    self.can(link)
            case Message(link):
                link.settle(event.delivery_id, event.delivery_id, ACCEPTED)
                answer = write_response(read_request(event.payload), 202, "Accepted", None, PROPERTIES)
                self.replies[-1].send(answer)
            case Credit(link):
                while self.canned and link.credit > 0:
                    count = min(link.credit, CANNED_EVENTS)
                    link.credit -= count
                    self.transport.write(self.canned[: len(self.canned) * count // CANNED_EVENTS])
            case _:
                pass

    def can(self, link: Link) -> None:
        """Transfers of equal length, so that a part of them is whole transfers."""
        (event,), _ = stamp(split(BODY, 0), 1, 1, 1)
        link.session._remote_window = 0x7FFFFFFF
        self.transport.write(self.engine.data_to_send())
        for _ in range(CANNED_EVENTS):
            link.session.send_delivery(link.handle, event, 0, settled=False)
        self.canned = self.engine.data_to_send()

    def acknowledge(self, data: bytes) -> None:
        """One canned disposition for each delivery that is complete."""
        data = self.rest + data
        start = 0
        while len(data) - start >= 8:
            size = int.from_bytes(data[start : start + 4], "big")
            if len(data) - start < size:
                break
            if size > 8 and data[start + 10] == TRANSFER_CODE:
                transfer = performatives.read(data[start + 8 : start + size])
                assert isinstance(transfer, Transfer)
                if not transfer.more:
                    body = SETTLED.replace(DELIVERY_ID, struct.pack(">I", transfer.delivery_id or 0))
                    channel = data[start + 6 : start + 8]
                    self.transport.write(struct.pack(">IBB", len(body) + 8, 2, 0) + channel + body)
            start += size
        self.rest = data[start:]


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
