"""Faults on purpose as azure-cosmos sees them: each strikes as often as it was asked to, and is counted."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError

from localazure.handle import LocalAzure


@pytest.fixture
def container(azure: LocalAzure, fresh_name: str) -> Iterator[ContainerProxy]:
    """A container of this test alone, by whose name its faults are narrowed."""
    with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
        database = client.create_database(fresh_name)
        container = database.create_container(f"items-of-{fresh_name}", PartitionKey("/pk"))
        container.create_item({"id": "there", "pk": "a"})
        container.read_item("there", "a")
        yield container
        azure.faults.clear()
        client.delete_database(fresh_name)


def exists(container: ContainerProxy, id: str) -> bool:
    return id in list(container.query_items("SELECT VALUE c.id FROM c", partition_key="a"))


def test_a_throttled_write_is_sent_again_after_the_time_told(azure: LocalAzure, container: ContainerProxy) -> None:
    fault = azure.faults.cosmos.respond(
        429, substatus=3200, retry_after_ms=50, times=3, operation="create", container=container.id
    )
    started = time.monotonic()
    container.create_item({"id": "1", "pk": "a"})
    assert time.monotonic() - started >= 0.15
    assert fault.clear() == 3


@pytest.mark.parametrize(("status", "substatus"), [(449, 0), (408, 0), (500, 0)])
def test_a_write_that_fails_so_is_not_sent_again_and_did_nothing(
    azure: LocalAzure, container: ContainerProxy, status: int, substatus: int
) -> None:
    fault = azure.faults.cosmos.respond(status, substatus=substatus, operation="create", container=container.id)
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.create_item({"id": "1", "pk": "a"})
    assert caught.value.status_code == status
    assert fault.hits == 1
    assert not exists(container, "1")


@pytest.mark.parametrize(("status", "substatus"), [(503, 0), (408, 0), (500, 0), (404, 1002)])
def test_a_read_that_fails_so_once_heals(
    azure: LocalAzure, container: ContainerProxy, status: int, substatus: int
) -> None:
    fault = azure.faults.cosmos.respond(status, substatus=substatus, operation="read", container=container.id)
    assert container.read_item("there", "a")["id"] == "there"
    assert fault.hits == 1


def test_a_region_that_forbids_writing_is_asked_again(azure: LocalAzure, container: ContainerProxy) -> None:
    fault = azure.faults.cosmos.respond(403, substatus=3, operation="create", container=container.id)
    container.create_item({"id": "1", "pk": "a"})
    assert fault.hits == 1


def test_a_query_survives_a_partition_that_is_gone(azure: LocalAzure, container: ContainerProxy) -> None:
    fault = azure.faults.cosmos.respond(410, substatus=1002, operation="query", container=container.id)
    assert list(container.query_items("SELECT VALUE c.id FROM c", enable_cross_partition_query=True)) == ["there"]
    assert fault.hits == 1


def test_a_delay_holds_the_answer_back(azure: LocalAzure, container: ContainerProxy) -> None:
    fault = azure.faults.cosmos.delay(200, times=2, operation="read", container=container.id)
    started = time.monotonic()
    container.read_item("there", "a")
    container.read_item("there", "a")
    assert time.monotonic() - started >= 0.4
    container.read_item("there", "a")
    assert fault.hits == 2


def test_a_connection_cut_before_the_commit_leaves_nothing(azure: LocalAzure, container: ContainerProxy) -> None:
    fault = azure.faults.cosmos.drop_connection(operation="create", container=container.id)
    with pytest.raises(ServiceResponseError):
        container.create_item({"id": "1", "pk": "a"})
    assert fault.hits == 1
    assert not exists(container, "1")


def test_a_connection_cut_after_the_commit_leaves_the_item(azure: LocalAzure, container: ContainerProxy) -> None:
    fault = azure.faults.cosmos.drop_connection(after_commit=True, operation="batch", container=container.id)
    with pytest.raises(ServiceResponseError):
        container.execute_item_batch([("create", ({"id": "1", "pk": "a"},))], partition_key="a")
    assert fault.hits == 1
    assert exists(container, "1")


def test_a_crash_between_two_operations_keeps_the_first_and_not_the_second(
    azure: LocalAzure, container: ContainerProxy
) -> None:
    container.create_item({"id": "first", "pk": "a"})
    fault = azure.faults.cosmos.crash(operation="create", container=container.id)
    with pytest.raises(ServiceResponseError):
        container.create_item({"id": "second", "pk": "a"})
    assert fault.hits == 1
    assert exists(container, "first")
    assert not exists(container, "second")


def test_a_crash_ends_what_a_delay_holds_and_cuts_the_connections_that_are_idle(
    azure: LocalAzure, container: ContainerProxy
) -> None:
    idle = http.client.HTTPConnection("127.0.0.1", azure.cosmos_port)
    idle.request("GET", "/")
    assert idle.getresponse().read()
    delay = azure.faults.cosmos.delay(2_500, operation="upsert", container=container.id)
    azure.faults.cosmos.crash(operation="create", container=container.id)
    with (
        CosmosClient.from_connection_string(azure.cosmos_connection_string, retry_total=0, retry_read=0) as other,
        ThreadPoolExecutor(1) as thread,
    ):
        database = other.get_database_client(container.container_link.split("/")[1])
        held = thread.submit(database.get_container_client(container.id).upsert_item, {"id": "held", "pk": "a"})
        while not delay.hits:
            pass
        with pytest.raises(ServiceResponseError):
            container.create_item({"id": "second", "pk": "a"})
        with pytest.raises(ServiceResponseError):
            held.result()
    assert idle.sock.recv(1) == b"", "the idle connection has been cut"
    idle.close()
    azure.faults.cosmos.delay(2_600, operation="read", container=container.id)
    container.read_item("there", "a")  # by then the held write would have been done
    assert not exists(container, "held")


def test_a_crash_between_commit_and_answer_keeps_what_was_not_acknowledged(
    azure: LocalAzure, container: ContainerProxy
) -> None:
    azure.faults.cosmos.crash(after_commit=True, operation="create", container=container.id)
    with pytest.raises(ServiceResponseError):
        container.create_item({"id": "1", "pk": "a"})
    assert exists(container, "1")


def test_a_fault_strikes_a_document_that_is_addressed_by_its_own_link_too(
    azure: LocalAzure, container: ContainerProxy
) -> None:
    there = container.read_item("there", "a")
    fault = azure.faults.cosmos.respond(500, operation="replace", container=container.id)
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.replace_item(there, {"id": "there", "pk": "a"})
    assert caught.value.status_code == 500
    assert fault.hits == 1


def test_a_fault_for_one_container_spares_the_others(azure: LocalAzure, container: ContainerProxy) -> None:
    fault = azure.faults.cosmos.respond(500, container="other")
    container.create_item({"id": "1", "pk": "a"})
    assert fault.hits == 0
