"""Looking at a hub: from noted positions to the end, and no waiting for ever."""

from __future__ import annotations

import asyncio

import pytest
from azure.eventhub import EventData

from labkit.errors import NotYet
from labkit.events.reading import HubReader
from labkit.lab import Lab


def test_a_reader_hands_out_what_lies_between_its_start_and_the_end_in_order(lab: Lab) -> None:
    producer = lab.producer("relay")
    producer.send_batch([EventData(f"0-{n}") for n in range(3)], partition_id="0")
    producer.send_batch([EventData(f"1-{n}") for n in range(3)], partition_id="1")
    with HubReader(lab.async_consumer("monitor", "lessons"), {"0": -1, "1": 1}) as reader:
        first = [(one.partition_id, one.sequence_number, one.body) for one in reader.read_to_end()]
        producer.send_batch([EventData("1-3")], partition_id="1")
        then = [one.body for one in reader.read_to_end()]
    assert first == [("0", 0, b"0-0"), ("0", 1, b"0-1"), ("0", 2, b"0-2"), ("1", 2, b"1-2")]
    assert then == [b"0-0", b"0-1", b"0-2", b"1-2", b"1-3"]


def test_an_empty_hub_has_nothing_to_read(lab: Lab) -> None:
    with HubReader(lab.async_consumer("monitor", "lessons"), lab.start_positions) as reader:
        assert reader.read_to_end() == []
        reader.stop()


def test_an_end_that_is_not_reached_in_time_is_told(lab: Lab) -> None:
    lab.faults.event_hubs.pause_partition("1", hub=lab.hub)
    lab.producer("relay").send_batch([EventData("held back")], partition_id="1")
    with (
        HubReader(lab.async_consumer("monitor", "lessons"), lab.start_positions) as reader,
        pytest.raises(NotYet, match="not read to its end within 2"),
    ):
        reader.read_to_end(2)


def test_a_stopped_reader_leaves_no_task_behind(lab: Lab) -> None:
    lab.producer("relay").send_batch([EventData("one")], partition_id="0")
    with HubReader(lab.async_consumer("monitor", "lessons"), lab.start_positions) as reader:
        assert len(reader.read_to_end()) == 1
    assert asyncio.all_tasks(reader._loop) == set()


def test_an_end_that_is_known_is_not_asked_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    producer, client = lab.producer("relay"), lab.async_consumer("monitor", "lessons")
    monkeypatch.setattr(client, "get_partition_properties", lambda part: pytest.fail("it asked"))
    producer.send_batch([EventData(f"0-{n}") for n in range(3)], partition_id="0")
    with HubReader(client, {"0": -1, "1": -1}) as reader:
        assert [one.body for one in reader.read_to_end(end={"0": 1, "1": -1})] == [b"0-0", b"0-1"]
        assert len(reader.read_to_end(end={"0": 2, "1": -1})) == 3


def test_who_knows_how_many_events_there_are_waits_for_them_and_asks_for_no_end(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer, client = lab.producer("relay"), lab.async_consumer("monitor", "lessons")
    monkeypatch.setattr(client, "get_partition_properties", lambda part: pytest.fail("it asked"))
    producer.send_batch([EventData(f"1-{n}") for n in range(2)], partition_id="1")
    with HubReader(client, lab.start_positions) as reader:
        assert [one.body for one in reader.read_to_end(count=2)] == [b"1-0", b"1-1"]
        producer.send_batch([EventData("0-0")], partition_id="0")
        assert [one.body for one in reader.read_to_end(count=3)] == [b"0-0", b"1-0", b"1-1"]
        with pytest.raises(NotYet):
            reader.read_to_end(1, count=4)
