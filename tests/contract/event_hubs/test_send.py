"""Sending through azure-eventhub, unmodified: where events land, and that they arrive as they were sent."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

import pytest
from azure.eventhub import EventData, EventDataBatch, EventHubProducerClient
from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType, AmqpMessageProperties
from azure.eventhub.exceptions import EventDataSendError

from localazure.handle import LocalAzure


def _lengths(producer: EventHubProducerClient) -> dict[str, int]:
    return {
        partition: producer.get_partition_properties(partition)["last_enqueued_sequence_number"] + 1
        for partition in producer.get_partition_ids()
    }


def test_a_batch_for_one_partition_is_stored_there_in_order(hub, producer, read) -> None:
    producer.send_batch([EventData(f"{number}") for number in range(50)], partition_id="1")
    events = read(hub, 50, partition_id="1")
    assert [event.body_as_str() for event in events] == [f"{number}" for number in range(50)]
    assert [event.sequence_number for event in events] == list(range(50))
    assert _lengths(producer) == {"0": 0, "1": 50}


def test_a_partition_key_leads_to_the_partition_that_azures_own_hash_names(hub, producer, read) -> None:
    resolver = PartitionResolver(["0", "1"])
    keys = [f"order-{number}" for number in range(6)]
    for key in keys:
        producer.send_batch([EventData(key)], partition_key=key)
    wanted = {key: resolver.get_partition_id_by_partition_key(key) for key in keys}
    for partition in ("0", "1"):
        mine = [key for key in keys if wanted[key] == partition]
        events = read(hub, len(mine), partition_id=partition)
        assert [event.body_as_str() for event in events] == mine
        assert [event.partition_key for event in events] == [key.encode() for key in mine]


def test_without_key_or_partition_batches_take_turns(producer) -> None:
    for _ in range(4):
        producer.send_batch([EventData("any"), EventData("any")])
    assert _lengths(producer) == {"0": 4, "1": 4}


def test_send_event_sends_one_event(hub, producer, read) -> None:
    producer.send_event(EventData(b"alone"), partition_id="0")
    assert read(hub, 1, partition_id="0")[0].body_as_str() == "alone"


def test_a_batch_of_a_mebibyte_arrives_over_many_frames_in_both_directions(hub, producer, read) -> None:
    batch = producer.create_batch(partition_id="0")
    assert batch.max_size_in_bytes == 1_048_576
    count = 0
    while True:
        try:
            batch.add(EventData(bytes([count % 251]) * 9_000))
        except ValueError:
            break
        count += 1
    assert count > 110
    producer.send_batch(batch)
    producer.send_batch([EventData("x" * 1_000_000)], partition_id="0")
    events = read(hub, count + 1, partition_id="0")
    assert [next(iter(event.body)) for event in events[:count]] == [bytes([n % 251]) * 9_000 for n in range(count)]
    assert events[count].body_as_str() == "x" * 1_000_000


def test_a_message_above_a_mebibyte_is_refused_with_its_condition(producer) -> None:
    batch = EventDataBatch(max_size_in_bytes=3_000_000, partition_id="0")
    batch.add(EventData(b"x" * 1_100_000))
    with pytest.raises(EventDataSendError, match=r"above the limit of 1048576 bytes"):
        producer.send_batch(batch)
    assert _lengths(producer)["0"] == 0


def test_properties_and_ids_arrive_as_they_were_sent(hub, producer, read) -> None:
    event = EventData(json.dumps({"total": "12.50"}))
    event.properties = {"eventId": "order-1@1", "version": 3, "flag": True, "ratio": 0.5, "raw": b"\x00\xff"}
    event.message_id, event.correlation_id, event.content_type = "m-1", "c-1", "application/json"
    producer.send_batch([event], partition_id="0")
    (got,) = read(hub, 1, partition_id="0")
    assert got.body_as_json() == {"total": "12.50"}
    assert (got.message_id, got.correlation_id, got.content_type) == ("m-1", "c-1", "application/json")
    assert got.properties == {
        b"eventId": b"order-1@1",
        b"version": 3,
        b"flag": True,
        b"ratio": 0.5,
        b"raw": b"\x00\xff",
    }


BODIES: list[tuple[AmqpMessageBodyType, Any, Any]] = [
    (AmqpMessageBodyType.DATA, [b"one", b"two"], [b"one", b"two"]),
    (AmqpMessageBodyType.DATA, b"", [b""]),
    (AmqpMessageBodyType.SEQUENCE, [[1, "two", None], [3.0]], [[1, b"two", None], [3.0]]),
    (AmqpMessageBodyType.VALUE, "text", b"text"),
    (AmqpMessageBodyType.VALUE, {"a": [1, {"b": b"\x00"}], "c": True}, {b"a": [1, {b"b": b"\x00"}], b"c": True}),
    (AmqpMessageBodyType.VALUE, -(2**31), -(2**31)),
    (AmqpMessageBodyType.VALUE, 2**31 - 1, 2**31 - 1),
    (AmqpMessageBodyType.VALUE, 1.5, 1.5),
    (AmqpMessageBodyType.VALUE, uuid.UUID(int=5), uuid.UUID(int=5)),
    (AmqpMessageBodyType.VALUE, datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC), 1_767_571_200_000),
    (AmqpMessageBodyType.VALUE, ["a"] * 300, [b"a"] * 300),
]


def test_every_kind_of_body_and_value_arrives_as_it_was_sent(hub, producer, read) -> None:
    names = {
        AmqpMessageBodyType.DATA: "data_body",
        AmqpMessageBodyType.SEQUENCE: "sequence_body",
        AmqpMessageBodyType.VALUE: "value_body",
    }
    for kind, body, _ in BODIES:
        message = AmqpAnnotatedMessage(**{names[kind]: body}, annotations={"x-mine": "kept"})
        message.properties = AmqpMessageProperties(subject="a subject", group_id="g", group_sequence=7)
        producer.send_event(message, partition_id="0")
    events = read(hub, len(BODIES), partition_id="0")
    for event, (kind, _, wanted) in zip(events, BODIES, strict=True):
        message = event.raw_amqp_message
        assert event.body_type == kind
        assert (list(message.body) if kind != AmqpMessageBodyType.VALUE else message.body) == wanted
        assert message.properties.subject == b"a subject"
        assert message.properties.group_sequence == 7
        assert message.annotations[b"x-mine"] == b"kept"


def test_buffered_mode_sends_everything_and_reports_each_event_once(azure: LocalAzure, hub: str, read) -> None:
    reports: list[tuple[int, str]] = []
    failures: list[Exception] = []
    producer = EventHubProducerClient.from_connection_string(
        azure.event_hubs_connection_string_for("send"),
        eventhub_name=hub,
        buffered_mode=True,
        on_success=lambda events, partition: reports.append((len(events), partition)),
        on_error=lambda events, partition, error: failures.append(error),
        max_wait_time=0.2,
        socket_timeout=0.02,
    )
    with producer:
        for number in range(100):
            producer.send_event(EventData(f"{number}"), partition_key=f"key-{number % 7}")
        producer.flush(timeout=60)
    assert failures == []
    assert sum(count for count, _ in reports) == 100
    lengths = {"0": 0, "1": 0}
    for count, partition in reports:
        lengths[partition] += count
    got = [
        event.body_as_str()
        for partition, length in lengths.items()
        for event in read(hub, length, partition_id=partition)
    ]
    assert sorted(got, key=int) == [f"{number}" for number in range(100)]


def test_a_refused_send_names_its_condition_and_stores_nothing(own_azure: LocalAzure) -> None:
    own_azure.create_event_hub("orders", 1)
    connection_string = own_azure.event_hubs_connection_string_for("send")
    with EventHubProducerClient.from_connection_string(
        connection_string, eventhub_name="orders", socket_timeout=0.02
    ) as producer:
        producer.send_batch([EventData("warm")], partition_id="0")
        fault = own_azure.faults.event_hubs.refuse_send("com.microsoft:server-busy", times=2, hub="orders")
        with pytest.raises(EventDataSendError, match=r"com\.microsoft:server-busy"):
            producer.send_batch([EventData("refused")], partition_id="0")
        assert fault.hits == 2
        assert _lengths(producer) == {"0": 1}
