"""A proxy that is named in the environment and dead: every client of the lab still reaches the loopback interface."""

from __future__ import annotations

import asyncio
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pytest
import requests
from azure.core.credentials import AzureKeyCredential
from azure.core.messaging import CloudEvent
from azure.cosmos import CosmosClient
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient
from azure.eventgrid import EventGridPublisherClient
from azure.eventhub import EventData, EventHubProducerClient, TransportType
from azure.eventhub.aio import EventHubProducerClient as AsyncProducerClient
from deltalake import DeltaTable, write_deltalake

from labkit.settings import Target, embedded
from localazure.handle import LocalAzure

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(params=["http://127.0.0.1:9", "socks5://127.0.0.1:9"], ids=["http", "socks"])
def proxied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at that port. No name of a host is excepted before the lab does so."""
    for name in NAMES:
        monkeypatch.setenv(name, request.param)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "intranet")


@pytest.fixture
def target(proxied: None, azure: LocalAzure, tmp_path: Path) -> Target:
    return embedded(azure, tmp_path)


@pytest.fixture
def hub(azure: LocalAzure, fresh_name: str) -> Iterator[str]:
    azure.create_event_hub(fresh_name, 1, ())
    yield fresh_name
    azure.delete_event_hub(fresh_name)


def cosmos_url(target: Target) -> str:
    return target.cosmos.partition("AccountEndpoint=")[2].partition(";")[0]


def cosmos(target: Target, azure: LocalAzure, hub: str) -> object:
    with CosmosClient.from_connection_string(target.cosmos) as client:
        return list(client.list_databases())


def cosmos_by_asyncio(target: Target, azure: LocalAzure, hub: str) -> object:
    async def ask() -> list[dict[str, Any]]:
        async with AsyncCosmosClient.from_connection_string(target.cosmos) as client:
            return [one async for one in client.list_databases()]

    return asyncio.run(ask())


def event_hubs(target: Target, azure: LocalAzure, hub: str) -> None:
    with EventHubProducerClient.from_connection_string(target.send, eventhub_name=hub, retry_total=0) as producer:
        producer.send_batch([EventData("x")])


def event_hubs_by_asyncio(target: Target, azure: LocalAzure, hub: str) -> None:
    async def send() -> None:
        async with AsyncProducerClient.from_connection_string(target.send, eventhub_name=hub, retry_total=0) as one:
            await one.send_batch([EventData("x")])

    asyncio.run(send())


def event_hubs_by_websocket(target: Target, azure: LocalAzure, hub: str) -> None:
    with EventHubProducerClient.from_connection_string(
        target.send,
        eventhub_name=hub,
        retry_total=0,
        transport_type=TransportType.AmqpOverWebsocket,
        custom_endpoint_address=f"sb://127.0.0.1:{azure.eventhubs_port}",
    ) as producer:
        producer.send_batch([EventData("x")])


def event_grid(target: Target, azure: LocalAzure, hub: str) -> None:
    topic = target.topic(hub)
    with EventGridPublisherClient(topic.endpoint, AzureKeyCredential(topic.key)) as client:
        client.send([CloudEvent(source="a", type="b", data={})])


def by_httpx(target: Target, azure: LocalAzure, hub: str) -> None:
    with httpx.Client(base_url=cosmos_url(target), timeout=60) as client:
        assert client.get("/").status_code == httpx.get(cosmos_url(target), timeout=60).status_code == 401


def by_requests(target: Target, azure: LocalAzure, hub: str) -> None:
    assert requests.get(cosmos_url(target), timeout=30).status_code == 401


def by_the_standard_library(target: Target, azure: LocalAzure, hub: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(cosmos_url(target), timeout=30)


def delta_and_duckdb(target: Target, azure: LocalAzure, hub: str) -> None:
    table = f"{target.tables_root}/{hub}"
    write_deltalake(table, pa.table({"a": [1, 2]}))
    with duckdb.connect() as engine:
        assert engine.read_parquet(DeltaTable(table).file_uris()).fetchall() == [(1,), (2,)]


@pytest.mark.parametrize(
    "client",
    [
        *(cosmos, cosmos_by_asyncio, event_hubs, event_hubs_by_asyncio, event_hubs_by_websocket, event_grid),
        *(by_httpx, by_requests, by_the_standard_library, delta_and_duckdb),
    ],
)
def test_no_client_asks_a_dead_proxy_for_the_loopback(
    target: Target, azure: LocalAzure, hub: str, client: Callable[[Target, LocalAzure, str], object]
) -> None:
    client(target, azure, hub)


def test_without_the_exception_the_proxy_is_asked_and_is_dead(proxied: None, azure: LocalAzure, hub: str) -> None:
    """What `spare_loopback_the_proxy` is for: otherwise these tests could not fail."""
    url = azure.cosmos_connection_string.partition("AccountEndpoint=")[2].partition(";")[0]
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert os.environ["NO_PROXY"] == "intranet"
