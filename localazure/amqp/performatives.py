"""The frame bodies of AMQP: their fields, in order, read with their types checked and written in full.

Owns: the nine performatives of the transport, the three of SASL that a server needs, and the error type.
Refuses to know: in which state a performative may come (`states`).

How: one table of fields per performative; `read` turns a body into a frozen record, or raises `ConnectionFault` with
decode-error (not AMQP), invalid-field (wrong type or missing) or not-implemented (another descriptor). `write`
encodes all fields, trailing nulls too: the Azure SDK indexes fixed positions.
Source and target are kept as the bytes that came (`RawValue`), since an attach echoes them.

Source: OASIS AMQP 1.0 part 2, section 2.7; part 5, section 5.3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from localazure.amqp import encode
from localazure.amqp.decode import AmqpArray, Described, Symbol, compound_bounds, decode
from localazure.amqp.errors import INVALID_FIELD, NOT_IMPLEMENTED, ConnectionFault, DecodeError

ERROR = 0x1D


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


@dataclass(frozen=True, slots=True)
class Field:
    """One position of a performative: its check, and whether null may stand there."""

    name: str
    accepts: Callable[[Any], bool]
    mandatory: bool = False
    write: Callable[[Any], bytes] = lambda value: encode.NULL


def _is_number(most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and 0 <= value <= most


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in types


_is_boolean, _is_text, _is_binary, _is_map = _is(bool), _is(str), _is(bytes), _is(dict)
_is_symbol, _is_symbols, _is_raw = _is(Symbol), _is(Symbol, AmqpArray), _is(RawValue)
_is_described = _is(Described)


def _text(name: str, mandatory: bool = False) -> Field:
    return Field(name, _is_text, mandatory, encode.string)


def _uint(name: str, mandatory: bool = False) -> Field:
    return Field(name, _is_number(0xFFFFFFFF), mandatory, encode.uint)


def _flag(name: str, mandatory: bool = False) -> Field:
    return Field(name, _is_boolean, mandatory, encode.boolean)


def _mode(name: str, most: int) -> Field:
    return Field(name, _is_number(most), False, encode.ubyte)


def _symbols(name: str) -> Field:
    return Field(
        name, _is_symbols, False, lambda value: encode.NULL if value is None else encode.array_of_symbols(value)
    )


def _map(name: str) -> Field:
    return Field(name, _is_map)


def _state(name: str) -> Field:
    return Field(name, _is_described, False, lambda value: encode.NULL if value is None else value)


def _raw(name: str) -> Field:
    return Field(name, _is_raw, False, lambda value: encode.NULL if value is None else value.encoded)


FIELDS: Mapping[type[Any], tuple[Field, ...]] = {
    Open: (
        _text("container_id", mandatory=True),
        _text("hostname"),
        _uint("max_frame_size"),
        Field("channel_max", _is_number(0xFFFF), False, encode.ushort),
        _uint("idle_timeout_ms"),
        _symbols("outgoing_locales"),
        _symbols("incoming_locales"),
        _symbols("offered_capabilities"),
        _symbols("desired_capabilities"),
        _map("properties"),
    ),
    Begin: (
        Field("remote_channel", _is_number(0xFFFF), False, encode.ushort),
        _uint("next_outgoing_id", mandatory=True),
        _uint("incoming_window", mandatory=True),
        _uint("outgoing_window", mandatory=True),
        _uint("handle_max"),
        _symbols("offered_capabilities"),
        _symbols("desired_capabilities"),
        _map("properties"),
    ),
    Attach: (
        _text("name", mandatory=True),
        _uint("handle", mandatory=True),
        _flag("is_receiver", mandatory=True),
        _mode("snd_settle_mode", 2),
        _mode("rcv_settle_mode", 1),
        _raw("source"),
        _raw("target"),
        _map("unsettled"),
        _flag("incomplete_unsettled"),
        _uint("initial_delivery_count"),
        Field("max_message_size", _is_number(0xFFFFFFFFFFFFFFFF), False, encode.ulong),
        _symbols("offered_capabilities"),
        _symbols("desired_capabilities"),
        _map("properties"),
    ),
    Flow: (
        _uint("next_incoming_id"),
        _uint("incoming_window", mandatory=True),
        _uint("next_outgoing_id", mandatory=True),
        _uint("outgoing_window", mandatory=True),
        _uint("handle"),
        _uint("delivery_count"),
        _uint("link_credit"),
        _uint("available"),
        _flag("drain"),
        _flag("echo"),
        _map("properties"),
    ),
    Transfer: (
        _uint("handle", mandatory=True),
        _uint("delivery_id"),
        Field("delivery_tag", lambda value: type(value) is bytes and len(value) <= 32, False, encode.binary),
        _uint("message_format"),
        _flag("settled"),
        _flag("more"),
        _mode("rcv_settle_mode", 1),
        _state("state"),
        _flag("resume"),
        _flag("aborted"),
        _flag("batchable"),
    ),
    Disposition: (
        _flag("is_receiver", mandatory=True),
        _uint("first", mandatory=True),
        _uint("last"),
        _flag("settled"),
        _state("state"),
        _flag("batchable"),
    ),
    Detach: (_uint("handle", mandatory=True), _flag("closed"), _state("error")),
    End: (_state("error"),),
    Close: (_state("error"),),
    SaslMechanisms: (_symbols("mechanisms"),),
    SaslInit: (
        Field("mechanism", _is_symbol, True, encode.symbol),
        Field("initial_response", _is_binary, False, encode.binary),
        _text("hostname"),
    ),
    SaslOutcome: (
        Field("outcome", _is_number(4), True, encode.ubyte),
        Field("additional_data", _is_binary, False, encode.binary),
    ),
}
_BY_CODE = {kind.code: kind for kind in FIELDS}
_BY_NAME = {
    "amqp:open:list": Open,
    "amqp:begin:list": Begin,
    "amqp:attach:list": Attach,
    "amqp:flow:list": Flow,
    "amqp:transfer:list": Transfer,
    "amqp:disposition:list": Disposition,
    "amqp:detach:list": Detach,
    "amqp:end:list": End,
    "amqp:close:list": Close,
    "amqp:sasl-mechanisms:list": SaslMechanisms,
    "amqp:sasl-init:list": SaslInit,
    "amqp:sasl-outcome:list": SaslOutcome,
}


def read(body: bytes) -> Performative:
    """The performative of a frame body. Raises: `ConnectionFault` (decode-error, invalid-field, not-implemented)."""
    try:
        return _read(body)
    except DecodeError as problem:
        raise ConnectionFault(problem.condition, problem.description) from None


def _read(body: bytes) -> Performative:
    if body[:1] != b"\x00":
        raise DecodeError("a frame body must be a described list")
    descriptor, position = decode(body, 1)
    kind = _BY_NAME.get(descriptor) if isinstance(descriptor, Symbol) else None
    if type(descriptor) is int:
        kind = _BY_CODE.get(descriptor)
    if kind is None:
        raise ConnectionFault(NOT_IMPLEMENTED, f"no performative has the descriptor {descriptor!r}")
    values, end = _read_list(body, position, kind)
    if kind is Transfer:
        values["payload"] = body[end:]
    elif end != len(body):
        raise DecodeError(f"{len(body) - end} bytes follow the {kind.__name__.lower()}")
    performative: Performative = kind(**values)
    return performative


def _read_list(body: bytes, position: int, kind: type[Any]) -> tuple[dict[str, Any], int]:
    constructor = body[position] if position < len(body) else None
    if constructor == 0x45:
        count, position, end = 0, position + 1, position + 1
    elif constructor in (0xC0, 0xD0):
        count, position, end = compound_bounds(body, position + 1, 1 if constructor == 0xC0 else 4, 0)
    else:
        raise DecodeError("a performative must be a list")
    fields = FIELDS[kind]
    if count > len(fields):
        raise ConnectionFault(INVALID_FIELD, f"{kind.__name__.lower()} has {len(fields)} fields, not {count}")
    values: dict[str, Any] = {}
    for index, field in enumerate(fields):
        start = position
        value = None
        if index < count:
            value, position = decode(body, position, 1)
        if value is None:
            if field.mandatory:
                raise ConnectionFault(INVALID_FIELD, f"{kind.__name__.lower()} needs the field {field.name}")
            continue
        if field.accepts is _is_raw:
            value = RawValue(value, body[start:position])
        if not field.accepts(value):
            raise ConnectionFault(INVALID_FIELD, f"{kind.__name__.lower()} has a wrong {field.name}: {value!r}")
        values[field.name] = value
    if position != end:
        raise DecodeError(f"the fields of {kind.__name__.lower()} do not fill their list")
    if kind is Begin:
        values.setdefault("remote_channel", None)
    elif kind is Flow:
        values.setdefault("next_incoming_id", None)
    elif kind is SaslMechanisms:
        values.setdefault("mechanisms", [])
    return values, end


def write(performative: Performative) -> bytes:
    """The frame body, every field present; a transfer's payload follows it."""
    fields = FIELDS[type(performative)]
    parts = [field.write(getattr(performative, field.name)) for field in fields]
    body = encode.described(performative.code, encode.list_of(parts))
    return body + performative.payload if isinstance(performative, Transfer) else body


def error(condition: str, description: str) -> bytes:
    """An encoded error: condition, description and an empty info, all three always there."""
    return encode.described(
        ERROR, encode.list_of([encode.symbol(condition), encode.string(description[:1024]), encode.NULL])
    )


def error_condition(value: Any) -> str | None:
    """The condition of an error that came in a detach, end or close."""
    if isinstance(value, Described) and isinstance(value.value, list) and value.value:
        condition = value.value[0]
        return str(condition) if isinstance(condition, Symbol) else None
    return None


ACCEPTED = encode.described(0x24, encode.EMPTY_LIST)
RELEASED = encode.described(0x26, encode.EMPTY_LIST)


def rejected(condition: str, description: str) -> bytes:
    return encode.described(0x25, encode.list_of([error(condition, description)]))
