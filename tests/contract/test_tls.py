"""TLS with the folder's own certificate: both SDKs, unmodified, and who is turned away."""

from __future__ import annotations

import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.cosmos import CosmosClient, PartitionKey
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, TransportType
from azure.eventhub.aio import EventHubProducerClient as AsyncEventHubProducerClient
from azure.eventhub.exceptions import EventHubError

import localazure
from localazure import daemon
from localazure.certificate import CERTIFICATE_FILE, KEY_FILE, server_context
from localazure.errors import DataDamaged, StartFailed, TlsUnavailable
from localazure.handle import LocalAzure

ONCE = {"retry_total": 0}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAzure]:
    with localazure.start(tmp_path_factory.mktemp("secured"), tls=True) as running:
        running.create_event_hub("orders", 1)
        yield running


def trusting(azure: LocalAzure, transport: TransportType = TransportType.Amqp) -> dict[str, object]:
    """The options that lead an Event Hubs client to the folder's server and have it trust the certificate."""
    return {
        "eventhub_name": "orders",
        "custom_endpoint_address": azure.event_hubs_endpoint,
        "transport_type": transport,
        "connection_verify": str(azure.certificate),
    }


@pytest.mark.parametrize("transport", list(TransportType))
def test_event_hubs_sends_and_receives_over_tls(secured: LocalAzure, transport: TransportType) -> None:
    body = f"{transport} " + "x" * 100_000
    options = trusting(secured, transport)
    with EventHubProducerClient.from_connection_string(secured.event_hubs_connection_string, **options) as producer:
        producer.send_event(EventData(body), partition_id="0")
    consumer = EventHubConsumerClient.from_connection_string(
        secured.event_hubs_connection_string, consumer_group="$Default", **options
    )
    found: list[str] = []

    def receive(_: object, event: EventData) -> None:
        found.append(event.body_as_str())
        if body in found:
            consumer.close()

    consumer.receive(receive, partition_id="0", starting_position="-1")
    assert found.count(body) == 1


async def test_event_hubs_sends_over_tls_with_asyncio(secured: LocalAzure) -> None:
    client = AsyncEventHubProducerClient.from_connection_string(
        secured.event_hubs_connection_string, **trusting(secured)
    )
    async with client:
        before = (await client.get_partition_properties("0"))["last_enqueued_sequence_number"]
        await client.send_event(EventData("one"), partition_id="0")
        assert (await client.get_partition_properties("0"))["last_enqueued_sequence_number"] == before + 1


def test_a_client_that_does_not_trust_the_certificate_does_not_connect(secured: LocalAzure) -> None:
    options = {**trusting(secured), "connection_verify": None}
    client = EventHubProducerClient.from_connection_string(secured.event_hubs_connection_string, **options, **ONCE)
    with client, pytest.raises(EventHubError):
        client.send_event(EventData("never"))


def test_cosmos_reads_and_writes_over_tls(secured: LocalAzure) -> None:
    assert secured.cosmos_endpoint.startswith("https://localhost:")
    with CosmosClient.from_connection_string(
        secured.cosmos_connection_string, connection_verify=str(secured.certificate)
    ) as client:
        container = client.create_database("d").create_container("items", PartitionKey("/pk"))
        container.create_item({"id": "1", "pk": "a"})
        assert container.read_item("1", "a")["pk"] == "a"


async def test_cosmos_reads_over_tls_with_asyncio(secured: LocalAzure) -> None:
    async with AsyncCosmosClient.from_connection_string(
        secured.cosmos_connection_string, connection_verify=str(secured.certificate)
    ) as client:
        database = await client.create_database("async")
        assert (await database.read())["id"] == "async"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_certificate_vouches_for_the_loopback_names(secured: LocalAzure, host: str) -> None:
    context = ssl.create_default_context(cafile=str(secured.certificate))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"https://{host}:{secured.cosmos_port}/dbs", context=context, timeout=60)
    assert refused.value.code == 401, "the service itself answered, through TLS"


def test_plain_clients_are_not_served_where_tls_is(secured: LocalAzure) -> None:
    with pytest.raises(OSError, match=r"."):
        urllib.request.urlopen(f"http://127.0.0.1:{secured.cosmos_port}/", timeout=60)


def test_the_certificate_is_kept_until_it_nears_its_end_and_its_key_is_the_owners(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    server_context(tmp_path, now)
    first, key = (tmp_path / CERTIFICATE_FILE).read_bytes(), tmp_path / KEY_FILE
    if sys.platform != "win32":
        assert key.stat().st_mode & 0o777 == 0o600
    server_context(tmp_path, now + timedelta(days=300))
    assert (tmp_path / CERTIFICATE_FILE).read_bytes() == first
    server_context(tmp_path, now + timedelta(days=340))
    assert (tmp_path / CERTIFICATE_FILE).read_bytes() != first


def test_a_key_that_is_none_is_told_from_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("no key")
    with pytest.raises(DataDamaged, match=KEY_FILE):
        localazure.start(tmp_path, tls=True)


def test_a_folder_served_over_tls_is_not_attached_to(tmp_path: Path) -> None:
    with (
        localazure.start(tmp_path, tls=True),
        pytest.raises(StartFailed, match="over TLS"),
    ):
        daemon.attach(tmp_path)


def test_without_the_package_that_makes_certificates_tls_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(TlsUnavailable, match="cryptography"):
        localazure.start(tmp_path, tls=True)
