"""Messages as a client of Event Hubs writes them and reads them back, and the links by which it asks for them."""

from __future__ import annotations

from typing import Any

from localazure.amqp import encode
from localazure.amqp.decode import decode
from localazure.amqp.records import Transfer
from localazure.eventhubs.messages import sections

from .conftest import Peer

PARTITION_0 = "orders/ConsumerGroups/$Default/Partitions/0"


def data_section(body: bytes) -> bytes:
    return encode.described(0x75, encode.binary(body))


def batch_of(*bodies: bytes, key: str | None = None) -> bytes:
    envelope = b""
    if key is not None:
        envelope = encode.described(0x72, encode.map_of([(encode.symbol("x-opt-partition-key"), encode.string(key))]))
    return envelope + b"".join(encode.described(0x75, encode.binary(data_section(body))) for body in bodies)


def payloads_of(got: list[Any]) -> list[bytes]:
    return [one.payload for one in got if isinstance(one, Transfer)]


def bodies_of(got: list[Any]) -> list[bytes]:
    return [decode(payload, sections(payload)[-1].value)[0] for payload in payloads_of(got)]


def received_by(peer: Peer, address: str = PARTITION_0, credit: int = 100, source: bytes | None = None) -> list[Any]:
    handle, _ = peer.attach(address, is_receiver=True, source=source)
    return peer.flow(handle, credit)


def selecting(text: str, descriptor: bytes = encode.symbol("apache.org:selector-filter:string")) -> bytes:
    filters = encode.map_of(
        [(encode.symbol("apache.org:selector-filter:string"), b"\x00" + descriptor + encode.string(text))]
    )
    return encode.described(0x28, encode.list_of([encode.string(PARTITION_0)] + [encode.NULL] * 6 + [filters]))
