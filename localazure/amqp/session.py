"""One session: its links by handle, its windows, and the transfers that go out on it.

Owns: the dispatch of frames to links, delivery ids, both transfer windows. Refuses to know: what links lead to.

How: the incoming window is large and refilled at half. Transfers that the peer's incoming window does not take wait in
order in `_waiting`; `room` tells links not to add to them. The Azure SDK counts one id per delivery where the
specification counts one per transfer; as only the difference to its own flows matters, both work.

Source: OASIS AMQP 1.0 part 2, sections 2.5.6 (session flow control) and 2.7.5 (transfer).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from localazure.amqp import encode
from localazure.amqp.errors import ConnectionFault, LinkFault, SessionFault
from localazure.amqp.events import Attaching, Credit, Detached, Event
from localazure.amqp.link import Link
from localazure.amqp.performatives import error
from localazure.amqp.records import Attach, Begin, Detach, Disposition, End, Flow, Performative, Transfer
from localazure.amqp.states import Fault, Go, Ignore, Input, LinkState, SessionState, link_step, session_step

if TYPE_CHECKING:
    from localazure.amqp.connection import Connection

INCOMING_WINDOW = 0x7FFFFFFF
OUTGOING_WINDOW = 0x7FFFFFFF
HANDLE_MAX = 255
_MASK = 0xFFFFFFFF
_INPUTS = {
    Begin: Input.BEGIN,
    Attach: Input.ATTACH,
    Flow: Input.FLOW,
    Transfer: Input.TRANSFER,
    Disposition: Input.DISPOSITION,
    Detach: Input.DETACH,
    End: Input.END,
}
_HEAD = struct.Struct(">I4s4sIIBIBI2sI12s")
"""A transfer frame up to its payload, every integer at full width: one length whatever the numbers."""
_FIELDS_BYTES = _HEAD.size - 8


class Session:
    """A session on one channel; both ends use the channel that the peer chose."""

    def __init__(self, connection: Connection, channel: int) -> None:
        self._connection = connection
        self.channel = channel
        self.state = SessionState.UNMAPPED
        self.links: dict[int, Link] = {}
        self._gone: set[int] = set()
        self._waiting: list[bytes] = []
        self._next_incoming_id = 0
        self._incoming_window = INCOMING_WINDOW
        self._next_outgoing_id = 0
        self._remote_window = 0

    @property
    def room(self) -> int:
        """How many transfers the peer takes now."""
        return 0 if self._waiting else self._remote_window

    def receive(self, frame: Performative) -> Iterator[Event]:
        """Carry out one performative. Raises: `ConnectionFault`."""
        arrived = _INPUTS[type(frame)]
        step = session_step(self.state, arrived)
        if isinstance(step, Fault):
            raise ConnectionFault(step.condition, f"{arrived.value} on a session that is {self.state.value}")
        if isinstance(step, Ignore):
            return
        assert isinstance(step.state, SessionState)
        was, self.state = self.state, step.state
        try:
            if isinstance(frame, Begin):
                self._begin(frame)
            elif isinstance(frame, End) and was is SessionState.MAPPED:
                yield from self._end()
            elif isinstance(frame, Disposition):
                self._answer_disposition(frame)
            elif isinstance(frame, Flow):
                yield from self._flow(frame)
            elif isinstance(frame, Attach | Transfer | Detach):
                yield from self._link_frame(frame, arrived)
        except SessionFault as fault:
            yield from self.end(fault)

    def end(self, fault: SessionFault) -> Iterator[Event]:
        """End the session from this side."""
        self.state = SessionState.END_SENT
        self.write(End(error(fault.condition, fault.description)))
        yield from self.drop_links()

    def drop_links(self) -> Iterator[Event]:
        """Every link goes, as its session or connection has gone."""
        links, self.links = self.links, {}
        self._gone.update(links)
        self._waiting.clear()
        for link in links.values():
            link.state = LinkState.DETACHED
            if link.answered:
                yield Detached(link)

    def write(self, performative: Performative) -> None:
        self._connection.write_frame(self.channel, performative)

    def write_flow(self, **of_link: int | bool | None) -> None:
        """A flow with the session's windows and, if given, a link's credit."""
        self.write(
            Flow(
                next_incoming_id=self._next_incoming_id,
                incoming_window=self._incoming_window,
                next_outgoing_id=self._next_outgoing_id,
                outgoing_window=OUTGOING_WINDOW,
                **of_link,  # type: ignore[arg-type]
            )
        )

    def send_deliveries(self, handle: int, payloads: Sequence[bytes], message_format: int, settled: bool) -> None:
        """Cut each message into transfers; all carry the id of its first. Frames beyond the peer's window wait."""
        room = self._connection.remote_max_frame_size - _HEAD.size
        channel = struct.pack(">BBH", 2, 0, self.channel)
        last, not_last = (
            struct.pack(">BIBB5s", 0x70, message_format, 0x41 if settled else 0x42, more, encode.NULL * 5)
            for more in (0x42, 0x41)
        )
        pack, frames = _HEAD.pack, []
        following_id = self._next_outgoing_id + len(self._waiting)
        for payload in payloads:
            delivery_id = following_id & _MASK
            parts = (payload,) if len(payload) <= room else _parts(payload, room)
            following_id += len(parts)
            for index, part in enumerate(parts, 1):
                head = pack(
                    _HEAD.size + len(part), channel, b"\x00\x53\x14\xd0", _FIELDS_BYTES - 8, 11,
                    0x70, handle, 0x70, delivery_id, b"\xa0\x04", delivery_id,
                    last if index == len(parts) else not_last,
                )  # fmt: skip
                frames.append(head + part)
        self._send_transfers(frames)

    def _send_transfers(self, frames: list[bytes]) -> None:
        taken = min(len(frames), self.room)
        if taken:
            self._remote_window -= taken
            self._next_outgoing_id = self._next_outgoing_id + taken & _MASK
            self._connection.write_bytes(*frames[:taken])
        self._waiting += frames[taken:]

    def _begin(self, frame: Begin) -> None:
        self._next_incoming_id = frame.next_outgoing_id
        self._incoming_window = INCOMING_WINDOW
        self._next_outgoing_id = 0
        self._remote_window = frame.incoming_window
        self._gone.clear()
        self.write(
            Begin(
                remote_channel=self.channel,
                next_outgoing_id=0,
                incoming_window=INCOMING_WINDOW,
                outgoing_window=OUTGOING_WINDOW,
                handle_max=HANDLE_MAX,
            )
        )

    def _end(self) -> Iterator[Event]:
        self.write(End())
        yield from self.drop_links()

    def _flow(self, flow: Flow) -> Iterator[Event]:
        seen = 0 if flow.next_incoming_id is None else flow.next_incoming_id
        self._remote_window = max(0, seen + flow.incoming_window - self._next_outgoing_id & _MASK)
        waiting, self._waiting = self._waiting, []
        self._send_transfers(waiting)
        if flow.handle is not None:
            yield from self._link_frame(flow, Input.FLOW)
        elif flow.echo:
            self.write_flow()
        for link in self.links.values():
            if not link.peer_sends and link.handle != flow.handle and link.credit > 0:
                yield Credit(link)

    def _link_frame(self, frame: Attach | Flow | Transfer | Detach, arrived: Input) -> Iterator[Event]:
        assert frame.handle is not None
        if frame.handle > HANDLE_MAX:
            raise ConnectionFault("amqp:connection:framing-error", f"handle {frame.handle} is above {HANDLE_MAX}")
        link = self.links.get(frame.handle)
        if link is not None:
            state = link.state
        else:
            state = LinkState.DETACHED if frame.handle in self._gone else LinkState.UNATTACHED
        if isinstance(frame, Transfer):
            self._count_transfer()
        step = link_step(state, arrived)
        if isinstance(step, Fault):
            raise SessionFault(step.condition, f"{arrived.value} on handle {frame.handle}, which is {state.value}")
        if isinstance(step, Go):
            yield from self._carry_out(link, frame)

    def _carry_out(self, link: Link | None, frame: Attach | Flow | Transfer | Detach) -> Iterator[Event]:
        if isinstance(frame, Attach):
            link = self.links[frame.handle] = Link(self, frame)
            yield Attaching(link)
            return
        assert link is not None
        try:
            if isinstance(frame, Flow):
                link.receive_flow(frame)
                if not link.peer_sends:
                    yield Credit(link)
            elif isinstance(frame, Transfer):
                message = link.receive_transfer(frame)
                if message is not None:
                    yield message
            else:
                yield from self._detach(link, frame)
        except LinkFault as fault:
            link.detach(fault.condition, fault.description)
            yield Detached(link)

    def _detach(self, link: Link, frame: Detach) -> Iterator[Event]:
        was_attached = link.is_attached
        del self.links[link.handle]
        self._gone.add(link.handle)
        link.state = LinkState.DETACHED
        if was_attached:
            self.write(Detach(link.handle, closed=frame.closed))
            yield Detached(link)

    def _count_transfer(self) -> None:
        self._next_incoming_id = self._next_incoming_id + 1 & _MASK
        self._incoming_window -= 1
        if self._incoming_window < INCOMING_WINDOW // 2:
            self._incoming_window = INCOMING_WINDOW
            self.write_flow()

    def _answer_disposition(self, frame: Disposition) -> None:
        """What the service sends is read, not consumed, so outcomes change nothing; an unsettled one is settled."""
        if frame.is_receiver and not frame.settled:
            self.write(Disposition(is_receiver=False, first=frame.first, last=frame.last, settled=True))


def _parts(payload: bytes, size: int) -> list[bytes]:
    return [payload[start : start + size] for start in range(0, len(payload), size)]
