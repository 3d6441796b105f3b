"""Which requests hold CloudEvents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localazure.eventgrid.events import BATCH, MOST_BYTES, MOST_EVENTS, ONE, read
from localazure.eventgrid.refusals import BadRequest, TooLarge

EVENT = {"specversion": "1.0", "id": "1", "source": "/lab", "type": "t"}


def batch(*events: Any) -> bytes:
    return json.dumps(events).encode()


def test_a_batch_is_taken_apart_in_its_order_and_nothing_is_lost_of_an_event() -> None:
    events = [{**EVENT, "id": str(number), "data": {"ä": [1, None]}, "traceparent": "00-a"} for number in range(3)]
    assert [json.loads(event) for event in read(f"{BATCH}; charset=utf-8", batch(*events))] == events
    assert [json.loads(event) for event in read(ONE, json.dumps(EVENT).encode())] == [EVENT]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", batch(EVENT)),
        ("", batch(EVENT)),
        (BATCH, b"{"),
        (BATCH, b"\xff"),
        (BATCH, b"[" * 100_000),
        (BATCH, b"[]"),
        (BATCH, json.dumps(EVENT).encode()),
        (ONE, batch(EVENT)),
        (BATCH, batch(7)),
        *((BATCH, batch({key: value for key, value in EVENT.items() if key != name})) for name in EVENT),
        *((BATCH, batch({**EVENT, name: ""})) for name in EVENT),
        *((BATCH, batch({**EVENT, name: 1})) for name in EVENT),
        (BATCH, batch({**EVENT, "specversion": "0.3"})),
        (BATCH, batch({**EVENT, "eventType": "t"})),
        (BATCH, batch({**EVENT, "data": 1, "data_base64": "QQ=="})),
        (BATCH, b'[{"specversion":"1.0","id":"\\ud800","source":"s","type":"t"}]'),
    ],
)
def test_what_is_no_cloud_event_is_a_bad_request_with_the_services_sentence(kind: str, body: bytes) -> None:
    with pytest.raises(BadRequest, match="configured to receive event in 'CloudEventV10' schema") as refused:
        read(kind, body)
    assert (refused.value.status, refused.value.code) == (400, "BadRequest")


def test_one_wrong_event_refuses_the_batch() -> None:
    with pytest.raises(BadRequest, match="attribute id"):
        read(BATCH, batch(EVENT, {**EVENT, "id": None}))


def test_a_request_has_a_megabyte_and_five_thousand_events_at_most() -> None:
    frame = len(batch({**EVENT, "data": ""}))
    assert read(BATCH, batch({**EVENT, "data": "x" * (MOST_BYTES - frame)}))
    assert len(read(BATCH, batch(*[EVENT] * MOST_EVENTS))) == MOST_EVENTS
    with pytest.raises(TooLarge, match="1048577 bytes") as refused:
        read(BATCH, batch({**EVENT, "data": "x" * (MOST_BYTES - frame + 1)}))
    assert refused.value.status == 413
    with pytest.raises(TooLarge, match="5001 events"):
        read(BATCH, batch(*[EVENT] * (MOST_EVENTS + 1)))
