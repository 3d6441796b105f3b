"""The frame bodies of AMQP as records: nine performatives of the transport, three of SASL.

Owns: the fields, their order and their defaults. Refuses to know: how they are read and written (`fields`,
`performatives`), and in which state one may come (`states`).

A source or target is kept beside the bytes it came in (`RawValue`), since an attach echoes them. `Any` stands for a
map, or for a described value that only its reader understands.

Source: OASIS AMQP 1.0 part 2, section 2.7; part 5, section 5.3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class RawValue:
    """A field's value beside the bytes it was read from."""

    value: Any
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Open:
    code: ClassVar[int] = 0x10
    container_id: str
    hostname: str | None = None
    max_frame_size: int = 0xFFFFFFFF
    channel_max: int = 0xFFFF
    idle_timeout_ms: int | None = None
    outgoing_locales: Any = None
    incoming_locales: Any = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


@dataclass(frozen=True, slots=True)
class Begin:
    code: ClassVar[int] = 0x11
    remote_channel: int | None
    next_outgoing_id: int
    incoming_window: int
    outgoing_window: int
    handle_max: int = 0xFFFFFFFF
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


@dataclass(frozen=True, slots=True)
class Attach:
    code: ClassVar[int] = 0x12
    name: str
    handle: int
    is_receiver: bool
    snd_settle_mode: int = 2
    rcv_settle_mode: int = 0
    source: RawValue | None = None
    target: RawValue | None = None
    unsettled: Any = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


@dataclass(frozen=True, slots=True)
class Flow:
    code: ClassVar[int] = 0x13
    next_incoming_id: int | None
    incoming_window: int
    next_outgoing_id: int
    outgoing_window: int
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool = False
    echo: bool = False
    properties: Any = None


@dataclass(frozen=True, slots=True)
class Transfer:
    code: ClassVar[int] = 0x14
    handle: int
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool | None = None
    more: bool = False
    rcv_settle_mode: int | None = None
    state: Any = None
    resume: bool = False
    aborted: bool = False
    batchable: bool = False
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Disposition:
    code: ClassVar[int] = 0x15
    is_receiver: bool
    first: int
    last: int | None = None
    settled: bool = False
    state: Any = None
    batchable: bool = False


@dataclass(frozen=True, slots=True)
class Detach:
    code: ClassVar[int] = 0x16
    handle: int
    closed: bool = False
    error: Any = None


@dataclass(frozen=True, slots=True)
class End:
    code: ClassVar[int] = 0x17
    error: Any = None


@dataclass(frozen=True, slots=True)
class Close:
    code: ClassVar[int] = 0x18
    error: Any = None


@dataclass(frozen=True, slots=True)
class SaslMechanisms:
    code: ClassVar[int] = 0x40
    mechanisms: Any


@dataclass(frozen=True, slots=True)
class SaslInit:
    code: ClassVar[int] = 0x41
    mechanism: str
    initial_response: bytes | None = None
    hostname: str | None = None


@dataclass(frozen=True, slots=True)
class SaslOutcome:
    code: ClassVar[int] = 0x44
    outcome: int
    additional_data: bytes | None = None


Performative = (
    Open
    | Begin
    | Attach
    | Flow
    | Transfer
    | Disposition
    | Detach
    | End
    | Close
    | SaslMechanisms
    | SaslInit
    | SaslOutcome
)
