"""Which type stands at which position of a performative: one table, used for reading and for writing.

Owns: per field its check, whether it may be null, and its encoding. Refuses to know: frames and states.

Source: OASIS AMQP 1.0 part 2, section 2.7; part 5, section 5.3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localazure.amqp import encode
from localazure.amqp.decode import AmqpArray, Described, Symbol
from localazure.amqp.records import (
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    RawValue,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Transfer,
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
_is_symbol, _is_symbols, is_raw = _is(Symbol), _is(Symbol, AmqpArray), _is(RawValue)
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
    return Field(name, is_raw, False, lambda value: encode.NULL if value is None else value.encoded)


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
