"""AMQP in a WebSocket: the tunnel's bytes, server side, without I/O.

Owns: the opening handshake and the frames of RFC 6455, as far as a tunnel of binary messages needs them.
Refuses to know: what goes through the tunnel; text messages, extensions and other paths.

How: `receive_bytes` returns what came through; `wrap` makes one binary frame; answers of the tunnel's own (handshake,
pong, close) come out of `data_to_send`. Fragments are passed on as they come: AMQP has frames of its own.

Source: RFC 6455, sections 4.2 (handshake), 5 (framing), 7.4.1 (codes); AMQP WebSocket binding 1.0 (subprotocol `amqp`);
azure-eventhub 5.15.1, `_pyamqp/_transport.py` (subprotocol `AMQPWSB10`, path `/$servicebus/websocket`).
"""

from __future__ import annotations

import base64
import hashlib

SUBPROTOCOLS = ("AMQPWSB10", "amqp")
PATH = "/$servicebus/websocket"
MOST_HEADER_BYTES = 8_192
MOST_PAYLOAD_BYTES = 4_194_304
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NORMAL, PROTOCOL_ERROR, UNSUPPORTED, TOO_BIG = 1000, 1002, 1003, 1009
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Tunnel:
    """One WebSocket. `closed`: send what is left, then close the socket."""

    def __init__(self) -> None:
        self.closed = False
        self._is_open = False
        self._buffer = b""
        self._output = b""

    def data_to_send(self) -> bytes:
        """What the tunnel itself has to say."""
        output, self._output = self._output, b""
        return output

    def wrap(self, payload: bytes) -> bytes:
        """One binary message."""
        return _frame(BINARY, payload)

    def receive_bytes(self, data: bytes) -> bytes:
        """What came through the tunnel with these bytes."""
        self._buffer += data
        if not self._is_open and not self._handshake():
            return b""
        through = b""
        while not self.closed:
            taken = self._take_frame()
            if taken is None:
                break
            opcode, payload = taken
            if opcode in (CONTINUATION, BINARY):
                through += payload
            else:
                self._control(opcode, payload)
        return through

    def _handshake(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            if len(head) > MOST_HEADER_BYTES:
                self._refuse("431 Request Header Fields Too Large")
            return False
        request, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        offered = [one.strip() for one in fields.get("sec-websocket-protocol", "").split(",")]
        chosen = next((one for one in SUBPROTOCOLS if one in offered), None)
        if request.split(" ")[:2] != ["GET", PATH]:
            self._refuse("404 Not Found")
        elif fields.get("upgrade", "").lower() != "websocket" or "sec-websocket-key" not in fields or chosen is None:
            self._refuse("400 Bad Request")
        elif fields.get("sec-websocket-version") != "13":
            self._refuse("426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n")
        else:
            self._buffer = rest
            self._is_open = True
            accept = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode() + _GUID).digest()).decode()
            self._output += (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {chosen}\r\n\r\n"
            ).encode()
        return self._is_open

    def _refuse(self, status: str, field: str = "") -> None:
        self._output += f"HTTP/1.1 {status}\r\n{field}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
        self.closed = True

    def _take_frame(self) -> tuple[int, bytes] | None:
        """The next whole frame, unmasked, or None."""
        data = self._buffer
        if len(data) < 2:
            return None
        length, position = data[1] & 0x7F, 2
        if length >= 126:
            position = 4 if length == 126 else 10
            if len(data) < position:
                return None
            length = int.from_bytes(data[2:position], "big")
        if data[0] & 0x70 or not data[1] & 0x80:
            self._fail(PROTOCOL_ERROR)
            return None
        if length > MOST_PAYLOAD_BYTES:
            self._fail(TOO_BIG)
            return None
        end = position + 4 + length
        if len(data) < end:
            return None
        mask, masked = data[position : position + 4], data[position + 4 : end]
        self._buffer = data[end:]
        return data[0] & 0x0F, _unmask(masked, mask)

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._output += _frame(PONG, payload)
        elif opcode == CLOSE:
            self._output += _frame(CLOSE, payload[:2])
            self.closed = True
        elif opcode != PONG:
            self._fail(UNSUPPORTED if opcode == TEXT else PROTOCOL_ERROR)

    def _fail(self, code: int) -> None:
        self._output += _frame(CLOSE, code.to_bytes(2, "big"))
        self.closed = True


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def _unmask(masked: bytes, mask: bytes) -> bytes:
    """The payload; one exclusive or over the whole of it as a number."""
    size = len(masked)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(masked, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
