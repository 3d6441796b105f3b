"""Who may do what, and what a client gets that speaks badly: raw HTTP against the account, signed by the protocol."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from azure.core.credentials import AccessToken
from azure.cosmos import CosmosClient, PartitionKey
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

import localazure
from localazure.handle import LocalAzure

MEGABYTE = 1024 * 1024
CONTAINER = "dbs/{0}/colls/items"


@pytest.fixture(scope="module")
def database(azure: LocalAzure) -> Iterator[str]:
    name = "access-tests"
    with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
        container = client.create_database(name).create_container("items", PartitionKey("/pk"))
        container.create_item({"id": "1", "pk": "a"})
        yield name
        client.delete_database(name)


def signed(key: str, verb: str, resource_type: str, link: str, when: float) -> dict[str, str]:
    date = formatdate(when, usegmt=True)
    text = f"{verb.lower()}\n{resource_type}\n{link}\n{date.lower()}\n\n"
    digest = hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)
    token = f"type=master&ver=1.0&sig={base64.b64encode(digest).decode()}"
    return {"authorization": quote(token, safe=""), "x-ms-date": date, "x-ms-version": "2020-07-15"}


def call(
    port: int, verb: str, path: str, headers: Mapping[str, str], body: bytes = b""
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(verb, path, body, dict(headers))
        response = connection.getresponse()
        text = response.read()
        return response.status, dict(response.getheaders()), json.loads(text) if text else None
    finally:
        connection.close()


def post(azure: LocalAzure, database: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], Any]:
    """A document, as the command side would send it."""
    link = CONTAINER.format(database)
    told = signed(azure.keys.cosmos_read_write, "post", "docs", link, time.time())
    told |= {"x-ms-documentdb-partitionkey": '["a"]'}
    told |= {f"x-ms-{name.replace('_', '-')}": value for name, value in headers.items()}
    return call(azure.cosmos_port, "POST", f"/{link}/docs", told, body)


def still_serves(azure: LocalAzure, database: str) -> None:
    link = CONTAINER.format(database) + "/docs/1"
    headers = signed(azure.keys.cosmos_read_write, "get", "docs", link, time.time())
    status, _, body = call(azure.cosmos_port, "GET", f"/{link}", {**headers, "x-ms-documentdb-partitionkey": '["a"]'})
    assert (status, body["id"]) == (200, "1")


def test_the_read_only_key_reads_and_queries_but_does_not_write(azure: LocalAzure, database: str) -> None:
    with CosmosClient.from_connection_string(azure.cosmos_read_only_connection_string) as client:
        container = client.get_database_client(database).get_container_client("items")
        assert container.read_item("1", "a")["id"] == "1"
        assert list(container.query_items("SELECT VALUE c.id FROM c", enable_cross_partition_query=True)) == ["1"]
        assert [item["id"] for item in container.query_items_change_feed(start_time="Beginning")] == ["1"]
        for write in (
            lambda: container.create_item({"id": "2", "pk": "a"}),
            lambda: container.upsert_item({"id": "1", "pk": "a"}),
            lambda: container.replace_item("1", {"id": "1", "pk": "a"}),
            lambda: container.patch_item("1", "a", [{"op": "set", "path": "/x", "value": 1}]),
            lambda: container.delete_item("1", "a"),
            lambda: container.execute_item_batch([("create", ({"id": "2", "pk": "a"},))], "a"),
            lambda: container.delete_all_items_by_partition_key("a"),
            lambda: client.create_database("other"),
            lambda: client.delete_database(database),
        ):
            with pytest.raises(CosmosHttpResponseError) as caught:
                write()
            assert caught.value.status_code == 403
    still_serves(azure, database)


def test_a_wrong_key_is_401(azure: LocalAzure) -> None:
    wrong = base64.b64encode(b"w" * 64).decode()
    with pytest.raises(CosmosHttpResponseError) as caught:
        CosmosClient(azure.cosmos_endpoint, wrong)
    assert caught.value.status_code == 401


def test_a_signature_for_another_resource_or_verb_is_401(azure: LocalAzure, database: str) -> None:
    link = CONTAINER.format(database) + "/docs/1"
    key, now = azure.keys.cosmos_read_write, time.time()
    for headers in (
        signed(key, "delete", "docs", link, now),
        signed(key, "get", "docs", link + "0", now),
        signed(key, "get", "colls", link, now),
        {"x-ms-date": formatdate(now, usegmt=True)},
        {"authorization": "gibberish", "x-ms-date": formatdate(now, usegmt=True)},
        {**signed(key, "get", "docs", link, now), "x-ms-date": formatdate(now - 1, usegmt=True)},
    ):
        status, _, body = call(
            azure.cosmos_port, "GET", f"/{link}", {**headers, "x-ms-documentdb-partitionkey": '["a"]'}
        )
        assert (status, body["code"]) == (401, "Unauthorized")


@pytest.mark.parametrize(("minutes", "expected"), [(-16, 403), (-14, 200), (14, 200), (16, 403)])
def test_a_date_may_be_off_by_a_quarter_of_an_hour(
    azure: LocalAzure, database: str, minutes: int, expected: int
) -> None:
    link = CONTAINER.format(database)
    headers = signed(azure.keys.cosmos_read_write, "get", "colls", link, time.time() + 60 * minutes)
    status, _, _ = call(azure.cosmos_port, "GET", f"/{link}", headers)
    assert status == expected


def test_a_bearer_token_is_401_where_none_was_given(azure: LocalAzure) -> None:
    assert call(azure.cosmos_port, "GET", "/dbs", {"authorization": "type=aad&ver=1.0&sig="})[0] == 401


def test_a_date_that_is_no_date_is_401(azure: LocalAzure) -> None:
    date = "someday"
    digest = hmac.digest(base64.b64decode(azure.keys.cosmos_read_write), f"get\n\n\n{date}\n\n".encode(), "sha256")
    token = quote(f"type=master&ver=1.0&sig={base64.b64encode(digest).decode()}", safe="")
    assert call(azure.cosmos_port, "GET", "/", {"authorization": token, "x-ms-date": date})[0] == 401


@dataclass
class Token:
    """A credential of azure-core with one fixed token."""

    text: str

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(self.text, int(time.time()) + 3600)


class AsyncToken(Token):
    async def get_token(self, *_: str, **__: Any) -> AccessToken:  # type: ignore[override]
        return super().get_token()

    async def close(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def token_azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAzure]:
    """Started with the bearer token "t0k"; holds one item."""
    with localazure.start(tmp_path_factory.mktemp("azure"), tls=True, bearer_token="t0k") as running:
        secured = {"connection_verify": str(running.certificate)}
        with CosmosClient.from_connection_string(running.cosmos_connection_string, **secured) as client:
            container = client.create_database("d").create_container("items", PartitionKey("/pk"))
            container.create_item({"id": "1", "pk": "a"})
        yield running


def with_token(azure: LocalAzure, text: str) -> CosmosClient:
    return CosmosClient(azure.cosmos_endpoint, Token(text), connection_verify=str(azure.certificate))


def test_a_bearer_token_is_accepted_where_the_server_was_started_with_it(token_azure: LocalAzure) -> None:
    with with_token(token_azure, "t0k") as client:
        container = client.get_database_client("d").get_container_client("items")
        assert container.read_item("1", "a")["id"] == "1"
        container.upsert_item({"id": "2", "pk": "a"})
        assert sorted(container.query_items("SELECT VALUE c.id FROM c", partition_key="a")) == ["1", "2"]
        container.delete_item("2", "a")
    for other in ("other", "t0", "", "t0k0"):
        with pytest.raises(CosmosHttpResponseError) as caught:
            with_token(token_azure, other)
        assert caught.value.status_code == 401


async def test_the_asynchronous_client_sends_a_bearer_token_too(token_azure: LocalAzure) -> None:
    secured = {"connection_verify": str(token_azure.certificate)}
    async with AsyncCosmosClient(token_azure.cosmos_endpoint, AsyncToken("t0k"), **secured) as client:
        container = client.get_database_client("d").get_container_client("items")
        assert (await container.read_item("1", "a"))["id"] == "1"


def test_a_bearer_token_comes_over_plain_http_where_the_client_is_told_to_send_it(tmp_path: Path) -> None:
    with (
        localazure.start(tmp_path / "azure", bearer_token="t0k") as azure,
        CosmosClient(azure.cosmos_endpoint, Token("t0k"), enforce_https=False) as client,
    ):
        assert list(client.list_databases(enforce_https=False)) == []


def test_a_bearer_token_makes_and_removes_no_containers(token_azure: LocalAzure) -> None:
    with with_token(token_azure, "t0k") as client:
        database = client.get_database_client("d")
        assert [found["id"] for found in database.list_containers()] == ["items"]
        for change in (
            lambda: client.create_database("e"),
            lambda: client.delete_database("d"),
            lambda: database.create_container("more", PartitionKey("/pk")),
            lambda: database.replace_container("items", PartitionKey("/pk"), default_ttl=5),
            lambda: database.delete_container("items"),
        ):
            with pytest.raises(CosmosHttpResponseError) as caught:
                change()
            assert (caught.value.status_code, caught.value.sub_status) == (403, 5300)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b'"text"',
        b'{"id":"2","pk":"a","n":NaN}',
        b'{"id":"2","pk":"a","n":1e999}',
        b'{"id":"2","pk":"a","n":' + b"9" * 5000 + b"}",
        b'{"id":"2","pk":"a","deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"id":"2","pk":"a","deep":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
        b'{"id":2,"pk":"a"}',
        b'{"pk":"a"}',
        b'{"id":"a/b","pk":"a"}',
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_a_body_that_is_no_document_is_400(azure: LocalAzure, database: str, body: bytes) -> None:
    status, headers, error = post(azure, database, body)
    assert (status, error["code"]) == (400, "BadRequest")
    assert headers["x-ms-activity-id"] in error["message"]
    still_serves(azure, database)


def test_a_partition_key_header_that_is_no_array_is_400(azure: LocalAzure, database: str) -> None:
    for header in ("a", '{"a":1}', '["a","b"]', '[{"a":1}]', "[" * 10_000, "[NaN", f"[{10**400}]"):
        status, _, _ = post(azure, database, b'{"id":"2","pk":"a"}', documentdb_partitionkey=header)
        assert status == 400
    still_serves(azure, database)


def test_headers_that_cannot_be_read_are_400(azure: LocalAzure, database: str) -> None:
    link = CONTAINER.format(database)
    headers = signed(azure.keys.cosmos_read_write, "get", "docs", link, time.time())
    for wrong in (
        {"x-ms-max-item-count": "many"},
        {"x-ms-max-item-count": "0"},
        {"x-ms-session-token": "gibberish"},
        {"x-ms-continuation": "gibberish"},
        {"a-im": "Incremental feed", "if-none-match": '"gibberish"'},
        {"a-im": "Incremental feed", "if-modified-since": "gibberish"},
        {"a-im": "Gibberish"},
    ):
        status, _, _ = call(azure.cosmos_port, "GET", f"/{link}/docs", {**headers, **wrong})
        assert status == 400, wrong
    status, told, _ = call(
        azure.cosmos_port, "GET", f"/{link}/docs", {**headers, "x-ms-documentdb-partitionkeyrangeid": "77"}
    )
    assert (status, told["x-ms-substatus"]) == (410, "1002")
    still_serves(azure, database)


def test_ten_megabytes_are_refused_with_413_and_read_to_their_end(azure: LocalAzure, database: str) -> None:
    status, _, error = post(azure, database, b'{"id":"2","pk":"a","text":"' + b"x" * 10 * MEGABYTE + b'"}')
    assert (status, error["code"]) == (413, "RequestEntityTooLarge")
    still_serves(azure, database)


def test_what_is_no_http_is_answered_or_cut_and_the_server_goes_on(azure: LocalAzure, database: str) -> None:
    for garbage in (
        b"\x00\x01\x02\x03" * 100,
        b"GET\r\n\r\n",
        b"POST /dbs HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /dbs HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", azure.cosmos_port), timeout=60) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:80]
    still_serves(azure, database)


def test_an_address_that_does_not_exist_is_404_and_a_wrong_method_405(azure: LocalAzure, database: str) -> None:
    key, now = azure.keys.cosmos_read_write, time.time()
    assert call(azure.cosmos_port, "GET", "/nowhere", signed(key, "get", "nowhere", "", now))[0] == 404
    link = CONTAINER.format(database)
    assert call(azure.cosmos_port, "PATCH", f"/{link}", signed(key, "patch", "colls", link, now))[0] == 405
    assert call(azure.cosmos_port, "PUT", "/dbs", signed(key, "put", "dbs", "", now))[0] == 405
    still_serves(azure, database)
