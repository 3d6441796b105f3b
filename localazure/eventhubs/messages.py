"""An arriving message cut into events, and each event made ready to be delivered as it is stored.

Owns: the sections of a message, the batch format, the annotations that the service stamps. Refuses to know: logs.

How: a `Cutter` checks the sections and gives, per event, what stands before and behind the place of the message
annotations; `stamp` puts them together with sequence number, offset and enqueued time. A stored event is therefore
exactly what is sent to consumers. Of a sender's own annotations all survive but those the service owns. Section
descriptors are rewritten as smallulong, which the Azure SDK reads at a fixed place.

Source: OASIS AMQP 1.0 part 3, section 3.2; message format 0x80013700 (one event per data section) as in
learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide and azure-eventhub 5.15.1 `_pyamqp/message.py`.
Gap: sections may come in any order, as that SDK writes delivery annotations last.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from localazure.amqp import encode
from localazure.amqp.decode import Symbol, compound_bounds, decode
from localazure.amqp.errors import DecodeError
from localazure.amqp.skip import skip
from localazure.eventhubs.refusals import BadMessage

BATCH_FORMAT = 0x80013700
HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS = 0x70, 0x71, 0x72
PROPERTIES, APPLICATION_PROPERTIES, DATA, SEQUENCE, VALUE, FOOTER = 0x73, 0x74, 0x75, 0x76, 0x77, 0x78
PARTITION_KEY = "x-opt-partition-key"
_OWNED = {"x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time", PARTITION_KEY, "x-opt-publisher"}
_MAPS = (DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS, APPLICATION_PROPERTIES, FOOTER)
_LONG_DATA = b"\x00\x53\x75\xb0"
"""A data section as clients write it above 255 bytes."""
_LONG_EVENT = struct.Struct(">4sI4sI")
"""A data section that is a batch's event of one data section, both long: the one that is worth a short cut."""
_WHOLE = float("inf")
_new = tuple.__new__
"""Makes an `Event` in a third of the time that its constructor takes."""


class Event(NamedTuple):
    """`head` is the header section, `tail` what follows the message annotations, `kept` the sender's own of these."""

    head: bytes
    tail: bytes
    partition_key: str | None = None
    kept: bytes = b""
    kept_count: int = 0


class Section(NamedTuple):
    """One section: its descriptor code, where its value starts, where it ends."""

    code: int
    start: int
    value: int
    end: int


def sections(payload: bytes) -> list[Section]:
    """The sections of a message. Raises: `BadMessage`."""
    try:
        return _sections(payload)
    except DecodeError as problem:
        raise BadMessage(problem.description) from None


def _sections(payload: bytes) -> list[Section]:
    found = []
    position = 0
    while position < len(payload):
        found.append(_section(payload, position))
        position = found[-1].end
    return found


def _section(payload: bytes, position: int) -> Section:
    if payload[position] != 0x00:
        raise DecodeError("a section must be a described value")
    if payload[position + 1 : position + 2] == b"\x53":
        code, value = payload[position + 2] if position + 2 < len(payload) else -1, position + 3
    else:
        code, value = decode(payload, position + 1)
        if not isinstance(code, int):
            code = _NAMES.get(code, -1) if isinstance(code, Symbol) else -1
    end = skip(payload, value, 1)
    _check_section(code, payload[value])
    return Section(code, position, value, end)


def _check_section(code: int, constructor: int) -> None:
    if not HEADER <= code <= FOOTER:
        raise DecodeError(f"no message section has the descriptor {code}")
    if code == DATA:
        fits = constructor in (0xA0, 0xB0)
    elif code in _MAPS:
        fits = constructor in (0xC1, 0xD1)
    else:
        fits = code == VALUE or constructor in (0x45, 0xC0, 0xD0)
    if not fits:
        raise DecodeError(f"the section 0x{code:02x} has the wrong type")


class Cutter:
    """The events of one message, cut while its parts arrive: one event, or as many as a batch has data sections.

    Long events are cut as they come; from any other section on, the rest is looked at when the message is whole. What
    would only be needed afterwards, such as the key of each event, is left to `events`.
    """

    def __init__(self, message_format: int) -> None:
        self._is_batch = message_format == BATCH_FORMAT
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._wanted_bytes: float = _LONG_EVENT.size if self._is_batch else _WHOLE
        self._bodies: list[bytes] = []
        self._others: dict[int, Event] = {}
        self._key: str | None = None

    @property
    def count(self) -> int:
        return len(self._bodies)

    @property
    def partition_key(self) -> str | None:
        """The key that says where the message goes."""
        return self._others[0].partition_key if self._key is None and 0 in self._others else self._key

    def add(self, part: bytes) -> None:
        """What arrived next."""
        self._rest.append(part)
        self._rest_bytes += len(part)
        if self._rest_bytes >= self._wanted_bytes:
            self._cut(is_whole=False)

    def finish(self) -> None:
        """Everything has arrived. Raises: `BadMessage`."""
        try:
            if self._is_batch:
                self._cut(is_whole=True)
            else:
                self._add(b"".join(self._rest))
        except DecodeError as problem:
            raise BadMessage(problem.description) from None
        if not self._bodies:
            raise BadMessage("a batch without events")

    def events(self) -> list[Event]:
        """The events of a finished message."""
        key = self._key
        events = [_new(Event, (b"", body, key, b"", 0)) for body in self._bodies]
        for index, event in self._others.items():
            events[index] = event if key is None else event._replace(partition_key=key)
        return events

    def _cut(self, *, is_whole: bool) -> None:
        data = b"".join(self._rest)
        position, size = 0, len(data)
        unpack, last_long, add = _LONG_EVENT.unpack_from, size - _LONG_EVENT.size, self._bodies.append
        self._wanted_bytes = _LONG_EVENT.size
        while position < size:
            if position <= last_long:
                outer, length, inner, inner_length = unpack(data, position)
                if outer == _LONG_DATA == inner and length == inner_length + 8:
                    start = position + 8
                    end = start + length
                    if end <= size:
                        add(data[start:end])
                        position = end
                        continue
                    self._wanted_bytes = 8 + length
                elif not is_whole:
                    self._wanted_bytes = _WHOLE
            if not is_whole:
                break
            position = self._cut_section(data, position)
        self._rest, self._rest_bytes = [data[position:]], size - position

    def _cut_section(self, data: bytes, position: int) -> int:
        section = _section(data, position)
        if section.code == MESSAGE_ANNOTATIONS:
            self._key = _annotations(data, section)[0]
        elif section.code == DATA:
            self._add(data[section.value + (2 if data[section.value] == 0xA0 else 5) : section.end])
        return section.end

    def _add(self, body: bytes) -> None:
        self._others[len(self._bodies)] = _event(body)
        self._bodies.append(body)


def split(payload: bytes, message_format: int) -> list[Event]:
    """The events of a whole message. Raises: `BadMessage`."""
    cutter = Cutter(message_format)
    cutter.add(payload)
    cutter.finish()
    return cutter.events()


def _event(payload: bytes) -> Event:
    found = _sections(payload)
    if not found:
        raise DecodeError("a message without sections")
    key: str | None = None
    kept, count = b"", 0
    head, tail = b"", []
    for one in found:
        if one.code == MESSAGE_ANNOTATIONS:
            key, kept, count = _annotations(payload, one)
        elif one.code == HEADER:
            head = _section_bytes(payload, one)
        else:
            tail.append(_section_bytes(payload, one))
    return Event(head, b"".join(tail), key, kept, count)


def _section_bytes(payload: bytes, section: Section) -> bytes:
    return bytes((0x00, 0x53, section.code)) + payload[section.value : section.end]


def _annotations(payload: bytes, section: Section) -> tuple[str | None, bytes, int]:
    """The partition key, and the encoded pairs that the service does not own with the number of their elements."""
    width = 1 if payload[section.value] == 0xC1 else 4
    count, position, _ = compound_bounds(payload, section.value + 1, width, 1)
    key: str | None = None
    kept = []
    for _ in range(count // 2):
        name, value_at = decode(payload, position, 2)
        end = skip(payload, value_at, 2)
        if name == PARTITION_KEY:
            value, _ = decode(payload, value_at, 2)
            if not isinstance(value, str):
                raise DecodeError("a partition key must be a string")
            key = value
        elif not (isinstance(name, str) and name in _OWNED):
            kept.append(payload[position:end])
        position = end
    return key, b"".join(kept), 2 * len(kept)


_MAP = b"\x00\x53\x72\xd1"
_STAMP = struct.Struct(">4sII24sq15sB")
_SEQUENCE_NAME = encode.symbol("x-opt-sequence-number") + b"\x81"
_OFFSET_NAME = encode.symbol("x-opt-offset") + b"\xa1"
_TIME_NAME = encode.symbol("x-opt-enqueued-time")
_KEY_NAME = encode.symbol(PARTITION_KEY)
_FIXED_BYTES = _STAMP.size - 8


def stamp(events: list[Event], first_sequence: int, first_offset: int, enqueued_ms: int) -> tuple[bytes, list[int]]:
    """The events as they are stored and delivered, one after the other, and their sizes.

    An event's offset is the number of stored bytes before it in its partition.
    """
    parts: list[bytes] = []
    sizes: list[int] = []
    offset = first_offset
    time = _TIME_NAME + encode.timestamp(enqueued_ms)
    key, ending, count, fixed_bytes = None, time, 6, _FIXED_BYTES + len(time)
    pack, add = _STAMP.pack, parts.extend
    for sequence, (head, tail, own_key, kept, kept_count) in enumerate(events, first_sequence):
        if own_key != key:
            key, ending, count = own_key, time, 6
            if key is not None:
                ending, count = time + _KEY_NAME + encode.string(key), 8
            fixed_bytes = _FIXED_BYTES + len(ending)
        digits = b"%d" % offset
        map_bytes = fixed_bytes + len(digits) + len(kept)
        opening = pack(_MAP, map_bytes, count + kept_count, _SEQUENCE_NAME, sequence, _OFFSET_NAME, len(digits))
        add((head, opening, digits, ending, kept, tail))
        size = len(head) + 8 + map_bytes + len(tail)
        sizes.append(size)
        offset += size
    return b"".join(parts), sizes


_NAMES = {
    "amqp:header:list": HEADER,
    "amqp:delivery-annotations:map": DELIVERY_ANNOTATIONS,
    "amqp:message-annotations:map": MESSAGE_ANNOTATIONS,
    "amqp:properties:list": PROPERTIES,
    "amqp:application-properties:map": APPLICATION_PROPERTIES,
    "amqp:data:binary": DATA,
    "amqp:amqp-sequence:list": SEQUENCE,
    "amqp:amqp-value:*": VALUE,
    "amqp:footer:map": FOOTER,
}
