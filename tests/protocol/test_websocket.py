"""The WebSocket around AMQP: handshakes, masks, lengths, controls, and the same answer however the bytes arrive."""

from __future__ import annotations

import pytest

from localazure.amqp import frames
from localazure.amqp.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Tunnel

from .conftest import UP_TO_ATTACH, Namespace, answers

HANDSHAKE = (
    b"GET /$servicebus/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: AMQPWSB10\r\n\r\n"
)
MASK = b"\x01\x02\x03\x04"


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + size.to_bytes(2, "big") if size < 65_536 else b"\xff" + size.to_bytes(8, "big")
    body = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))
    return bytes([(0x80 if final else 0) | opcode]) + length + MASK + body


def opened() -> Tunnel:
    tunnel = Tunnel()
    tunnel.receive_bytes(HANDSHAKE)
    tunnel.data_to_send()
    return tunnel


def test_the_handshake_is_answered_with_the_key_of_the_rfcs_example() -> None:
    tunnel = Tunnel()
    assert tunnel.receive_bytes(HANDSHAKE) == b""
    answer = tunnel.data_to_send()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert b"Sec-WebSocket-Protocol: AMQPWSB10\r\n" in answer


@pytest.mark.parametrize(
    ("wrong", "right", "status"),
    [
        (b"/elsewhere", b"/$servicebus/websocket", b"404"),
        (b"Upgrade: h2c", b"Upgrade: websocket", b"400"),
        (b"Protocol: mqtt", b"Protocol: AMQPWSB10", b"400"),
        (b"Version: 8", b"Version: 13", b"426"),
        (b"X: " + b"x" * 9_000, b"\r\n\r\n", b"431"),
    ],
)
def test_other_requests_are_refused(wrong: bytes, right: bytes, status: bytes) -> None:
    tunnel = Tunnel()
    assert tunnel.receive_bytes(HANDSHAKE.replace(right, wrong)) == b""
    assert tunnel.data_to_send().startswith(b"HTTP/1.1 " + status)
    assert tunnel.closed


def test_messages_of_every_length_come_through_whole_in_pieces_and_in_fragments() -> None:
    for size in (0, 1, 125, 126, 65_535, 65_536):
        payload = bytes(number % 251 for number in range(size))
        assert opened().receive_bytes(masked(BINARY, payload) + b"\x82") == payload
        tunnel = opened()
        data = masked(BINARY, payload[:3], final=False) + masked(CONTINUATION, payload[3:])
        step = 1 if size < 1_000 else 1_001
        assert b"".join(tunnel.receive_bytes(data[n : n + step]) for n in range(0, len(data), step)) == payload


def test_what_is_sent_has_the_shortest_length_and_no_mask() -> None:
    tunnel = opened()
    assert tunnel.wrap(b"x" * 125)[:2] == b"\x82\x7d"
    assert tunnel.wrap(b"x" * 126)[:4] == b"\x82\x7e\x00\x7e"
    assert tunnel.wrap(b"x" * 65_536)[:10] == b"\x82\x7f" + (65_536).to_bytes(8, "big")


def test_controls_are_answered() -> None:
    tunnel = opened()
    assert tunnel.receive_bytes(masked(PING, b"hello") + masked(PONG, b"") + masked(BINARY, b"on")) == b"on"
    assert tunnel.data_to_send() == bytes([0x80 | PONG, 5]) + b"hello"
    tunnel.receive_bytes(masked(CLOSE, (1000).to_bytes(2, "big")))
    assert tunnel.data_to_send() == bytes([0x80 | CLOSE, 2]) + (1000).to_bytes(2, "big")
    assert tunnel.closed


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(TEXT, b"text"), 1003),
        (masked(0x3, b""), 1002),
        (b"\x82\x01x", 1002),
        (b"\xc2\x80" + MASK, 1002),
        (b"\x82\xff" + (2**40).to_bytes(8, "big"), 1009),
    ],
)
def test_what_the_tunnel_does_not_carry_closes_it_with_its_code(data: bytes, code: int) -> None:
    tunnel = opened()
    assert tunnel.receive_bytes(data) == b""
    assert tunnel.data_to_send() == bytes([0x80 | CLOSE, 2]) + code.to_bytes(2, "big")
    assert tunnel.closed


@pytest.mark.parametrize("at_a_time", [1, 7, 10_000])
def test_a_service_tells_websocket_and_plain_amqp_apart_by_the_first_bytes(
    namespace: Namespace, at_a_time: int
) -> None:
    plain, through = (namespace.service.connect(lambda: None) for _ in range(2))
    outputs = []
    for connection, data in ((plain, UP_TO_ATTACH), (through, HANDSHAKE + masked(BINARY, UP_TO_ATTACH))):
        output = b""
        for start in range(0, len(data), at_a_time):
            connection.receive_bytes(data[start : start + at_a_time])
            output += connection.data_to_send()
        outputs.append(output)
    assert answers(outputs[0])[0] == frames.SASL_HEADER
    head, _, rest = outputs[1].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    inner = b""
    while rest:
        assert rest[0] == 0x82
        size, start = (rest[1], 2) if rest[1] < 126 else (int.from_bytes(rest[2:4], "big"), 4)
        inner += rest[start : start + size]
        rest = rest[start + size :]
    assert inner == outputs[0]
