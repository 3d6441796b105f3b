"""One link: credit, deliveries and messages in parts, in either direction.

Owns: the state of a link and all it can say: accept, refuse, grant, settle, send, detach. Refuses to know: what the
link leads to; the service keeps that in `context`.

How: where the peer sends, parts are told of and kept until a message is whole, and credit is topped up at half. Where
the peer receives, `send` uses one credit and hands the message to the session, which cuts it into transfers.

Source: OASIS AMQP 1.0 part 2, sections 2.6.7 (flow control), 2.6.12 (transferring), 2.6.14 (large messages).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localazure.amqp.errors import (
    INVALID_FIELD,
    MESSAGE_SIZE_EXCEEDED,
    NOT_ALLOWED,
    TRANSFER_LIMIT_EXCEEDED,
    LinkFault,
)
from localazure.amqp.events import Message, Part
from localazure.amqp.performatives import error, rejected
from localazure.amqp.records import Attach, Detach, Disposition, Flow, RawValue, Transfer
from localazure.amqp.states import LinkState

if TYPE_CHECKING:
    from localazure.amqp.session import Session

SETTLED_MODE = 1
_MASK = 0xFFFFFFFF


def _serial_difference(later: int, earlier: int) -> int:
    """RFC 1982: the distance of two 32-bit counters that wrap."""
    return (later - earlier + 0x80000000 & _MASK) - 0x80000000


class Link:
    """A link of a session; both ends use the handle that the peer chose."""

    def __init__(self, session: Session, attach: Attach) -> None:
        self.session = session
        self.attach = attach
        self.handle = attach.handle
        self.state = LinkState.ATTACHED
        self.answered = False
        self.context: Any = None
        self.credit = 0
        self.delivery_count = attach.initial_delivery_count or 0
        self.is_draining = False
        self._granted = 0
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._first: Transfer | None = None
        self._max_message_bytes = 0
        self._settles_at_once = attach.snd_settle_mode == SETTLED_MODE

    @property
    def peer_sends(self) -> bool:
        return not self.attach.is_receiver

    @property
    def is_attached(self) -> bool:
        return self.state is LinkState.ATTACHED

    # What the service says.

    def accept(
        self,
        *,
        max_message_bytes: int,
        credit: int = 0,
        capabilities: tuple[str, ...] = (),
        source: RawValue | None = None,
    ) -> None:
        """Answer the attach; grants `credit` where the peer sends."""
        self.answered = True
        self._max_message_bytes = max_message_bytes
        self._say_attach(
            self.attach.source if source is None else source, self.attach.target, max_message_bytes, capabilities
        )
        if self.peer_sends and credit:
            self._granted = credit
            self._grant()

    def refuse(self, condition: str, description: str) -> None:
        """Answer the attach with no terminus, then detach with the error: the only way AMQP has to refuse a link."""
        self.answered = True
        if self.peer_sends:
            self._say_attach(self.attach.source, None, None, ())
        else:
            self._say_attach(None, self.attach.target, None, ())
        self.detach(condition, description)

    def detach(self, condition: str | None = None, description: str = "") -> None:
        """Close the link from this side; what still arrives for it is ignored."""
        if self.state is not LinkState.ATTACHED:
            return
        self.state = LinkState.DETACH_SENT
        self._parts.clear()
        problem = None if condition is None else error(condition, description)
        self.session.write(Detach(self.handle, closed=True, error=problem))

    def settle(self, first: int, last: int, outcome: bytes) -> None:
        """The outcome of deliveries `first` to `last`, which the peer may then forget."""
        if self.state is LinkState.ATTACHED:
            self.session.write(Disposition(is_receiver=True, first=first, last=last, settled=True, state=outcome))

    @property
    def sendable(self) -> int:
        """How many messages may be sent now, if each fits a frame."""
        return min(self.credit, self.session.room) if self.state is LinkState.ATTACHED else 0

    def send(self, *payloads: bytes, message_format: int = 0) -> None:
        """Messages, each in as many transfers as the peer's frame size asks for. Needs credit for each."""
        self.credit -= len(payloads)
        self.delivery_count = self.delivery_count + len(payloads) & _MASK
        self.session.send_deliveries(self.handle, payloads, message_format, self._settles_at_once)

    def drained(self) -> None:
        """Nothing is left to send: use up the credit that a draining peer gave, and say so."""
        self.delivery_count = self.delivery_count + self.credit & _MASK
        self.credit = 0
        self.is_draining = False
        self.say_flow()

    def say_flow(self) -> None:
        if self.state is LinkState.ATTACHED and self.answered:
            self.session.write_flow(
                handle=self.handle, delivery_count=self.delivery_count, link_credit=self.credit, drain=self.is_draining
            )

    # What the peer says.

    def receive_flow(self, flow: Flow) -> None:
        """Where the peer receives: its credit, counted from its view of the delivery count."""
        if self.peer_sends:
            if flow.delivery_count is not None and _serial_difference(flow.delivery_count, self.delivery_count) > 0:
                self._credit_used(_serial_difference(flow.delivery_count, self.delivery_count))
        elif flow.link_credit is not None:
            seen = self.attach.initial_delivery_count or 0 if flow.delivery_count is None else flow.delivery_count
            self.credit = max(0, _serial_difference(seen + flow.link_credit, self.delivery_count))
            self.is_draining = flow.drain
        if flow.echo:
            self.say_flow()

    def receive_transfer(self, transfer: Transfer) -> Message | Part | None:
        """The message, if this transfer completes one, else a part of it. Raises: `LinkFault`."""
        if not self.peer_sends:
            raise LinkFault(NOT_ALLOWED, "this link sends to you")
        first = self._first
        if first is None:
            if transfer.delivery_id is None or transfer.delivery_tag is None:
                raise LinkFault(INVALID_FIELD, "the first transfer of a delivery needs delivery-id and delivery-tag")
            if self.credit <= 0:
                raise LinkFault(TRANSFER_LIMIT_EXCEEDED, "a transfer without credit")
            first = self._first = transfer
        elif transfer.delivery_id not in (None, first.delivery_id):
            raise LinkFault(INVALID_FIELD, "a delivery began before the one before was whole")
        self._parts_bytes += len(transfer.payload)
        if self._parts_bytes <= self._max_message_bytes:
            self._parts.append(transfer.payload)
        else:
            self._parts.clear()
        if not transfer.more or transfer.aborted:
            return self._complete(first, transfer)
        return Part(self, transfer.payload, first.message_format or 0, first is transfer) if self._parts else None

    def _complete(self, first: Transfer, last: Transfer) -> Message | None:
        size_bytes, parts = self._parts_bytes, tuple(self._parts)
        self._parts, self._parts_bytes, self._first = [], 0, None
        self._credit_used(1)
        if last.aborted:
            return None
        assert first.delivery_id is not None
        settled = bool(first.settled or last.settled)
        if size_bytes <= self._max_message_bytes:
            return Message(self, first.delivery_id, parts, first.message_format or 0, settled)
        text = f"the message has {size_bytes} bytes, above the limit of {self._max_message_bytes} bytes on this link"
        if settled:
            raise LinkFault(MESSAGE_SIZE_EXCEEDED, text)
        self.settle(first.delivery_id, first.delivery_id, rejected(MESSAGE_SIZE_EXCEEDED, text))
        return None

    def _credit_used(self, deliveries: int) -> None:
        self.credit -= deliveries
        self.delivery_count = self.delivery_count + deliveries & _MASK
        if self.credit <= self._granted // 2:
            self._grant()

    def _grant(self) -> None:
        self.credit = self._granted
        self.say_flow()

    def _say_attach(
        self,
        source: RawValue | None,
        target: RawValue | None,
        max_message_bytes: int | None,
        capabilities: tuple[str, ...],
    ) -> None:
        asked = self.attach
        self.session.write(
            Attach(
                name=asked.name,
                handle=self.handle,
                is_receiver=not asked.is_receiver,
                snd_settle_mode=asked.snd_settle_mode,
                rcv_settle_mode=asked.rcv_settle_mode,
                source=source,
                target=target,
                initial_delivery_count=0 if asked.is_receiver else None,
                max_message_size=max_message_bytes,
                offered_capabilities=capabilities or None,
            )
        )
