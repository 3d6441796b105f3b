"""An AMQP server that stores nothing: the ceiling of what the Azure SDK can send and receive.

It accepts any token and any link. A transfer is answered with a disposition made beforehand, a flow with transfers made
beforehand, as many as it gives credit for. Prints its port. Run by `bench/event_hubs.py`.

Given a path, it has the bytes of a transfer on disk before it answers, looking at nothing, in the way that the service
writes ahead: what is lost then is lost to the disk alone. One file is written over and over, in place.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from pathlib import Path

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
from localazure.write_ahead import Record, WriteAhead

BODY = encode.described(0x75, encode.binary(b"x" * 1_000))
PROPERTIES = encode.map_of(
    [
        (encode.string("name"), encode.string("sink")),
        (encode.string("created_at"), encode.timestamp(0)),
        (encode.string("partition_ids"), encode.array_of_strings(["0"])),
    ]
)
CANNED_EVENTS = 250
TRANSFER_CODE = 0x14
SETTLED = performatives.write(Disposition(True, 0x7FFFFFFF, 0x7FFFFFFF, True, ACCEPTED))
DELIVERY_ID = struct.pack(">I", 0x7FFFFFFF)


class Disk:
    """What the service writes ahead with, and a check of nothing."""

    def __init__(self, path: Path) -> None:
        self.ahead = WriteAhead(path)
        self.record = Record()

    def take(self, data: bytes) -> None:
        self.record.parts.append(data)
        self.record.size_bytes += len(data)

    def flush(self) -> None:
        self.ahead.release(self.ahead.write([self.record]))
        self.record = Record()


class Sink(asyncio.Protocol):
    """Sets a connection up with the real engine, then answers a hub's links from what is canned."""

    def __init__(self, disk: Disk | None) -> None:
        self.disk = disk

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.engine = Connection("sink")
        self.replies: list[Link] = []
        self.canned = b""
        self.reader: Link | None = None
        self.paused = False
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
            case Credit(link) if self.canned:
                self.reader = link
                self.deliver()
            case _:
                pass

    def deliver(self) -> None:
        """A piece at a time: a transport moves all it still holds with each piece the socket takes."""
        while self.reader is not None and self.reader.credit > 0 and not self.paused:
            count = min(self.reader.credit, CANNED_EVENTS)
            self.reader.credit -= count
            self.transport.write(self.canned[: len(self.canned) * count // CANNED_EVENTS])

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.deliver()

    def can(self, link: Link) -> None:
        """Transfers of equal length, so that a part of them is whole transfers."""
        event, _ = stamp(split(BODY, 0), 1, 1, 1)
        link.session._remote_window = 0x7FFFFFFF
        self.transport.write(self.engine.data_to_send())
        link.session.send_deliveries(link.handle, [event] * CANNED_EVENTS, 0, settled=False)
        self.canned = self.engine.data_to_send()

    def acknowledge(self, data: bytes) -> None:
        """One canned disposition for each delivery that is complete."""
        if self.disk is not None:
            self.disk.take(data)
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
                    if self.disk is not None:
                        self.disk.flush()
                    self.transport.write(struct.pack(">IBB", len(body) + 8, 2, 0) + channel + body)
            start += size
        self.rest = data[start:]


async def main() -> None:
    disk = Disk(Path(sys.argv[1])) if len(sys.argv) > 1 else None
    server = await asyncio.get_running_loop().create_server(lambda: Sink(disk), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
