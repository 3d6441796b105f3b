"""Requests and responses over a pair of links: what `$cbs` and `$management` have in common.

Owns: reading a request message (ids, application properties, body) and writing its response.
Refuses to know: the operations; they are in `cbs` and `management`.

How: the response's correlation id is the request's message id, as the very bytes it came in, whatever its type. Status
and description are written under both spellings that Azure's clients look for.

Source: OASIS AMQP management working draft 9, section 3; AMQP claims-based security draft 1, section 3;
azure-eventhub 5.15.1, `_pyamqp/management_link.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localazure.amqp import encode
from localazure.amqp.decode import compound_bounds, decode
from localazure.amqp.errors import DecodeError
from localazure.amqp.skip import skip
from localazure.eventhubs.messages import APPLICATION_PROPERTIES, PROPERTIES, VALUE, Section, sections
from localazure.eventhubs.refusals import BadMessage

MESSAGE_ID, REPLY_TO = 0, 4


@dataclass(frozen=True, slots=True)
class Request:
    """`message_id` is still encoded."""

    message_id: bytes
    reply_to: str | None
    properties: dict[Any, Any]
    body: Any

    def text(self, name: str) -> str:
        """A property that must be a string. Raises: `BadMessage`."""
        value = self.properties.get(name)
        if not isinstance(value, str):
            raise BadMessage(f"the request needs the application property {name!r}")
        return value


def read_request(payload: bytes) -> Request:
    """Raises: `BadMessage`."""
    message_id, reply_to, properties, body = encode.NULL, None, {}, None
    try:
        for section in sections(payload):
            if section.code == PROPERTIES:
                fields = _fields(payload, section)
                message_id = fields[MESSAGE_ID] if fields else encode.NULL
                reply_to = decode(fields[REPLY_TO])[0] if len(fields) > REPLY_TO else None
            elif section.code == APPLICATION_PROPERTIES:
                properties = decode(payload, section.value)[0]
            elif section.code == VALUE:
                body = decode(payload, section.value)[0]
    except DecodeError as problem:
        raise BadMessage(problem.description) from None
    return Request(message_id, reply_to if isinstance(reply_to, str) else None, properties, body)


def _fields(payload: bytes, section: Section) -> list[bytes]:
    """The encoded fields of a list section."""
    if payload[section.value] == 0x45:
        return []
    width = 1 if payload[section.value] == 0xC0 else 4
    count, position, _ = compound_bounds(payload, section.value + 1, width, 1)
    fields = []
    for _ in range(count):
        end = skip(payload, position, 2)
        fields.append(payload[position:end])
        position = end
    return fields


def write_response(request: Request, status: int, description: str, condition: str | None, body: bytes) -> bytes:
    """The response message; `body` is an encoded value."""
    properties = encode.list_of([encode.NULL] * 5 + [request.message_id])
    answers = [
        (encode.string("status-code"), encode.int_(status)),
        (encode.string("statusCode"), encode.int_(status)),
        (encode.string("status-description"), encode.string(description)),
        (encode.string("statusDescription"), encode.string(description)),
    ]
    if condition is not None:
        answers.append((encode.string("errorCondition"), encode.symbol(condition)))
    return b"".join(
        (
            encode.described(PROPERTIES, properties),
            encode.described(APPLICATION_PROPERTIES, encode.map_of(answers)),
            encode.described(VALUE, body),
        )
    )
