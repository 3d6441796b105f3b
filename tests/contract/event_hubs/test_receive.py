"""Receiving through azure-eventhub, unmodified: from every kind of start, by group, by owner level, with tracking."""

from __future__ import annotations

import datetime
import threading
import time

import pytest
from azure.eventhub import EventData
from azure.eventhub._utils import get_last_enqueued_event_properties
from azure.eventhub.exceptions import ConnectError, ConnectionLostError

from .conftest import PATIENCE_SECONDS, Reading


def _numbers(events: list[EventData]) -> list[int]:
    return [event.sequence_number for event in events]


def _has_ten(consumer) -> bool:
    return len(consumer.events) >= 10


def _has_failed(consumer) -> bool:
    return bool(consumer.errors)


@pytest.fixture(scope="module")
def ten(shelf, azure) -> list[EventData]:
    """The ten events of the shelf as they are received."""
    consumer = Reading(azure.event_hubs_connection_string_for("listen"), shelf, "$Default")
    consumer.start(partition_id="0").until(_has_ten).stop()
    return consumer.events


def test_from_the_start_everything_comes_in_order(ten) -> None:
    assert _numbers(ten) == list(range(10))
    assert [event.body_as_str() for event in ten] == [f"{number}" for number in range(10)]


def test_from_a_sequence_number_without_and_with_it(shelf, read) -> None:
    assert _numbers(read(shelf, 6, partition_id="0", starting_position=3)) == [4, 5, 6, 7, 8, 9]
    inclusive = read(shelf, 7, partition_id="0", starting_position=3, starting_position_inclusive=True)
    assert _numbers(inclusive) == [3, 4, 5, 6, 7, 8, 9]


def test_from_an_offset_without_and_with_it(shelf, ten, read) -> None:
    offset = ten[6].offset
    assert offset != "6"
    assert _numbers(read(shelf, 3, partition_id="0", starting_position=offset)) == [7, 8, 9]
    inclusive = read(shelf, 4, partition_id="0", starting_position=offset, starting_position_inclusive=True)
    assert _numbers(inclusive) == [6, 7, 8, 9]


def test_from_a_time_without_and_with_it(shelf, ten, read) -> None:
    moment = ten[5].enqueued_time
    assert ten[4].enqueued_time < moment
    inclusive = read(shelf, 5, partition_id="0", starting_position=moment, starting_position_inclusive=True)
    assert _numbers(inclusive) == [5, 6, 7, 8, 9]
    yesterday = moment - datetime.timedelta(days=1)
    assert _numbers(read(shelf, 10, partition_id="0", starting_position=yesterday)) == list(range(10))


def test_from_latest_only_what_comes_later(hub, producer, reading) -> None:
    producer.send_batch([EventData("early")], partition_id="0")
    attached = threading.Event()
    consumer = reading(
        hub, partition_id="0", starting_position="@latest", on_partition_initialize=lambda _: attached.set()
    )
    assert attached.wait(PATIENCE_SECONDS)
    patient_until = time.monotonic() + PATIENCE_SECONDS
    while not consumer.events and not consumer.errors:  # it is about to attach, and nobody tells when it has
        assert time.monotonic() < patient_until, "nothing came of all that was sent"
        producer.send_batch([EventData("late")], partition_id="0")
    consumer.until(lambda it: bool(it.events))
    assert consumer.events[0].sequence_number >= 1


def test_a_start_behind_the_end_is_refused_with_argument_error(shelf, read) -> None:
    with pytest.raises(ConnectError, match=r"com\.microsoft:argument-error"):
        read(shelf, 1, partition_id="0", starting_position=1_000, retry_total=0)


def test_an_unknown_consumer_group_is_refused(shelf, read) -> None:
    with pytest.raises(ConnectionLostError, match="amqp:not-found"):
        read(shelf, 1, partition_id="0", group="nobody", retry_total=0)


def test_consumer_groups_read_the_same_events_each_for_itself(shelf, read, ten) -> None:
    assert _numbers(read(shelf, 10, partition_id="0", group="monitor")) == _numbers(ten)


def test_all_partitions_at_once(hub, producer, read) -> None:
    for partition in ("0", "1"):
        producer.send_batch([EventData(f"{partition}:{number}") for number in range(3)], partition_id=partition)
    bodies = sorted(event.body_as_str() for event in read(hub, 6))
    assert bodies == ["0:0", "0:1", "0:2", "1:0", "1:1", "1:2"]


def test_each_event_tells_where_the_log_ends_if_asked(shelf, read, ten) -> None:
    (event,) = read(shelf, 1, partition_id="0", track_last_enqueued_event_properties=True)
    assert event.sequence_number == 0
    last = get_last_enqueued_event_properties(event)
    assert last["sequence_number"] == 9
    assert last["offset"] == ten[9].offset
    assert last["enqueued_time"] == ten[9].enqueued_time
    assert abs((last["retrieval_time"] - datetime.datetime.now(datetime.UTC)).total_seconds()) < 60


def test_a_small_prefetch_is_refilled_until_everything_has_come(hub, producer, read) -> None:
    producer.send_batch([EventData(f"{number}") for number in range(60)], partition_id="0")
    assert _numbers(read(hub, 60, partition_id="0", prefetch=7)) == list(range(60))


def test_a_higher_owner_level_takes_the_partition_over_and_lower_ones_are_refused(shelf, reading) -> None:
    where = {"partition_id": "0", "group": "exclusive"}
    nobody = reading(shelf, **where).until(_has_ten)
    first = reading(shelf, owner_level=1, **where).until(_has_ten)
    nobody.until(_has_failed)
    second = reading(shelf, owner_level=2, **where).until(_has_ten)
    first.until(_has_failed)
    for displaced in (nobody, first):
        assert isinstance(displaced.errors[0], ConnectionLostError)
        assert "amqp:link:stolen" in str(displaced.errors[0])
    for intruder in ({"owner_level": 1}, {}):
        refused = reading(shelf, retry_total=0, **intruder, **where).until(_has_failed)
        assert "amqp:link:stolen" in str(refused.errors[0])
        assert refused.events == []
    assert second.errors == []


def test_five_receivers_without_owner_level_are_let_in_and_the_sixth_is_refused(shelf, reading) -> None:
    five = [reading(shelf, partition_id="0", group="crowd") for _ in range(5)]
    for consumer in five:
        consumer.until(_has_ten)
    sixth = reading(shelf, partition_id="0", group="crowd", retry_total=0).until(_has_failed)
    assert "amqp:resource-limit-exceeded" in str(sixth.errors[0])
    five[0].stop()
    reading(shelf, partition_id="0", group="crowd").until(_has_ten)
