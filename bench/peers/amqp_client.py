"""A pipelining AMQP client on a blocking socket: what a server can take when the Azure SDK is not in the way."""

from __future__ import annotations

import hmac
import socket
import time
from base64 import b64encode
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote_plus

from localazure.amqp import encode, frames, performatives
from localazure.amqp.records import Attach, Begin, Disposition, Flow, Open, Performative, RawValue, SaslInit, Transfer

PATIENCE_SECONDS = 60.0
FRAME_BYTES = 65_536
WINDOW = 0x7FFFFFFF


def _terminus(address: str, code: int) -> RawValue:
    return RawValue(None, encode.described(code, encode.list_of([encode.string(address)])))


class Client:
    """One connection with one session, authorised for a whole namespace."""

    def __init__(self, port: int, policy: str, key: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._next_delivery = 0
        init = frames.frame(0, performatives.write(SaslInit("ANONYMOUS", b"")), frames.SASL_FRAME)
        self._socket.sendall(frames.SASL_HEADER + init + frames.AMQP_HEADER)
        self.write(Open("bench", max_frame_size=FRAME_BYTES))
        self.write(Begin(None, 0, WINDOW, WINDOW))
        self.until(Begin)
        self._put_token(port, policy, key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def write(self, performative: Performative) -> None:
        self._socket.sendall(frames.frame(0, performatives.write(performative)))

    def until(self, kind: type[Any]) -> Any:
        """The next performative of this kind; others are dropped."""
        while True:
            got = self.read()
            if isinstance(got, kind):
                return got

    def read(self) -> Any:
        """The next performative."""
        while True:
            if self._buffer[:4] == b"AMQP":
                self._buffer = self._buffer[8:]
            size = int.from_bytes(self._buffer[:4], "big")
            if len(self._buffer) >= max(size, 8):
                body, self._buffer = self._buffer[8:size], self._buffer[size:]
                if body:
                    return performatives.read(body)
                continue
            self._fill()

    def attach(self, handle: int, address: str, *, is_receiver: bool) -> None:
        """A link; waits for the answer, and for credit where it sends."""
        mine, here = (_terminus(address, 0x28), _terminus("here", 0x29))
        if not is_receiver:
            mine, here = _terminus("here", 0x28), _terminus(address, 0x29)
        count = None if is_receiver else 0
        self.write(Attach(f"{handle}", handle, is_receiver, 0, 0, mine, here, initial_delivery_count=count))
        attached = self.until(Attach)
        if (attached.source if is_receiver else attached.target) is None:
            raise ConnectionError(f"{address} was refused: {self.read()}")
        if not is_receiver:
            self.until(Flow)

    def give_credit(self, handle: int, credit: int) -> None:
        self.write(Flow(0, WINDOW, 0, WINDOW, handle, 0, credit))

    def transfer(self, handle: int, payload: bytes, message_format: int) -> bytes:
        """The frames of one delivery."""
        number = self._next_delivery
        self._next_delivery += 1
        room = FRAME_BYTES - 64
        parts = [payload[start : start + room] for start in range(0, len(payload), room)]
        last = len(parts) - 1
        return b"".join(
            frames.frame(
                0,
                performatives.write(
                    Transfer(handle, number, b"tag", message_format, False, index < last, payload=part)
                ),
            )
            for index, part in enumerate(parts)
        )

    def drop_bytes(self, least: int) -> None:
        """Read so many bytes at least and look at none."""
        room = bytearray(1 << 20)
        while least > 0:
            count = self._socket.recv_into(room)
            if not count:
                raise ConnectionError("the server closed the connection")
            least -= count

    def send_all(self, handle: int, payload: bytes, message_format: int, count: int, under_way: int) -> float:
        """Send the message `count` times, so many of them unacknowledged at a time; the seconds it took."""
        messages = [self.transfer(handle, payload, message_format) for _ in range(count)]
        acknowledged = sent = 0
        began = time.perf_counter()
        while acknowledged < count:
            while sent < count and sent - acknowledged < under_way:
                self._socket.sendall(messages[sent])
                sent += 1
            got = self.until(Disposition)
            if got.state.descriptor != 0x24:
                raise ConnectionError(f"a transfer was refused: {got}")
            acknowledged += (got.last or got.first) - got.first + 1
        return time.perf_counter() - began

    def _put_token(self, port: int, policy: str, key: str) -> None:
        resource = quote_plus(f"sb://127.0.0.1:{port}/")
        expires = int(time.time()) + 3_600
        signature = quote_plus(b64encode(hmac.digest(key.encode(), f"{resource}\n{expires}".encode(), "sha256")))
        token = f"SharedAccessSignature sr={resource}&sig={signature}&se={expires}&skn={policy}"
        named = {"operation": "put-token", "name": f"sb://127.0.0.1:{port}/"}
        pairs = [(encode.string(name), encode.string(value)) for name, value in named.items()]
        request = (
            encode.described(0x73, encode.list_of([encode.string("1")]))
            + encode.described(0x74, encode.map_of(pairs))
            + encode.described(0x77, encode.string(token))
        )
        self.attach(254, "$cbs", is_receiver=False)
        self.attach(255, "$cbs", is_receiver=True)
        self.give_credit(255, 1)
        self._socket.sendall(self.transfer(254, request, 0))
        if b"status-code\x71\x00\x00\x00\xca" not in self.until(Transfer).payload:
            raise ConnectionError("the token was refused")

    def _fill(self) -> None:
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data
