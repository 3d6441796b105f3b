"""What the SDK hands over becomes an arrival, and is counted once there is room for it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from azure.eventhub.amqp import AmqpAnnotatedMessage

from labkit.events.envelope import EnvelopeError, from_json
from labkit.projections.folds import Arrival
from labkit.projections.inbox import QUEUED_BATCHES, Inbox, arrival_of

NOTES = {b"x-opt-sequence-number": 7, b"x-opt-enqueued-time": 1_767_603_600_000}


def arrived(**parts: Any) -> Arrival:
    message = AmqpAnnotatedMessage(**{"annotations": NOTES, **parts})
    return arrival_of("3", SimpleNamespace(raw_amqp_message=message))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [b"aggregateId", "aggregateId"])
@pytest.mark.parametrize("value", [b"order-20260105-a", "order-20260105-a"])
def test_an_arrival_has_the_number_the_bytes_the_name_and_the_time(name: object, value: object) -> None:
    expected = Arrival("3", 7, b"abcd", "order-20260105-a", 1_767_603_600_000)
    assert arrived(data_body=[b"ab", b"cd"], application_properties={name: value}) == expected


def test_a_name_that_is_no_text_is_still_one_to_park_under() -> None:
    assert arrived(data_body=[b""], application_properties={b"aggregateId": b"\xffx"}).named == "\ufffdx"
    assert arrived(data_body=[b""], application_properties={b"aggregateId": 12}).named == "12"


def test_what_names_nothing_and_was_never_enqueued_arrives_as_well() -> None:
    assert arrived(data_body=[b"a"], annotations=None, application_properties=None) == Arrival("3", 0, b"a")


@pytest.mark.parametrize("parts", [{"value_body": {"a": 1}}, {"sequence_body": [[1, 2]]}])
def test_a_body_of_another_kind_becomes_a_text_that_is_no_event(parts: dict[str, Any]) -> None:
    with pytest.raises(EnvelopeError):
        from_json(arrived(**parts).body)


def test_what_waits_for_room_is_not_received_yet() -> None:
    """A stop commits what is received, and no more: whoever waits for the one may count on the other."""

    async def taken_in() -> tuple[int, int]:
        inbox, events = Inbox(1, 1.0), [SimpleNamespace(raw_amqp_message=AmqpAnnotatedMessage(data_body=[b"a"]))]
        inbox._ends = {"3": -1}
        for number in range(QUEUED_BATCHES + 1):
            events[0].raw_amqp_message.annotations = {b"x-opt-sequence-number": number}
            task = asyncio.create_task(inbox._on_event_batch(SimpleNamespace(partition_id="3"), events))  # type: ignore[arg-type]
            await asyncio.sleep(0)
        before = inbox.received
        inbox.done(await inbox.gather(1.0))
        await task
        return before, inbox.received

    assert asyncio.run(taken_in()) == (QUEUED_BATCHES, QUEUED_BATCHES + 1)
