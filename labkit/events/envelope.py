"""The envelope: what every event says about itself, the same on the wire and at rest. Pure.

Ten fields, as the reference architecture names them, and `schemaVersion`. JSON names are camelCase, times are aware
UTC, `version` counts 1, 2, 3 ... per aggregate. Reading upcasts: the caller sees the newest schema of a known type,
whatever was written. A type in no catalogue is read as it is; who projects it parks it.

`schemas/` holds the JSON Schema of each version of each event, `<type>.v<version>.json`. That of the newest version is
what the code says (a test compares them); those of older ones are history and never change.

Not known here: what the data means (`write_model.orders`), where events are kept or sent.
Source: CONTRIBUTING.md names the reference; W3C Trace Context for `traceparent`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from msgspec.structs import replace

from labkit.errors import LabError

Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Data = Mapping[str, Any]

CATALOGUE: Final[Mapping[str, int]] = {
    "CustomerRegistered": 1,
    "OrderCreated": 2,
    "OrderUpdated": 2,
    "OrderPaid": 1,
    "OrderShipped": 1,
    "OrderCancelled": 1,
}
"""Event type -> the schema version written today."""

AGGREGATE_TYPES: Final[Mapping[str, str]] = {
    kind: "Customer" if kind.startswith("Customer") else "Order" for kind in CATALOGUE
}
"""Event type -> the type of the aggregates that have such events."""


class EnvelopeError(LabError):
    """Bytes or a document that are no event of this lab; `aggregate_id` is told if it could be read."""

    def __init__(self, message: str, aggregate_id: str | None = None) -> None:
        super().__init__(message)
        self.aggregate_id = aggregate_id


class EventEnvelope(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One event. `causation_id` is the id of the message that caused it, `correlation_id` that of the whole story."""

    event_id: Text
    event_type: Text
    aggregate_id: Text
    aggregate_type: Text
    version: Count
    timestamp: Moment
    correlation_id: Text
    causation_id: Text
    data: Data
    metadata: Mapping[str, str]
    schema_version: Count

    def __post_init__(self) -> None:
        if self.timestamp.tzinfo is None:
            raise EnvelopeError(f"{self.event_id}: the timestamp is naive; write aware UTC", self.aggregate_id)
        if self.version < 1:
            raise EnvelopeError(f"{self.event_id}: versions count from 1, not {self.version}", self.aggregate_id)


FIELDS: Final[tuple[str, ...]] = EventEnvelope.__struct_encode_fields__
"""The JSON names, in order."""

_decoder = msgspec.json.Decoder(EventEnvelope)
_encoder = msgspec.json.Encoder(decimal_format="string")


def to_json(envelope: EventEnvelope) -> bytes:
    """The bytes on the wire. Equal envelopes give equal bytes."""
    return _encoder.encode(_in_utc(envelope))


def from_json(raw: bytes) -> EventEnvelope:
    """The envelope in these bytes, upcast. Raises: `EnvelopeError` if they hold none."""
    try:
        return upcast(_in_utc(_decoder.decode(raw)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EnvelopeError(f"not an event: {error}") from error


def to_document(envelope: EventEnvelope) -> dict[str, Any]:
    """The event document of the write model: the envelope's fields as they are, and what Cosmos DB needs."""
    fields: dict[str, Any] = msgspec.to_builtins(_in_utc(envelope))
    return {"id": envelope.event_id, "kind": "event", **fields}


def from_document(document: Mapping[str, Any]) -> EventEnvelope:
    """The envelope in an event document, upcast. Raises: `EnvelopeError` if it holds none."""
    try:
        return upcast(_in_utc(msgspec.convert(dict(document), EventEnvelope)))
    except msgspec.ValidationError as error:
        raise EnvelopeError(f"not an event document: {error}", document.get("aggregateId")) from error


def as_written(document: Mapping[str, Any]) -> bytes:
    """The wire bytes of an event document exactly as it was written: nothing is upcast on the way out.

    Raises: `EnvelopeError` for a document that says it is an event and lacks a field of every envelope.
    """
    if missing := [name for name in FIELDS if name not in document]:
        raise EnvelopeError(f"event document {document.get('id')!r} without {missing}", document.get("aggregateId"))
    return _encoder.encode({name: document[name] for name in FIELDS})


def upcast(envelope: EventEnvelope) -> EventEnvelope:
    """The same event in the newest schema of its type; types in no catalogue stay as they are.

    Raises: `EnvelopeError` for a schema version that this code does not know yet, or data that is not of its schema.
    """
    newest = CATALOGUE.get(envelope.event_type)
    if newest is None:
        return envelope
    if envelope.schema_version > newest:
        problem = f"{envelope.event_type} version {envelope.schema_version} is newer than this reader ({newest})"
        raise EnvelopeError(f"{problem}: deploy readers before writers", envelope.aggregate_id)
    while envelope.schema_version < newest:
        step = UPCASTERS[envelope.event_type, envelope.schema_version]
        try:
            data = step(envelope.data)
        except (KeyError, TypeError, ArithmeticError) as error:
            problem = f"{envelope.event_type} is not of schema version {envelope.schema_version}: {error!r}"
            raise EnvelopeError(problem, envelope.aggregate_id) from error
        envelope = replace(envelope, data=data, schema_version=envelope.schema_version + 1)
    return envelope


def items_1_to_2(data: Data) -> Data:
    """Version 1 wrote `price` as a JSON number and no total; version 2 writes `unitPrice` as text, and the total."""
    items = []
    total = Decimal(0)
    for item in data["items"]:
        price = Decimal(str(item["price"])).quantize(Decimal("0.01"))
        items.append({"productId": item["productId"], "quantity": item["quantity"], "unitPrice": str(price)})
        total += item["quantity"] * price
    return {**data, "items": items, "total": str(total)}


UPCASTERS: Final[Mapping[tuple[str, int], Callable[[Data], Data]]] = {
    ("OrderCreated", 1): items_1_to_2,
    ("OrderUpdated", 1): items_1_to_2,
}
"""(event type, schema version) -> the step to the next version."""


def _in_utc(envelope: EventEnvelope) -> EventEnvelope:
    moment = envelope.timestamp
    return envelope if moment.tzinfo is UTC else replace(envelope, timestamp=moment.astimezone(UTC))
