"""Conversations, each given whole, byte by byte, and with something behind it: the answer is the same."""

from __future__ import annotations

import pytest

from localazure.amqp import encode, fields, frames, performatives
from localazure.amqp.events import Message
from localazure.amqp.records import (
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    Flow,
    Open,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Transfer,
)

from . import conftest as client
from .conftest import Server, answers, attach, conditions, frame, transfer

MIB = 1_048_576
CONVERSATIONS = {
    "headers and SASL": client.UP_TO_OPEN,
    "open": client.UP_TO_BEGIN,
    "begin": client.UP_TO_ATTACH,
    "attach a sender and a receiver": client.UP_TO_ATTACH + client.ATTACH_SENDER + client.ATTACH_RECEIVER,
    "send in one transfer": client.UP_TO_ATTACH + client.ATTACH_SENDER + client.TRANSFER,
    "send in three transfers": client.UP_TO_ATTACH
    + client.ATTACH_SENDER
    + frame(transfer(payload=b"one ", more=True))
    + frame(transfer(payload=b"two ", more=True))
    + frame(transfer(payload=b"three")),
    "send settled": client.UP_TO_ATTACH + client.ATTACH_SENDER + frame(transfer(settled=True)),
    "abort a delivery": client.UP_TO_ATTACH
    + client.ATTACH_SENDER
    + frame(transfer(payload=b"one ", more=True))
    + frame(transfer(aborted=True)),
    "detach and attach again on the same handle": client.UP_TO_ATTACH
    + client.ATTACH_SENDER
    + client.DETACH
    + client.ATTACH_SENDER,
    "end and begin again on the same channel": client.UP_TO_ATTACH + client.END + client.BEGIN,
    "close": client.UP_TO_ATTACH + client.ATTACH_SENDER + client.CLOSE,
    "an empty frame is a heartbeat": client.UP_TO_BEGIN + frames.EMPTY_FRAME,
    "ask for an echo": client.UP_TO_ATTACH + frame(Flow(0, 10, 0, 10, echo=True)),
    "a wrong SASL header": frames.AMQP_HEADER,
    "not AMQP at all": b"GET / HTTP/1.1\r\n\r\n",
    "a frame that is too long": client.UP_TO_BEGIN + b"\xff\xff\xff\xff\x02\x00\x00\x00",
    "a transfer without begin": client.UP_TO_BEGIN + client.TRANSFER,
    "a transfer without attach": client.UP_TO_ATTACH + client.TRANSFER,
    "a body that is no list": client.UP_TO_BEGIN + frames.frame(0, b"\x00\x53\x11\x40"),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_however_the_bytes_arrive_the_answer_is_the_same(name: str) -> None:
    data = CONVERSATIONS[name]
    whole, pieces, behind = Server(), Server(), Server()
    answer = whole.feed(data)
    assert answer or name == "an empty frame is a heartbeat"
    assert pieces.feed(data, at_a_time=1) == answer
    assert behind.feed(data + frames.EMPTY_FRAME[:5]) == answer
    assert len(pieces.events) == len(behind.events) == len(whole.events)


def test_the_handshake_offers_anonymous_and_opens_with_every_field() -> None:
    got = answers(Server().feed(client.UP_TO_BEGIN))
    assert got[0] == frames.SASL_HEADER
    assert isinstance(got[1], SaslMechanisms)
    assert list(got[1].mechanisms) == ["MSSBCBS", "ANONYMOUS"]
    assert got[2] == SaslOutcome(0)
    assert got[3] == frames.AMQP_HEADER
    assert got[4] == Open("a server", None, 65_536, 4_999, 240_000)


def test_every_performative_is_written_with_all_its_fields_in_a_real_list() -> None:
    output = Server().feed(client.UP_TO_ATTACH + client.ATTACH_SENDER + client.TRANSFER + client.DETACH + client.CLOSE)
    data, seen = output, set()
    while data:
        if data[:4] == b"AMQP":
            data = data[8:]
            continue
        size = int.from_bytes(data[:4], "big")
        body = data[8:size]
        assert body[:2] == b"\x00\x53", "the SDK reads the descriptor's third byte"
        assert body[3] in (0xC0, 0xD0), "the SDK knows no empty list as a frame body"
        count = body[5] if body[3] == 0xC0 else int.from_bytes(body[8:12], "big")
        kind = type(performatives.read(body))
        assert count == len(fields.FIELDS[kind])
        seen.add(kind)
        data = data[size:]
    assert {Open, Begin, Attach, Flow, Disposition, Detach, Close} <= seen


def test_a_message_in_parts_is_whole_in_the_event() -> None:
    server = Server()
    server.feed(CONVERSATIONS["send in three transfers"])
    (message,) = [event for event in server.events if isinstance(event, Message)]
    assert message.payload == b"one two three"


def test_an_aborted_delivery_is_no_message_and_costs_its_credit() -> None:
    server = Server()
    server.feed(CONVERSATIONS["abort a delivery"])
    assert not [event for event in server.events if isinstance(event, Message)]
    assert server.links[0].credit == 9


def test_credit_is_topped_up_at_half_and_a_transfer_beyond_it_detaches() -> None:
    server = Server()
    got = answers(
        server.feed(
            client.UP_TO_ATTACH + client.ATTACH_SENDER + b"".join(frame(transfer(delivery_id=n)) for n in range(5))
        )
    )
    assert [(flow.link_credit, flow.delivery_count) for flow in got if isinstance(flow, Flow)] == [(10, 0), (10, 5)]
    server.links[0].credit = 0
    assert conditions(server.feed(frame(transfer(delivery_id=5)))) == ["amqp:link:transfer-limit-exceeded"]


def test_a_message_above_the_links_limit_is_rejected_and_the_link_lives_on() -> None:
    server = Server(max_message_bytes=100)
    server.feed(client.UP_TO_ATTACH + client.ATTACH_SENDER)
    too_much = [transfer(payload=b"x" * 60, more=True), transfer(payload=b"x" * 60)]
    (rejection,) = answers(server.feed(b"".join(map(frame, too_much))))
    assert performatives.error_condition(rejection.state.value[0]) == "amqp:link:message-size-exceeded"
    (acceptance,) = answers(server.feed(frame(transfer(delivery_id=1))))
    assert acceptance.state.descriptor == 0x24


def test_what_is_sent_is_cut_to_the_peers_frame_size_under_one_delivery_id() -> None:
    server = Server()
    small = frame(Open("a client", max_frame_size=512))
    server.feed(client.UP_TO_OPEN + small + client.BEGIN + client.ATTACH_RECEIVER)
    server.feed(frame(Flow(0, 2_048, 0, 2_048, client.RECEIVER, 0, 5)))
    payload = bytes(range(256)) * 6
    server.links[0].send(payload)
    output = server.connection.data_to_send()
    parts = answers(output)
    assert len(parts) == 4
    assert all(isinstance(part, Transfer) for part in parts)
    assert b"".join(part.payload for part in parts) == payload
    assert [part.more for part in parts] == [True, True, True, False]
    assert {part.delivery_id for part in parts} == {0}
    assert max(int.from_bytes(output[n : n + 4], "big") for n in (0, 512, 1_024)) <= 512


def test_transfers_wait_for_the_peers_window() -> None:
    server = Server()
    server.feed(client.UP_TO_BEGIN + frame(Begin(None, 0, 2, 2_048)) + client.ATTACH_RECEIVER)
    server.feed(frame(Flow(0, 2, 0, 2_048, client.RECEIVER, 0, 100)))
    link = server.links[0]
    for number in range(3):
        link.send(b"%d" % number)
    assert [part.payload for part in answers(server.connection.data_to_send())] == [b"0", b"1"]
    assert not link.sendable
    assert [part.payload for part in answers(server.feed(frame(Flow(2, 5, 0, 2_048))))] == [b"2"]
    assert link.sendable


def test_messages_that_wait_for_the_window_have_ids_of_their_own() -> None:
    server = Server()
    small = frame(Open("a client", max_frame_size=512))
    server.feed(client.UP_TO_OPEN + small + frame(Begin(None, 0, 1, 2_048)) + client.ATTACH_RECEIVER)
    server.feed(frame(Flow(0, 1, 0, 2_048, client.RECEIVER, 0, 100)))
    link = server.links[0]
    link.send(b"a" * 600, b"b" * 600)
    link.send(b"c")
    parts = answers(server.connection.data_to_send()) + answers(server.feed(frame(Flow(1, 10, 0, 2_048))))
    assert [(part.delivery_id, part.payload[:1], part.more) for part in parts] == [
        *[(0, b"a", True), (0, b"a", False), (2, b"b", True), (2, b"b", False), (4, b"c", False)]
    ]


def test_the_peers_window_is_counted_from_what_it_has_seen() -> None:
    server = Server()
    server.feed(client.UP_TO_BEGIN + frame(Begin(None, 0, 3, 2_048)) + client.ATTACH_RECEIVER)
    server.feed(frame(Flow(0, 3, 0, 2_048, client.RECEIVER, 0, 100)))
    for number in range(5):
        server.links[0].send(b"%d" % number)
    assert [part.payload for part in answers(server.connection.data_to_send())] == [b"0", b"1", b"2"]
    assert [part.payload for part in answers(server.feed(frame(Flow(1, 3, 0, 2_048))))] == [b"3"]
    assert [part.payload for part in answers(server.feed(frame(Flow(4, 3, 0, 2_048))))] == [b"4"]


def test_a_receiver_that_drains_gets_its_credit_taken_back() -> None:
    server = Server()
    server.feed(client.UP_TO_ATTACH + client.ATTACH_RECEIVER)
    server.feed(frame(Flow(0, 100, 0, 100, client.RECEIVER, 0, 7, drain=True)))
    link = server.links[0]
    assert (link.credit, link.is_draining) == (7, True)
    link.drained()
    (flow,) = answers(server.connection.data_to_send())
    assert (flow.delivery_count, flow.link_credit) == (7, 0)


def test_the_delivery_count_may_wrap() -> None:
    server = Server()
    late = Attach("a", client.RECEIVER, True, source=attach(1, is_receiver=True).source)
    server.feed(client.UP_TO_ATTACH + frame(late))
    link = server.links[0]
    link.delivery_count = 0xFFFFFFFE
    server.feed(frame(Flow(0, 100, 0, 100, client.RECEIVER, 0xFFFFFFFE, 5)))
    for _ in range(3):
        link.send(b"")
    assert (link.delivery_count, link.credit) == (1, 2)
    server.feed(frame(Flow(3, 100, 0, 100, client.RECEIVER, 1, 5)))
    assert link.credit == 5


def test_a_wrong_header_is_answered_with_the_right_one_and_the_end() -> None:
    server = Server()
    assert server.feed(b"HTTP/1.1") == frames.SASL_HEADER
    assert server.connection.closed


def test_an_unknown_mechanism_is_refused() -> None:
    server = Server()
    init = frames.frame(0, performatives.write(SaslInit("GSSAPI")), frames.SASL_FRAME)
    assert answers(server.feed(frames.SASL_HEADER + init))[-1] == SaslOutcome(1)
    assert server.connection.closed


def test_after_a_close_everything_is_discarded_until_the_peer_closes_too() -> None:
    server = Server()
    assert conditions(server.feed(client.UP_TO_BEGIN + client.TRANSFER)) == ["amqp:not-allowed"]
    assert not server.connection.closed
    assert server.feed(client.BEGIN + client.ATTACH_SENDER) == b""
    assert server.feed(client.CLOSE) == b""
    assert server.connection.closed


def test_a_peer_that_does_not_answer_a_close_is_given_up_after_five_seconds() -> None:
    server = Server()
    server.feed(client.UP_TO_BEGIN + b"\x00\x00\x00\x00\x00\x00\x00\x00")
    assert server.connection.tick(100.0) == 105.0
    assert not server.connection.closed
    server.connection.tick(105.0)
    assert server.connection.closed


def test_a_heartbeat_is_sent_at_half_the_peers_idle_timeout_and_only_when_nothing_else_was() -> None:
    server = Server()
    server.feed(client.UP_TO_OPEN + frame(Open("a client", idle_timeout_ms=10_000)))
    assert server.connection.tick(0.0) == 5.0
    assert not server.connection.has_output
    assert server.connection.tick(5.0) == 10.0
    assert server.connection.data_to_send() == frames.EMPTY_FRAME
    server.feed(client.BEGIN)
    assert server.connection.tick(10.0) == 15.0
    assert not server.connection.has_output


def test_a_clock_that_is_set_back_costs_no_heartbeat_and_closes_nobody() -> None:
    server = Server()
    server.feed(client.UP_TO_OPEN + frame(Open("a client", idle_timeout_ms=10_000)))
    assert server.connection.tick(9_000.0) == 9_005.0
    assert server.connection.tick(5_400.0) == 5_405.0, "an hour back, five seconds later by any other clock"
    assert server.connection.data_to_send() == frames.EMPTY_FRAME
    assert server.connection.tick(5_405.0) == 5_410.0
    assert server.connection.data_to_send() == frames.EMPTY_FRAME
    assert not server.connection.closed


def test_a_peer_that_is_silent_for_longer_than_the_idle_timeout_is_closed() -> None:
    server = Server()
    server.feed(client.UP_TO_ATTACH + client.ATTACH_SENDER)
    assert server.connection.tick(0.0) == 240.0
    server.connection.tick(240.0)
    assert conditions(server.connection.data_to_send()) == ["amqp:connection:forced"]


def test_a_refused_link_is_attached_without_a_terminus_and_detached_with_the_reason() -> None:
    for is_receiver in (True, False):
        server = Server()
        server._react = lambda event: event.link.refuse("amqp:not-found", "no such hub")  # type: ignore[method-assign]
        for _ in server.connection.receive_bytes(client.UP_TO_ATTACH):
            pass
        server.connection.data_to_send()
        attached, detached = answers(server.feed(frame(attach(3, is_receiver=is_receiver))))
        assert (attached.source if is_receiver else attached.target) is None
        assert performatives.error_condition(detached.error) == "amqp:not-found"
        assert server.feed(frame(Detach(3, closed=True))) == b""


def test_a_disposition_that_leaves_a_delivery_unsettled_is_settled() -> None:
    server = Server()
    server.feed(client.UP_TO_ATTACH + client.ATTACH_RECEIVER)
    (settled,) = answers(server.feed(frame(Disposition(True, 4, 6))))
    assert settled == Disposition(False, 4, 6, True)


def test_numbers_of_every_width_are_read() -> None:
    wide = encode.described(0x11, b"\xd0\x00\x00\x00\x14\x00\x00\x00\x04\x40" + (b"\x70\x00\x00\x00\x09" * 3))
    got = answers(Server().feed(client.UP_TO_BEGIN + frames.frame(0, wide)))
    assert isinstance(got[-1], Begin)
