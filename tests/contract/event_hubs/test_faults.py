"""Faults on purpose, each seen through the SDK and each accounted for by its hits."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.exceptions import EventDataSendError

import localazure
from localazure.errors import ControlRefused
from localazure.handle import LocalAzure

from .conftest import QUICK, Reading


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAzure]:
    """An embedded Azure for this module, so that no fault strikes elsewhere."""
    with localazure.start(tmp_path_factory.mktemp("struck")) as azure:
        azure.create_event_hub("orders", 2)
        yield azure


@pytest.fixture(scope="module")
def warm(struck: LocalAzure) -> Iterator[EventHubProducerClient]:
    """A producer whose link to partition 0 is attached."""
    with EventHubProducerClient.from_connection_string(
        struck.event_hubs_connection_string_for("send"), eventhub_name="orders", retry_backoff_factor=0.05, **QUICK
    ) as producer:
        producer.send_batch([EventData("warm")], partition_id="0")
        yield producer


@pytest.fixture(autouse=True)
def _disarm(struck: LocalAzure) -> Iterator[None]:
    yield
    struck.faults.clear()


def _length(producer: EventHubProducerClient) -> int:
    return producer.get_partition_properties("0")["last_enqueued_sequence_number"] + 1


def _send(producer: EventHubProducerClient, body: str = "an event") -> None:
    producer.send_batch([EventData(body)], partition_id="0")


def test_one_refused_transfer_is_sent_again_silently_and_two_reach_the_caller(struck, warm) -> None:
    before = _length(warm)
    fault = struck.faults.event_hubs.refuse_send("com.microsoft:server-busy", times=1)
    _send(warm)
    assert (fault.hits, _length(warm)) == (1, before + 1)
    fault = struck.faults.event_hubs.refuse_send("amqp:internal-error", times=2)
    with pytest.raises(EventDataSendError, match=r"refused on purpose"):
        _send(warm)
    assert (fault.hits, _length(warm)) == (2, before + 1)


def test_a_lost_acknowledgement_makes_the_sdk_store_the_event_twice(struck, warm) -> None:
    before = _length(warm)
    fault = struck.faults.event_hubs.lose_acknowledgement(times=1, hub="orders")
    _send(warm, "twice")
    assert (fault.hits, _length(warm)) == (1, before + 2)


def test_a_dropped_connection_is_survived_and_the_event_stored_once(struck, warm) -> None:
    before = _length(warm)
    fault = struck.faults.event_hubs.drop_connection(times=1)
    _send(warm)
    assert (fault.hits, _length(warm)) == (1, before + 1)


def test_a_detached_sender_attaches_again(struck, warm) -> None:
    before = _length(warm)
    fault = struck.faults.event_hubs.detach_sender("amqp:link:detach-forced", times=1)
    try:
        _send(warm)
    except EventDataSendError:
        _send(warm)
    assert (fault.hits, _length(warm)) == (1, before + 1)


def test_a_delayed_acknowledgement_keeps_the_sender_waiting(struck, warm) -> None:
    fault = struck.faults.event_hubs.delay_acknowledgement(400, times=1, hub="orders")
    begun = time.monotonic()
    _send(warm)
    assert time.monotonic() - begun >= 0.4
    assert fault.hits == 1


def test_throttled_to_a_fraction_of_a_unit_excess_events_are_answered_server_busy(struck, warm) -> None:
    fault = struck.faults.event_hubs.throttle(0.01, hub="orders")
    batch = [EventData("x") for _ in range(60)]

    def send_six() -> None:
        for _ in range(6):
            warm.send_batch(batch, partition_id="0")

    with pytest.raises(EventDataSendError, match=r"com\.microsoft:server-busy"):
        send_six()
    assert fault.hits >= 1
    fault.clear()
    warm.send_batch(batch, partition_id="0")


@pytest.fixture
def consumer(struck: LocalAzure) -> Iterator[Reading]:
    made = Reading(struck.event_hubs_connection_string_for("listen"), "orders", "$Default", retry_backoff_factor=0.05)
    yield made
    made.stop()


def test_an_event_delivered_twice_has_one_sequence_number(struck, warm, consumer) -> None:
    total = _length(warm)
    fault = struck.faults.event_hubs.deliver_twice(times=1, hub="orders")
    consumer.start(partition_id="0").until(lambda it: len(it.events) == total + 1)
    assert [event.sequence_number for event in consumer.events] == [0, *range(total)]
    assert fault.hits == 1


def test_a_detached_receiver_goes_on_where_it_was(struck, warm, consumer) -> None:
    total = _length(warm)
    consumer.start(partition_id="0").until(lambda it: len(it.events) == total)
    fault = struck.faults.event_hubs.detach_receiver(times=1, hub="orders", partition="0")
    for _ in range(3):
        _send(warm)
    consumer.until(lambda it: len(it.events) == total + 3)
    assert [event.sequence_number for event in consumer.events] == list(range(total + 3))
    assert fault.hits == 1


def test_a_paused_partition_delivers_nothing_until_it_is_cleared(struck, warm, consumer) -> None:
    total = _length(warm)
    fault = struck.faults.event_hubs.pause_partition("0", hub="Orders", group="$DEFAULT")
    warm.send_batch([EventData("the other one")], partition_id="1")
    consumer.start().until(lambda it: len(it.events) == 1)
    assert consumer.events[0].body_as_str() == "the other one"
    fault.clear()
    consumer.until(lambda it: len(it.events) == total + 1)


EXPLODE = {"service": "event_hubs", "kind": "explode", "times": 1, "where": {}, "values": {}}
TWICE = {**EXPLODE, "kind": "deliver_twice"}


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (EXPLODE, "no fault 'explode'"),
        ({**TWICE, "times": "1"}, "times .whole number"),
        ({**TWICE, "times": True}, "times .whole number"),
        ({**TWICE, "times": 0}, "at least once"),
        ({**TWICE, "service": 7}, "a fault has a service"),
        ({**TWICE, "where": ["orders"]}, "objects"),
        ({**TWICE, "values": None}, "objects"),
        ({**TWICE, "values": {"seconds": 1}}, "needs the values none"),
    ],
)
def test_a_fault_that_is_told_wrong_is_refused(struck: LocalAzure, wanted: dict[str, object], sentence: str) -> None:
    with pytest.raises(ControlRefused, match=sentence) as refused:
        struck.control("POST", "/faults", wanted)
    assert refused.value.status == 400
    assert struck.faults.report() == []


def test_when_retention_ends_a_new_reader_finds_only_what_comes_after_and_numbers_go_on(struck) -> None:
    send, listen = (struck.event_hubs_connection_string_for(policy) for policy in ("send", "listen"))
    for name in ("ending", "beside"):
        struck.create_event_hub(name, 1)
    with (
        EventHubProducerClient.from_connection_string(send, eventhub_name="ending", **QUICK) as ending,
        EventHubProducerClient.from_connection_string(send, eventhub_name="beside", **QUICK) as beside,
    ):
        for producer in (ending, beside):
            producer.send_batch([EventData("first"), EventData("second")], partition_id="0")
            producer.send_batch([EventData("third")], partition_id="0")
        there = Reading(listen, "ending", "$Default").start(partition_id="0").until(lambda it: len(it.events) == 3)
        assert struck.faults.event_hubs.end_retention(hub="ending") == 3
        assert ending.get_partition_properties("0")["is_empty"]
        assert not beside.get_partition_properties("0")["is_empty"]
        assert struck.faults.event_hubs.end_retention(hub="ending") == 0
        _send(ending, "after")
    new = Reading(listen, "ending", "$Default").start(partition_id="0").until(lambda it: len(it.events) == 1)
    there.until(lambda it: len(it.events) == 4)
    assert [(one.sequence_number, one.body_as_str()) for one in (*new.events, there.events[-1])] == [(3, "after")] * 2
    new.stop()
    there.stop()


def test_retention_ends_in_the_hub_that_was_named_or_nowhere(struck) -> None:
    with pytest.raises(ValueError, match="say whose retention ends"):
        struck.faults.event_hubs.end_retention()
    with pytest.raises(ControlRefused, match="'nowhere' could not be found"):
        struck.faults.event_hubs.end_retention(hub="nowhere")
