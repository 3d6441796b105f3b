"""Frame bodies read and written: bytes to records, records to bytes.

Owns: the two directions, and the error type. Refuses to know: in which state a performative may come (`states`).

How: `fields` says what stands where. `read` turns a body into a record, or raises `ConnectionFault` with decode-error
(not AMQP), invalid-field (wrong type or missing) or not-implemented (another descriptor). `write` encodes all fields,
trailing nulls too: the Azure SDK indexes fixed positions.

Source: OASIS AMQP 1.0 part 2, sections 2.7 and 2.8.14 (error); part 3, section 3.4 (outcomes).
"""

from __future__ import annotations

from typing import Any

from localazure.amqp import encode
from localazure.amqp.decode import Described, Symbol, compound_bounds, decode
from localazure.amqp.errors import INVALID_FIELD, NOT_IMPLEMENTED, ConnectionFault, DecodeError
from localazure.amqp.fields import FIELDS, is_raw
from localazure.amqp.records import (
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    Performative,
    RawValue,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Transfer,
)

ERROR = 0x1D
_TRANSFER = b"\x00\x53\x14"
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


def read(body: bytes | memoryview) -> Performative:
    """The performative of a frame body. Raises: `ConnectionFault` (decode-error, invalid-field, not-implemented)."""
    end = _end_of_transfer(body)
    try:
        return _read(bytes(body[:end]), body[end:])
    except DecodeError as problem:
        raise ConnectionFault(problem.condition, problem.description) from None


def _end_of_transfer(body: bytes | memoryview) -> int:
    """Where a transfer's payload begins, which is then copied once; of all other frames, and of odd ones, the end."""
    if len(body) < 12 or bytes(body[:3]) != _TRANSFER:
        return len(body)
    if body[3] == 0xC0:
        return 5 + body[4]
    return 8 + int.from_bytes(body[4:8], "big") if body[3] == 0xD0 else len(body)


def _read(body: bytes, payload: bytes | memoryview) -> Performative:
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
        values["payload"] = body[end:] or bytes(payload)
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
        if field.accepts is is_raw:
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


def rejected(condition: str, description: str) -> bytes:
    return encode.described(0x25, encode.list_of([error(condition, description)]))
