"""What was acknowledged is there after a restart, and clients that lived through it go on by themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, EventHubError

import localazure
from localazure.errors import ControlRefused
from localazure.handle import LocalAzure

from .conftest import QUICK, Reading

PATIENT = {"retry_backoff_factor": 0.1, "retry_total": 10, **QUICK}


def test_a_producer_and_a_consumer_live_through_a_restart_and_sequence_numbers_continue(tmp_path: Path) -> None:
    azure = localazure.start(tmp_path)
    port = azure.eventhubs_port
    try:
        azure.create_event_hub("orders", 1, ["monitor"])
        send, listen = (azure.event_hubs_connection_string_for(policy) for policy in ("send", "listen"))
        producer = EventHubProducerClient.from_connection_string(send, eventhub_name="orders", **PATIENT)
        consumer = Reading(listen, "orders", "$Default", retry_backoff_factor=0.1, retry_total=10)
        producer.send_batch([EventData(f"before {number}") for number in range(3)], partition_id="0")
        consumer.start(partition_id="0").until(lambda it: len(it.events) == 3)
        azure.close()
        azure = localazure.start(tmp_path, eventhubs_port=port)
        producer.send_batch([EventData(f"after {number}") for number in range(2)], partition_id="0")
        consumer.until(lambda it: len(it.events) == 5)
        consumer.stop()
        producer.close()
        assert [event.sequence_number for event in consumer.events] == [0, 1, 2, 3, 4]
        assert [event.body_as_str() for event in consumer.events] == [
            "before 0",
            "before 1",
            "before 2",
            "after 0",
            "after 1",
        ]
        again = Reading(listen, "orders", "monitor").start(partition_id="0").until(lambda it: len(it.events) == 5)
        again.stop()
        assert [event.offset for event in again.events] == [event.offset for event in consumer.events]
    finally:
        azure.close()


@contextmanager
def _process(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server process and its port; killed, not stopped, at the end."""
    command = [sys.executable, "-m", "localazure", "serve", "--data", str(folder), "--hub", "orders:1"]
    process = subprocess.Popen(
        [*command, "--eventhubs-port", str(port), "--eventhubs-key", "a2V5"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["eventhubs_port"]
    finally:
        process.kill()
        process.wait(20)


def test_a_producer_and_a_consumer_live_through_a_kill(tmp_path: Path) -> None:
    with _process(tmp_path, 0) as (_, port):
        text = (
            f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=a2V5;"
            "UseDevelopmentEmulator=true"
        )
        producer = EventHubProducerClient.from_connection_string(text, eventhub_name="orders", **PATIENT)
        consumer = Reading(text, "orders", "$Default", retry_backoff_factor=0.1, retry_total=10)
        producer.send_batch([EventData("before")], partition_id="0")
        consumer.start(partition_id="0").until(lambda it: len(it.events) == 1)
    with _process(tmp_path, port):
        producer.send_batch([EventData("after")], partition_id="0")
        consumer.until(lambda it: len(it.events) == 2)
        consumer.stop()
        producer.close()
    assert [(event.sequence_number, event.body_as_str()) for event in consumer.events] == [(0, "before"), (1, "after")]


def test_hub_and_partition_properties(azure: LocalAzure, shelf: str) -> None:
    connection_string = azure.event_hubs_connection_string_for("listen")
    with EventHubConsumerClient.from_connection_string(
        connection_string, consumer_group="$Default", eventhub_name=shelf, **QUICK
    ) as client:
        hub = client.get_eventhub_properties()
        assert (hub["eventhub_name"], hub["partition_ids"]) == (shelf, ["0", "1"])
        full, empty = (client.get_partition_properties(partition) for partition in hub["partition_ids"])
    assert (full["beginning_sequence_number"], full["last_enqueued_sequence_number"]) == (0, 9)
    assert not full["is_empty"]
    assert full["last_enqueued_time_utc"] > hub["created_at"]
    assert (empty["last_enqueued_sequence_number"], empty["last_enqueued_offset"], empty["is_empty"]) == (
        -1,
        "-1",
        True,
    )
    assert empty["last_enqueued_time_utc"].year == 1


def test_a_deleted_hub_ends_its_links_and_is_unknown_from_then_on(azure: LocalAzure, fresh_name: str) -> None:
    azure.create_event_hub(fresh_name, 1)
    connection_string = azure.event_hubs_connection_string_for("send")
    with EventHubProducerClient.from_connection_string(
        connection_string, eventhub_name=fresh_name, retry_total=1, retry_backoff_factor=0.05, **QUICK
    ) as producer:
        producer.send_batch([EventData("stored")], partition_id="0")
        azure.delete_event_hub(fresh_name)
        with pytest.raises((EventHubError, AzureError)):
            producer.send_batch([EventData("too late")], partition_id="0")
        with pytest.raises(AuthenticationError, match="Status code: 404"):
            producer.send_batch([EventData("too late")], partition_id="0")
    azure.create_event_hub(fresh_name, 1)
    with EventHubProducerClient.from_connection_string(
        connection_string, eventhub_name=fresh_name, **QUICK
    ) as producer:
        assert producer.get_partition_properties("0")["is_empty"]


@pytest.mark.parametrize(
    ("name", "partitions", "groups", "sentence"),
    [
        ("orders", 0, [], "1 to 32 partitions"),
        ("orders", 33, [], "1 to 32 partitions"),
        ("", 1, [], "no hub name"),
        ("a/b", 1, [], "no hub name"),
        ("orders", 1, [f"group-{number}" for number in range(20)], "at most 20 consumer groups"),
        ("orders", 1, ["a/b"], "no consumer group name"),
    ],
)
def test_what_azure_does_not_allow_is_refused_when_a_hub_is_made(
    azure: LocalAzure, name: str, partitions: int, groups: list[str], sentence: str
) -> None:
    with pytest.raises(ControlRefused, match=sentence):
        azure.create_event_hub(name, partitions, groups)


def test_a_hub_cannot_be_made_twice(azure: LocalAzure, shelf: str) -> None:
    with pytest.raises(ControlRefused, match="exists"):
        azure.create_event_hub(shelf.upper(), 1)
