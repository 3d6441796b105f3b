"""One AMQP connection in the event loop: bytes from a socket to a sans-IO `Doorway`, and back.

Owns: when to read, to write and to wake, and what counts as use of the server. Refuses to know: what the bytes mean,
and who listens (`server`).

How: all connections of a server receive into one room, which is emptied before the next one reads: memory of its own
for each read costs more than the reading. The time at which a connection wants to be woken can only come nearer when it
was woken or had something to say, so only then it is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from localazure.eventhubs.doorway import Doorway
from localazure.eventhubs.service import EventHubs

P = ParamSpec("P")
T = TypeVar("T")

ROOM_BYTES = 262_144


@dataclass(slots=True)
class Activity:
    """When somebody last used the server, and how many AMQP connections are open: what idling is judged by."""

    last_used: float = field(default_factory=time.monotonic)
    open_connections: int = 0

    def touch(self) -> None:
        self.last_used = time.monotonic()

    def idle_for(self) -> float:
        """Seconds; 0 while an AMQP connection is open."""
        return 0.0 if self.open_connections else time.monotonic() - self.last_used


def receiving_room() -> memoryview:
    """What the connections of one server receive into, in turns."""
    return memoryview(bytearray(ROOM_BYTES))


class AmqpTransport(asyncio.BufferedProtocol):
    """Moves bytes between one TCP connection and one sans-IO `Doorway`."""

    def __init__(self, event_hubs: EventHubs, activity: Activity, room: memoryview) -> None:
        self._room = room
        self._event_hubs = event_hubs
        self._activity = activity
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._connection: Doorway
        self._timer: asyncio.TimerHandle | None = None
        self._flush_planned = False
        self._paused = False
        self._busy = False
        self._lost = False
        self._spoke = False
        """Whether anything came in yet: a connection that only stands there is no use of the server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connection = self._event_hubs.connect(self._wake)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self._activity.touch()
        if not self._spoke:
            self._spoke = True
            self._activity.open_connections += 1
        self._guarded(self._connection.receive_bytes, self._room[:nbytes])
        if self._send() or self._timer is None:
            self._plan_tick()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    def connection_lost(self, _: Exception | None) -> None:
        self._lost = True
        self._activity.open_connections -= self._spoke
        self._activity.touch()
        if self._timer is not None:
            self._timer.cancel()
        self._connection.connection_lost()

    def _wake(self) -> None:
        """Send at once, but not from within a call on the same connection: then in the loop's next turn."""
        if self._lost or self._flush_planned:
            return
        if self._busy:
            self._flush_planned = True
            self._loop.call_soon(self._flush)
        else:
            self._flush()

    def _flush(self) -> None:
        self._flush_planned = False
        self._send()
        self._plan_tick()

    def _send(self) -> bool:
        """Write what there is to say, and close if that was all; whether something was said."""
        if self._lost:
            return False
        if self._connection.aborted:
            self._transport.abort()
            return False
        if self._paused or self._transport.is_closing():
            return False
        output = self._guarded(self._connection.data_to_send)
        if output:
            self._transport.write(output)
        if self._connection.closed:
            self._transport.close()
        return bool(output)

    def _plan_tick(self) -> None:
        """Have the connection woken at the time it wants, if that is sooner than what is planned."""
        if self._lost or self._paused or self._transport.is_closing():
            return
        now = time.time()
        wanted = self._guarded(self._connection.tick, now)
        if wanted is None:
            return
        when = self._loop.time() + max(0.0, wanted - now)
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._guarded(self._connection.tick, time.time())
        self._flush()

    def _guarded(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """A call on the connection, within which `wake` does not send."""
        self._busy = True
        try:
            return call(*arguments, **named)
        finally:
            self._busy = False
