"""The way into a connection: plain AMQP, or AMQP through a WebSocket, told apart by the first bytes.

Owns: which of the two it is. Refuses to know: both protocols (`connection`, `amqp.websocket`).

Source: learn.microsoft.com/azure/event-hubs/event-hubs-faq (AMQP over WebSockets); on Azure it has a port of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from localazure.amqp.websocket import Tunnel
from localazure.eventhubs.connection import HubConnection

HTTP = b"GET "


class Doorway:
    """What a socket is given: bytes in, bytes out, when to come again, when it is over."""

    def __init__(self, inner: HubConnection, forget: Callable[[Doorway], None]) -> None:
        self.inner = inner
        self._forget = forget
        self._tunnel: Tunnel | None = None
        self._first: bytes | None = b""

    @property
    def closed(self) -> bool:
        """Send what is left, then close the socket."""
        return self.inner.closed or (self._tunnel is not None and self._tunnel.closed)

    @property
    def aborted(self) -> bool:
        """Drop the socket as it is."""
        return self.inner.aborted

    def receive_bytes(self, data: bytes | memoryview) -> None:
        """Take in what arrived; `data` may be overwritten afterwards."""
        if self._first is not None:
            data = self._decide(self._first + bytes(data))
        if self._tunnel is not None:
            data = self._tunnel.receive_bytes(bytes(data))
        if data:
            self.inner.receive_bytes(data)

    def data_to_send(self) -> bytes:
        """A bounded amount of what there is to send; `wake` follows if there is more."""
        if self._tunnel is None:
            return self.inner.data_to_send()
        own, through = self._tunnel.data_to_send(), self.inner.data_to_send()
        return own + self._tunnel.wrap(through) if through else own

    def tick(self, now: float) -> float | None:
        return self.inner.tick(now)

    def connection_lost(self) -> None:
        self.inner.connection_lost()
        self._forget(self)

    def _decide(self, data: bytes) -> bytes:
        """Keep the first bytes until they tell; then all of them."""
        if len(data) < len(HTTP) and HTTP.startswith(data):
            self._first = data
            return b""
        self._first = None
        if data.startswith(HTTP):
            self._tunnel = Tunnel()
        return data
