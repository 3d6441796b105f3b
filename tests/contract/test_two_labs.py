"""Two notebooks at once share one embedded Azure: what one provokes must not strike the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventDataSendError

from labkit.lab import Lab, open_lab
from labkit.settings import embedded
from localazure.handle import LocalAzure


@pytest.fixture
def labs(own_azure: LocalAzure, tmp_path: Path) -> Iterator[tuple[Lab, Lab]]:
    with (
        open_lab("02", partitions=1, target=embedded(own_azure, tmp_path)) as one,
        open_lab("04", partitions=1, target=embedded(own_azure, tmp_path)) as other,
    ):
        yield one, other


def save(lab: Lab) -> None:
    lab.container("relay-state", "relay").upsert_item({"id": "continuation"})


def send(lab: Lab) -> None:
    lab.producer("relay", retry_total=0).send_batch([EventData("x")])


def test_a_cosmos_fault_strikes_the_lab_that_armed_it_and_no_other(labs: tuple[Lab, Lab]) -> None:
    one, other = labs
    fault = one.faults.cosmos.respond(403, operation="upsert", container="relay-state")

    save(other)
    assert fault.hits == 0
    with pytest.raises(CosmosHttpResponseError):
        save(one)
    assert fault.hits == 1


def test_an_event_hubs_fault_strikes_the_lab_that_armed_it_and_no_other(labs: tuple[Lab, Lab]) -> None:
    one, other = labs
    fault = one.faults.event_hubs.refuse_send("amqp:unauthorized-access", times=9)

    send(other)
    assert fault.hits == 0
    with pytest.raises(EventDataSendError):
        send(one)
    assert fault.hits > 0


def test_a_lab_reports_and_clears_its_own_faults_only(labs: tuple[Lab, Lab], own_azure: LocalAzure) -> None:
    one, other = labs
    one.faults.cosmos.respond(503, times=9)
    other.faults.event_hubs.deliver_twice(times=9)

    one.faults.clear()

    assert one.faults.report() == []
    assert [fault["kind"] for fault in other.faults.report()] == ["deliver_twice"]
    assert [fault["kind"] for fault in own_azure.faults.report()] == ["deliver_twice"]
