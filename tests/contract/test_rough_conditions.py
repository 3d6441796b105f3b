"""The embedded Azure on a full disk, and on a machine that slept: a clear sentence, and nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.cosmos import CosmosClient, PartitionKey
from azure.eventhub import EventData, EventHubProducerClient

import localazure
from labkit import documents, open_lab, settings
from labkit.lab import Lab
from labkit.verbs import refusals
from labkit.write_model.handler import Accepted, CommandHandler, Context, history
from labkit.write_model.orders import CreateOrder, Item
from localazure import LocalAzure, daemon
from localazure.errors import StartFailed
from tests.contract.daemon.processes import eventually

ID = "order-20260105-0001"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder; whatever serves it is stopped afterwards."""
    yield tmp_path / "data"
    daemon.stop(tmp_path / "data")


def served_by(folder: Path) -> int:
    running = daemon.status(folder)
    assert running is not None
    return running.pid


def test_a_start_on_a_full_disk_says_so_for_no_log_can_be_written_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    (folder / "keys.json").write_text("damaged", encoding="utf-8")  # so that it ends as it starts
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(
        StartFailed, match=r"^The disk of the data folder .* is full \(0\.0 MB free\); free some space\.$"
    ):
        localazure.attach(folder)


@pytest.fixture
def impatient(own_azure: LocalAzure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab whose relay waits for an answer for half a second, and knows the write model's container."""
    with open_lab("01", target=settings.embedded(own_azure, tmp_path)) as lab:
        monkeypatch.setattr(documents, "READ_TIMEOUT_SECONDS", 0.5)
        lab.container("write-model", "relay").read()
        yield lab


@pytest.mark.parametrize(("operation", "asked"), [("create", 1), ("read", 4)])
def test_a_service_that_takes_a_request_and_does_not_answer_is_given_up(
    impatient: Lab, operation: str, asked: int
) -> None:
    items = impatient.container("write-model", "relay")
    asks = {
        "create": lambda: items.create_item({"id": "1", "aggregateId": "1"}),
        "read": lambda: items.read_item("1", partition_key="1"),
    }
    held_back = impatient.faults.cosmos.delay(5_000, operation=operation, times=10)
    with pytest.raises(ServiceResponseError, match="timed out") as refused:
        asks[operation]()
    assert held_back.hits == asked
    assert str(refusals.told(refused.value)).startswith("Azure is out of reach (")


def test_a_command_that_was_given_up_and_had_its_effect_is_told_as_repeated_when_it_is_sent_again(
    impatient: Lab,
) -> None:
    write_model = impatient.container("write-model", "command")
    handler = CommandHandler(impatient.container("write-model", "relay"), impatient.clock)
    create = CreateOrder(ID, "customer-1", (Item("tea", 2, Decimal("12.50")),))
    held_back = impatient.faults.cosmos.delay(3_000, operation="batch", times=10)
    with pytest.raises(ServiceResponseError, match="timed out"):
        handler.handle(create, Context("k-1"))
    assert held_back.clear() == 1
    assert eventually(lambda: history(write_model, ID) != [])
    again = CommandHandler(write_model, impatient.clock).handle(create, Context("k-1"))
    assert isinstance(again, Accepted)
    assert (again.version, again.repeated) == (1, True)
    assert len(history(write_model, ID)) == 1


def test_containers_on_azure_may_take_longer_and_of_a_lab_there_none_is_left_behind(
    own_azure: LocalAzure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "READ_TIMEOUT_SECONDS", 2.0)
    own_azure.create_event_hub("orders", 4, ("monitor",))
    as_azure = replace(settings.embedded(own_azure, tmp_path), local=None, database="shared", hub="orders")
    slow = own_azure.faults.cosmos.delay(2_200, operation="create_container")
    with open_lab("01", target=as_azure) as lab:
        containers = lab.database("command")
        containers.delete_container(f"{lab.name}-write-model")  # so that closing finds the first one gone
        slow_too = own_azure.faults.cosmos.delay(2_200, operation="delete_container", container=f"{lab.name}-alerts")
    assert (slow.hits, slow_too.hits) == (1, 1)
    with CosmosClient.from_connection_string(own_azure.cosmos_connection_string) as cosmos:
        assert list(cosmos.get_database_client("shared").list_containers()) == []


@pytest.mark.skipif(os.name == "nt", reason="only on systems where a test can halt a process")
def test_a_machine_that_slept_goes_on_with_what_was_under_way_and_loses_nothing(folder: Path) -> None:
    with localazure.attach(folder) as azure, ThreadPoolExecutor(1) as clerk:
        azure.create_event_hub("orders", 1)
        pid = served_by(folder)
        text = azure.event_hubs_connection_string_for("send")
        with (
            CosmosClient.from_connection_string(azure.cosmos_connection_string) as cosmos,
            EventHubProducerClient.from_connection_string(text, eventhub_name="orders") as producer,
        ):
            container = cosmos.create_database("shop").create_container("items", PartitionKey("/id"))

            def work(number: int) -> None:
                container.create_item({"id": str(number)})
                producer.send_batch([EventData(str(number))])

            work(0)
            for number in range(1, 4):
                os.kill(pid, signal.SIGSTOP)
                under_way = clerk.submit(work, number)
                with pytest.raises(TimeoutError):
                    under_way.result(timeout=0.5)
                os.kill(pid, signal.SIGCONT)
                under_way.result(timeout=60)
            assert served_by(folder) == pid, "the watchdog has not taken it for dead"
            assert sorted(item["id"] for item in container.read_all_items()) == ["0", "1", "2", "3"]
            told = producer.get_partition_properties("0")
            assert told["last_enqueued_sequence_number"] == 3, "each was stored once"
