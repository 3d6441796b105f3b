"""One AMQP connection, server side: protocol headers, SASL, open and close, heartbeats, and frames to sessions.

Owns: the order in which a connection comes up and goes down, and the bytes to send. Refuses to know: sockets, clocks
(seconds come in through `tick`), who the peer is (SASL is ANONYMOUS; rights come with tokens, on links).

How: `receive_bytes` yields events lazily, one frame at a time, so that the answer to one event is in the output before
the next frame is looked at. Take them all. Bytes that are not AMQP close the connection with the condition that the
specification names; they never raise. After our close everything is discarded until the peer closes too, or
`CLOSE_WAIT_SECONDS` have passed: closing the socket at once would lose the close frame with it.

Source: OASIS AMQP 1.0 part 2, sections 2.2, 2.4 (connections; 2.4.5 idle timeout); part 5, section 5.3 (SASL).
"""

from __future__ import annotations

from collections.abc import Iterator

from localazure.amqp import frames, performatives, records
from localazure.amqp.errors import (
    CONNECTION_FORCED,
    FRAMING_ERROR,
    INVALID_FIELD,
    ConnectionFault,
)
from localazure.amqp.events import Closed, Event, Opened
from localazure.amqp.frames import FrameReader
from localazure.amqp.performatives import error, error_condition
from localazure.amqp.records import Begin, Close, Open, Performative, SaslInit, SaslMechanisms, SaslOutcome
from localazure.amqp.session import Session
from localazure.amqp.states import ConnectionState, Fault, Ignore, Input, connection_step

MAX_FRAME_SIZE_BYTES = 65_536
CHANNEL_MAX = 4_999
IDLE_TIMEOUT_MS = 240_000
CLOSE_WAIT_SECONDS = 5.0
MECHANISMS = ("MSSBCBS", "ANONYMOUS")
_HANDSHAKE = (ConnectionState.SASL_HEADER, ConnectionState.SASL_INIT, ConnectionState.AMQP_HEADER)
_INPUTS: dict[type, Input] = {
    records.Open: Input.OPEN,
    records.Begin: Input.BEGIN,
    records.Attach: Input.ATTACH,
    records.Flow: Input.FLOW,
    records.Transfer: Input.TRANSFER,
    records.Disposition: Input.DISPOSITION,
    records.Detach: Input.DETACH,
    records.End: Input.END,
    records.Close: Input.CLOSE,
    records.SaslInit: Input.SASL_INIT,
    records.SaslMechanisms: Input.OTHER_SASL,
    records.SaslOutcome: Input.OTHER_SASL,
}


class Connection:
    """The server's end of a connection. `closed`: send what is left, then close the socket."""

    def __init__(self, container_id: str) -> None:
        self.state = ConnectionState.SASL_HEADER
        self.closed = False
        self.remote_max_frame_size = frames.LEAST_MAX_FRAME_SIZE_BYTES
        self._container_id = container_id
        self._reader = FrameReader(MAX_FRAME_SIZE_BYTES)
        self._sessions: dict[int, Session] = {}
        self._output: list[bytes] = []
        self._broken = False
        self._close_sent = False
        self._heartbeat_seconds: float | None = None
        self._last_in: float | None = None
        self._last_out: float | None = None
        self._received = self._sent = True
        self._close_by: float | None = None

    # Bytes.

    def receive_bytes(self, data: bytes | memoryview) -> Iterator[Event]:
        """The events of these bytes, lazily: consume the iterator to the end."""
        self._received = True
        if self._broken or self.closed:
            return
        self._reader.feed(data)
        try:
            while not self.closed and not self._broken:
                if self.state in (ConnectionState.SASL_HEADER, ConnectionState.AMQP_HEADER):
                    header = self._reader.next_header()
                    if header is None:
                        return
                    self._header(header)
                    continue
                frame = self._reader.next_frame()
                if frame is None:
                    return
                yield from self._frame(frame)
        except ConnectionFault as fault:
            self._broken = fault.condition == FRAMING_ERROR
            yield from self.close(fault.condition, fault.description)

    def data_to_send(self) -> bytes:
        """Everything that waits to be sent; each byte is handed out once."""
        output, self._output = self._output, []
        return b"".join(output)

    @property
    def has_output(self) -> bool:
        return bool(self._output)

    def write_bytes(self, *data: bytes) -> None:
        self._sent = True
        self._output.extend(data)

    def write_frame(self, channel: int, performative: Performative) -> None:
        self.write_bytes(frames.frame(channel, performatives.write(performative)))

    # Time.

    def tick(self, now: float) -> float | None:
        """Send a heartbeat if the peer needs one, give up a silent peer; and say when to come again.

        A clock that was set back tells nothing of how long it has been quiet: the peer gets its time anew, and a
        heartbeat at once, for its own time has gone on.
        """
        if self._received or self._last_in is None or now < self._last_in:
            self._last_in, self._received = now, False
        if self._sent or self._last_out is None:
            self._last_out, self._sent = now, False
        elif now < self._last_out:
            self._last_out = now - (self._heartbeat_seconds or 0.0)
        if self.closed:
            return None
        if self.state is ConnectionState.CLOSE_SENT:
            if self._close_by is None:
                self._close_by = now + CLOSE_WAIT_SECONDS
            self.closed = now >= self._close_by
            return self._close_by
        quiet_until = self._last_in + IDLE_TIMEOUT_MS / 1000
        if now >= quiet_until:
            for _ in self.close(CONNECTION_FORCED, f"nothing was received for {IDLE_TIMEOUT_MS} ms"):
                pass
            return self.tick(now)
        if self._heartbeat_seconds is None:
            return quiet_until
        if self.state is ConnectionState.OPENED and now >= self._last_out + self._heartbeat_seconds:
            self.write_bytes(frames.EMPTY_FRAME)
            self._last_out, self._sent = now, False
        return min(quiet_until, self._last_out + self._heartbeat_seconds)

    # Closing.

    def close(self, condition: str | None = None, description: str = "") -> Iterator[Event]:
        """Close from this side; the events are the links that go with it."""
        if self.state in (ConnectionState.CLOSE_SENT, ConnectionState.END):
            return
        if self.state in _HANDSHAKE:
            self.state = ConnectionState.END
            self.closed = True
            return
        if self.state is ConnectionState.OPEN:
            self._say_open()
        for session in self._sessions.values():
            yield from session.drop_links()
        self.write_frame(0, Close(None if condition is None else error(condition, description)))
        self.state = ConnectionState.CLOSE_SENT
        self._close_sent = True
        self._sessions.clear()

    def lost(self) -> Iterator[Event]:
        """The socket has gone; the events are the links that go with it."""
        self.state = ConnectionState.END
        self.closed = True
        for session in self._sessions.values():
            yield from session.drop_links()
        self._sessions.clear()
        self._output.clear()

    # What arrives.

    def _step(self, arrived: Input) -> bool:
        """Move to the next state; False if what arrived is to be ignored. Raises: `ConnectionFault`."""
        step = connection_step(self.state, arrived)
        if isinstance(step, Fault):
            raise ConnectionFault(step.condition, f"{arrived.value} while {self.state.value}")
        if isinstance(step, Ignore):
            return False
        assert isinstance(step.state, ConnectionState)
        self.state = step.state
        return True

    def _header(self, header: bytes) -> None:
        """Answer a protocol header; an unknown one with the header that would have been right, then the end."""
        arrived = {frames.SASL_HEADER: Input.SASL_HEADER, frames.AMQP_HEADER: Input.AMQP_HEADER}.get(
            header, Input.OTHER_HEADER
        )
        expected = frames.SASL_HEADER if self.state is ConnectionState.SASL_HEADER else frames.AMQP_HEADER
        self.write_bytes(expected)
        self._step(arrived)
        if arrived is Input.SASL_HEADER:
            self._write_sasl(SaslMechanisms(MECHANISMS))

    def _frame(self, frame: frames.Frame) -> Iterator[Event]:
        expected = frames.SASL_FRAME if self.state is ConnectionState.SASL_INIT else frames.AMQP_FRAME
        if frame.kind != expected:
            raise ConnectionFault(FRAMING_ERROR, f"frame type {frame.kind} while {self.state.value}")
        if not frame.body:
            self._step(Input.EMPTY)
            return
        performative = performatives.read(frame.body)
        if not self._step(_INPUTS[type(performative)]):
            return
        if isinstance(performative, SaslInit):
            self._sasl(performative)
        elif isinstance(performative, Open):
            yield self._open(performative)
        elif isinstance(performative, Close):
            yield from self._closed_by_peer(performative)
        else:
            yield from self._session_frame(frame.channel, performative)

    def _sasl(self, init: SaslInit) -> None:
        accepted = init.mechanism in MECHANISMS
        self._write_sasl(SaslOutcome(0 if accepted else 1))
        if not accepted:
            raise ConnectionFault(FRAMING_ERROR, f"the SASL mechanism {init.mechanism} is not offered")

    def _open(self, remote: Open) -> Event:
        if remote.max_frame_size < frames.LEAST_MAX_FRAME_SIZE_BYTES:
            raise ConnectionFault(INVALID_FIELD, f"max-frame-size {remote.max_frame_size} is below 512")
        self.remote_max_frame_size = min(remote.max_frame_size, MAX_FRAME_SIZE_BYTES)
        if remote.idle_timeout_ms:
            self._heartbeat_seconds = remote.idle_timeout_ms / 2000
        self._say_open()
        return Opened(remote)

    def _say_open(self) -> None:
        self.write_frame(
            0,
            Open(
                container_id=self._container_id,
                max_frame_size=MAX_FRAME_SIZE_BYTES,
                channel_max=CHANNEL_MAX,
                idle_timeout_ms=IDLE_TIMEOUT_MS,
            ),
        )

    def _closed_by_peer(self, close: Close) -> Iterator[Event]:
        for session in self._sessions.values():
            yield from session.drop_links()
        self._sessions.clear()
        if not self._close_sent:
            self.write_frame(0, Close())
        self.closed = True
        yield Closed(error_condition(close.error))

    def _session_frame(self, channel: int, performative: Performative) -> Iterator[Event]:
        if channel > CHANNEL_MAX:
            raise ConnectionFault(FRAMING_ERROR, f"channel {channel} is above {CHANNEL_MAX}")
        session = self._sessions.get(channel)
        if session is None:
            session = Session(self, channel)
            if isinstance(performative, Begin):
                self._sessions[channel] = session
        yield from session.receive(performative)

    def _write_sasl(self, performative: Performative) -> None:
        self.write_bytes(frames.frame(0, performatives.write(performative), frames.SASL_FRAME))
