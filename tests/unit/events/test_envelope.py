"""The envelope on the wire and at rest: the same fields, aware times, old schemas read as the newest."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from labkit.events import envelope as envelopes
from labkit.events.envelope import EnvelopeError, EventEnvelope

PAID = EventEnvelope(
    event_id="e-2",
    event_type="OrderPaid",
    aggregate_id="order-20260105-0001",
    aggregate_type="Order",
    version=2,
    timestamp=datetime(2026, 1, 5, 9, 0, 1, tzinfo=UTC),
    correlation_id="c-1",
    causation_id="k-2",
    data={},
    metadata={"userId": "ada", "source": "lesson"},
    schema_version=1,
)

CREATED_1: dict[str, Any] = {
    "eventId": "e-1",
    "eventType": "OrderCreated",
    "aggregateId": "order-20260105-0001",
    "aggregateType": "Order",
    "version": 1,
    "timestamp": "2026-01-05T09:00:00Z",
    "correlationId": "c-1",
    "causationId": "k-1",
    "data": {"customerId": "customer-1", "items": [{"productId": "tea", "quantity": 3, "price": 12.1}]},
    "metadata": {},
    "schemaVersion": 1,
}


def written(**changes: Any) -> bytes:
    return json.dumps({**CREATED_1, **changes}).encode()


def test_the_wire_form_is_the_eleven_fields_in_camel_case() -> None:
    assert envelopes.to_json(PAID) == (
        b'{"eventId":"e-2","eventType":"OrderPaid","aggregateId":"order-20260105-0001","aggregateType":"Order",'
        b'"version":2,"timestamp":"2026-01-05T09:00:01Z","correlationId":"c-1","causationId":"k-2","data":{},'
        b'"metadata":{"userId":"ada","source":"lesson"},"schemaVersion":1}'
    )


def test_an_event_document_is_the_envelope_and_what_cosmos_db_needs() -> None:
    document = envelopes.to_document(PAID)
    assert document == {"id": "e-2", "kind": "event", **json.loads(envelopes.to_json(PAID))}
    assert envelopes.from_document({**document, "_etag": '"1"', "_ts": 1}) == PAID


def test_the_relay_sends_a_document_as_it_was_written() -> None:
    assert envelopes.as_written({"id": "e-1", "kind": "event", **CREATED_1, "_ts": 1}) == (
        json.dumps(CREATED_1, separators=(",", ":")).encode()
    )


@given(
    data=st.dictionaries(
        st.text(), st.none() | st.booleans() | st.text() | st.lists(st.text(), max_size=3), max_size=4
    ),
    moment=st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2199, 1, 1)),  # noqa: DTZ001
    hours=st.integers(-12, 14),
    version=st.integers(1, 10**12),
)
def test_whatever_is_written_is_read_back_in_utc(data: Any, moment: datetime, hours: int, version: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    event = replace(PAID, data=data, timestamp=aware, version=version)
    back = envelopes.from_json(envelopes.to_json(event))
    assert back == event
    assert back.timestamp.tzinfo is UTC
    assert envelopes.from_document(envelopes.to_document(event)) == event


def test_an_old_order_is_read_in_the_new_schema_with_decimal_text_and_a_total() -> None:
    event = envelopes.from_json(written())
    assert event.schema_version == 2
    assert event.data == {
        "customerId": "customer-1",
        "items": [{"productId": "tea", "quantity": 3, "unitPrice": "12.10"}],
        "total": "36.30",
    }


def test_a_type_in_no_catalogue_is_read_as_it_is() -> None:
    event = envelopes.from_json(written(eventType="OrderGiftWrapped", schemaVersion=9, data={"paper": "blue"}))
    assert (event.event_type, event.schema_version, event.data) == ("OrderGiftWrapped", 9, {"paper": "blue"})


def test_a_schema_from_the_future_is_refused_and_names_its_aggregate() -> None:
    with pytest.raises(EnvelopeError, match="deploy readers before writers") as refused:
        envelopes.from_json(written(schemaVersion=3))
    assert refused.value.aggregate_id == "order-20260105-0001"


def test_data_that_is_not_of_its_schema_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="not of schema version 1"):
        envelopes.from_json(written(data={"items": [{"productId": "tea"}]}))
    with pytest.raises(EnvelopeError, match="not of schema version 1"):
        envelopes.from_json(written(data={"items": [{"productId": "tea", "quantity": 1, "price": "dear"}]}))


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": "2026-01-05T09:00:00"},
        {"timestamp": "yesterday"},
        {"version": 0},
        {"version": "1"},
        {"aggregateId": ""},
        {"data": []},
        {"metadata": {"userId": 1}},
        {"schemaVersion": 0},
        {"eventId": None},
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EnvelopeError, match="not an event"):
        envelopes.from_json(written(**changes))


@pytest.mark.parametrize("name", sorted(CREATED_1))
def test_a_missing_field_is_refused(name: str) -> None:
    with pytest.raises(EnvelopeError, match="missing required field"):
        envelopes.from_json(json.dumps({k: v for k, v in CREATED_1.items() if k != name}).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff\xfe", b"null"])
def test_bytes_that_are_no_envelope_are_refused(raw: bytes) -> None:
    with pytest.raises(EnvelopeError):
        envelopes.from_json(raw)


def test_a_naive_time_cannot_enter_an_envelope() -> None:
    with pytest.raises(EnvelopeError, match="naive"):
        replace(PAID, timestamp=datetime(2026, 1, 5))  # noqa: DTZ001


def test_every_step_between_schema_versions_is_there() -> None:
    steps = {(kind, old) for kind, newest in envelopes.CATALOGUE.items() for old in range(1, newest)}
    assert set(envelopes.UPCASTERS) == steps
