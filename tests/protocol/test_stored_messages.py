"""What Event Hubs makes of a message: which are events, which bytes stay, which annotations are its own."""

from __future__ import annotations

import pytest

from localazure.amqp import encode
from localazure.amqp.decode import Described, decode
from localazure.amqp.performatives import error_condition
from localazure.amqp.records import Disposition
from localazure.eventhubs.messages import BATCH_FORMAT, sections

from .conftest import Namespace, Peer
from .payloads import batch_of, bodies_of, data_section, payloads_of, received_by
from .test_types import VALUES


def test_a_batch_becomes_events_with_the_services_annotations(peer: Peer, namespace: Namespace) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    (outcome,) = peer.send(sender, batch_of(b"one", b"two", key="order-1"), BATCH_FORMAT)
    assert outcome == Disposition(True, 1, 1, True, Described(0x24, []))
    got = received_by(peer)
    assert bodies_of(got) == [b"one", b"two"]
    annotations = [decode(payload, sections(payload)[0].value)[0] for payload in payloads_of(got)]
    assert [list(one) for one in annotations] == [
        ["x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time", "x-opt-partition-key"]
    ] * 2
    first, second = annotations
    assert (first["x-opt-sequence-number"], second["x-opt-sequence-number"]) == (0, 1)
    assert (first["x-opt-offset"], second["x-opt-offset"]) == ("0", str(len(payloads_of(got)[0])))
    assert first["x-opt-enqueued-time"] == 1_000_000_000
    assert first["x-opt-partition-key"] == "order-1"


def test_every_amqp_type_comes_back_byte_for_byte(peer: Peer) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    encoded = [data for name, data, _ in VALUES]
    tails = [encode.described(0x77, data) for data in encoded]
    tails.append(encode.described(0x76, encode.list_of(encoded)) + encode.described(0x76, encode.EMPTY_LIST))
    pairs = [(encode.string(f"{number}"), data) for number, data in enumerate(encoded)]
    tails.append(encode.described(0x74, encode.map_of(pairs)) + data_section(b"a") + data_section(b"b"))
    tails.append(data_section(b"x") + encode.described(0x78, encode.map_of(pairs)))
    for tail in tails:
        (outcome,) = peer.send(sender, tail)
        assert outcome.state.descriptor == 0x24
    for payload, tail in zip(payloads_of(received_by(peer)), tails, strict=True):
        assert payload.endswith(tail)
        assert len(payload) - len(tail) == sections(payload)[0].end


def test_a_header_stays_in_front_and_foreign_annotations_survive_but_not_forged_ones(peer: Peer) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    header = encode.described(0x70, encode.list_of([encode.TRUE]))
    forged = [
        (encode.symbol("x-mine"), encode.long(1)),
        (encode.symbol("x-opt-sequence-number"), encode.long(99)),
        (encode.symbol("x-opt-offset"), encode.string("99")),
    ]
    named = b"\x00" + encode.symbol("amqp:message-annotations:map") + encode.map_of(forged)
    peer.send(sender, header + named + data_section(b"body"))
    (payload,) = payloads_of(received_by(peer))
    assert [section.code for section in sections(payload)] == [0x70, 0x72, 0x75]
    annotations = decode(payload, sections(payload)[1].value)[0]
    assert (annotations["x-mine"], annotations["x-opt-sequence-number"], annotations["x-opt-offset"]) == (1, 0, "0")


@pytest.mark.parametrize(
    ("payload", "message_format"),
    [
        (b"", 0),
        (b"\xff", 0),
        (b"\x00\x53\x75", 0),
        (b"\x00\x53\x75\xa0\x05abc", 0),
        (b"\x00\x53\x75\x40", 0),
        (b"\x00\x53\x79\x40", 0),
        (b"\x00\x53\x74\xc1\x02\x01\x40", 0),
        (b"\x00\x53\x72\xc1\x08\x02\xa3\x01x\xc0\x02\x01\xff", 0),
        (encode.described(0x72, encode.map_of([(encode.symbol("x-opt-partition-key"), encode.NULL)])), 0),
        (b"", BATCH_FORMAT),
        (data_section(b"not a message"), BATCH_FORMAT),
        (encode.described(0x77, encode.NULL), BATCH_FORMAT),
    ],
)
def test_what_is_no_message_is_rejected_with_decode_error_and_stored_nowhere(
    peer: Peer, namespace: Namespace, payload: bytes, message_format: int
) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    (outcome,) = peer.send(sender, payload, message_format)
    assert outcome.state.descriptor == 0x25
    assert error_condition(outcome.state.value[0]) == "amqp:decode-error"
    assert namespace.service.counters()["events_in"] == 0
    (fine,) = peer.send(sender, data_section(b"fine"))
    assert fine.state.descriptor == 0x24


def test_a_settled_transfer_is_stored_without_an_answer(peer: Peer, namespace: Namespace) -> None:
    sender, _ = peer.attach("orders/Partitions/0", is_receiver=False)
    assert peer.send(sender, data_section(b"fire and forget"), settled=True) == []
    assert bodies_of(received_by(peer)) == [b"fire and forget"]
    (detached,) = peer.send(sender, b"\xff", settled=True)
    assert error_condition(detached.error) == "amqp:decode-error"
