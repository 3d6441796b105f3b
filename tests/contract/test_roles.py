"""Each of the five roles does what its right allows, and is refused beyond it, by the services and in the SDKs' words.

A role is given its connection strings and nothing else (`labkit.settings.RIGHTS`), so each refusal is tried with a
string that the role does hold, on the service that must refuse it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, ConnectionLostError

from labkit.errors import RoleError
from labkit.lab import Lab, open_lab
from labkit.settings import RIGHTS, Role, Target, embedded
from localazure.handle import LocalAzure

ONCE: dict[str, Any] = {"retry_total": 0, "socket_timeout": 0.02}
DOCUMENT = {"id": "1", "aggregateId": "customer-1"}
Right = Literal["send", "listen"]


@pytest.fixture(scope="module")
def target(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Target:
    return embedded(azure, tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def lab(target: Target) -> Iterator[Lab]:
    with open_lab("00", partitions=1, target=target) as opened:
        yield opened


def send(connection: str, hub: str) -> None:
    with EventHubProducerClient.from_connection_string(connection, eventhub_name=hub, **ONCE) as producer:
        producer.send_batch([EventData("one")], partition_id="0")


def listen(connection: str, hub: str) -> None:
    """Receive one event, or raise what the service says."""
    told: list[Exception] = []
    consumer = EventHubConsumerClient.from_connection_string(connection, "monitor", eventhub_name=hub, **ONCE)

    def on_error(_: object, error: Exception) -> None:
        told.append(error)
        consumer.close()

    with consumer:
        consumer.receive(
            lambda context, event: consumer.close(), on_error=on_error, partition_id="0", starting_position="-1"
        )
    if told:
        raise told[0]


HUB_WORK: dict[Right, Callable[[str, str], None]] = {"send": send, "listen": listen}
CLAIM = {"send": "Send", "listen": "Listen"}


def test_the_rights_are_those_of_the_design() -> None:
    assert {role: (held.cosmos, held.event_hubs) for role, held in RIGHTS.items()} == {
        Role.COMMAND: ("read-write", None),
        Role.RELAY: ("read-write", "send"),
        Role.PROJECTOR: ("read-write", "listen"),
        Role.QUERY: ("read-only", None),
        Role.MONITOR: ("read-only", "listen"),
    }


@pytest.mark.parametrize("role", ["command", "relay", "projector"])
def test_who_may_write_to_cosmos_db_can(lab: Lab, role: str) -> None:
    lab.container("write-model", role).upsert_item(DOCUMENT)
    assert lab.container("write-model", role).read_item("1", "customer-1")["id"] == "1"


@pytest.mark.parametrize("role", ["query", "monitor"])
def test_who_may_only_read_cosmos_db_reads_and_is_refused_every_way_of_writing(lab: Lab, role: str) -> None:
    lab.container("write-model", "command").upsert_item(DOCUMENT)
    container = lab.container("write-model", role)
    assert container.read_item("1", "customer-1")["id"] == "1"
    writes: list[Callable[[], object]] = [
        lambda: container.create_item({**DOCUMENT, "id": "2"}),
        lambda: container.upsert_item(DOCUMENT),
        lambda: container.replace_item("1", DOCUMENT),
        lambda: container.patch_item("1", "customer-1", [{"op": "add", "path": "/x", "value": 1}]),
        lambda: container.delete_item("1", "customer-1"),
        lambda: container.execute_item_batch([("upsert", (DOCUMENT,))], "customer-1"),
        lambda: lab.database(role).delete_container("write-model"),
    ]
    for write in writes:
        with pytest.raises(CosmosHttpResponseError) as refused:
            write()
        assert refused.value.status_code == 403
    assert container.read_item("1", "customer-1")["_etag"]


@pytest.mark.parametrize(
    ("role", "right", "beyond"),
    [("relay", "send", "listen"), ("projector", "listen", "send"), ("monitor", "listen", "send")],
)
def test_a_role_with_one_right_on_the_hub_is_refused_the_other(
    lab: Lab, target: Target, role: str, right: Right, beyond: Right
) -> None:
    held = target.event_hubs_for(Role(role), right)
    send(target.event_hubs_for(Role.RELAY, "send"), lab.hub)
    HUB_WORK[right](held, lab.hub)
    with pytest.raises(ConnectionLostError, match=rf"'{CLAIM[beyond]}' claim\(s\) are required"):
        HUB_WORK[beyond](held, lab.hub)
    with pytest.raises(RoleError, match=f"may not {beyond}"):
        target.event_hubs_for(Role(role), beyond)


@pytest.mark.parametrize("role", ["command", "query"])
def test_a_role_without_a_right_on_the_hub_holds_nothing_that_opens_it(lab: Lab, target: Target, role: str) -> None:
    for make in (lab.producer, lab.consumer, lab.async_consumer):
        with pytest.raises(RoleError, match=r"its right on Event Hubs: none"):
            make(role)
    cosmos_key = re.search("AccountKey=([^;]+)", target.cosmos_for(Role(role)))
    assert cosmos_key
    with_it = re.sub("SharedAccessKey=[^;]+", lambda _: f"SharedAccessKey={cosmos_key[1]}", target.send)
    for work in HUB_WORK.values():
        with pytest.raises(AuthenticationError, match="Status code: 401"):
            work(with_it, lab.hub)
