"""What the query API refuses: attempts at injection, absurd pages, what has no address. No answer holds a key."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from labkit.lab import Lab, open_lab
from labkit.projections.query_container import QueryContainer
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Hub, Synapse
from labkit.settings import embedded
from localazure.handle import LocalAzure
from tests.unit.read_queries.conftest import Tables

DAY = {"from": "2026-01-05", "to": "2026-01-05"}
ORDER = "order-20260105-1"


@pytest.fixture(scope="module")
def lab(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab("04", target=embedded(azure, tmp_path_factory.mktemp("tables"))) as one:
        yield one


@pytest.fixture(scope="module")
def client(lab: Lab) -> Iterator[httpx.Client]:
    """On tables with one order."""
    Tables(Path(lab.tables_url)).write([Tables.an_order("1")])
    with Synapse(lab.tables_url, hub=Hub(lab.hub, lab.partition_ids)) as synapse:
        app = query_app(synapse, QueryContainer(lab.container("query-model", "query")), lab.hub)
        with httpx.Client(base_url=lab.serve(app).url, timeout=60) as opened:
            yield opened


def problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["detail"]


INJECTIONS = [
    "' OR '1'='1",
    "x'; DROP TABLE orders; --",
    "order-20260105-1' UNION SELECT 1 --",
    "$files_of_orders",
    "@day",
    "read_parquet('/etc/passwd')",
    'c.id = "a" OR 1 = 1',
    "*",
    "\u0000",
    "İ" * 300,
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_an_attempt_at_injection_is_refused_with_a_reason_wherever_text_is_taken(
    text: str, client: httpx.Client
) -> None:
    problem(client.get(f"/orders/{quote(text, safe='')}"), 404, "no-such-resource")
    problem(client.get(f"/customers/{quote(text, safe='')}/orders"), 404, "no-such-resource")
    for params in ({**DAY, "status": text}, {**DAY, "page": text}, {**DAY, "from": text}, {**DAY, "to": text},
                   {**DAY, "size": text}, {**DAY, text: "1"}):  # fmt: skip
        problem(client.get("/orders", params=params), 422, "invalid")
    for name in ("from", "to"):
        problem(client.get("/metrics/daily", params={**DAY, name: text}), 422, "invalid")
    problem(client.get("/customers/customer-1/orders", params={"page": text}), 422, "invalid")
    if text.isascii() and text.isprintable():
        header = {"If-Version-At-Least": text}
        for address in (f"/orders/{ORDER}", "/customers/customer-1/orders"):
            problem(client.get(address, headers=header), 400, "bad-header")
        assert client.get(f"/orders/{ORDER}", headers={"If-None-Match": text}).status_code in (200, 304)
    assert client.get(f"/orders/{ORDER}").status_code == 200


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"from": "2026-01-05"},
        {"from": "2026-01-06", "to": "2026-01-05"},
        {"from": "2025-01-01", "to": "2026-01-02"},
        {"from": "0001-01-01", "to": "9999-12-31"},
        {"from": "0000-01-01", "to": "2026-01-01"},
        {"from": "1767571200", "to": "1767571200"},
        {"from": "2026-01-05T00:00:00Z", "to": "2026-01-05"},
        {"from": "2026-02-30", "to": "2026-03-01"},
        {**DAY, "size": "0"},
        {**DAY, "size": "-1"},
        {**DAY, "size": "1001"},
        {**DAY, "size": "9" * 5000},
        {**DAY, "size": "1e3"},
        {**DAY, "page": ""},
        {**DAY, "page": "-1"},
        {**DAY, "page": "999999999999999999999"},
        {**DAY, "page": "order-20260104-1"},
        {**DAY, "page": "order-20261399-1"},
        {**DAY, "status": "paid"},
        {**DAY, "form": "2026-01-05"},
    ],
)
def test_absurd_days_pages_and_parameters_are_refused_with_a_reason(params: Any, client: httpx.Client) -> None:
    problem(client.get("/orders", params=params), 422, "invalid")


def test_what_is_no_address_no_day_no_token_is_refused_with_a_reason(client: httpx.Client) -> None:
    for address in ("/views", "/metrics", "/metrics/weekly", "/dbo.vw_order_summary", "/customers/customer-1", "/"):
        problem(client.get(address), 404, "no-such-resource")
    problem(client.get("/orders/order-20261399-1"), 404, "not-found")
    problem(client.get(f"/orders/{ORDER}?a=b"), 422, "invalid")
    for token in ("", "order-20260105-1", "order-20260105-1@0", "order-20260105-1@" + "9" * 5000, "order-20261399-1@1",
                  "customer-1@1@1", "Order-20260105-1@1", "order-20260105-1@1,order-20260105-1@2"):  # fmt: skip
        problem(client.get("/orders", params=DAY, headers={"If-Version-At-Least": token}), 400, "bad-header")
    customer = {"If-Version-At-Least": "customer-1@1"}
    problem(client.get("/customers/customer-1/orders", headers=customer), 400, "bad-header")
    problem(client.get("/customers/positions/orders"), 404, "no-such-resource")


def test_no_answer_no_document_and_no_log_holds_a_key(
    lab: Lab, azure: LocalAzure, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [part.partition("=")[2] for text in (azure.cosmos_connection_string,
               azure.cosmos_read_only_connection_string, azure.event_hubs_connection_string_for("send"))
               for part in text.split(";") if part.startswith(("AccountKey", "SharedAccessKey="))]  # fmt: skip
    assert len(secrets) == 3
    for address in ("/openapi.json", "/docs", "/orders", "/customers/customer-1/orders", "/x"):
        answer = client.get(address)
        assert not [secret for secret in secrets if secret in answer.text + str(answer.headers)]
    assert "query-model" in caplog.text  # the SDK did tell of its requests
    assert not [secret for secret in secrets if secret in caplog.text]


RAW: list[tuple[bytes, bytes, int]] = [
    (b"/orders/\x00", b"", 400),
    (b"/orders/%00", b"", 404),
    (b"/orders/%FF", b"", 404),
    (b"/orders/" + b"a" * 60_000, b"", 404),
    (b"/orders/order-%EF%BC%92%EF%BC%90260105-1", b"", 404),
    (b"/orders/order-20260105-1%0A", b"", 404),
    (b"/orders/order-00000101-1", b"", 404),
    (b"/../../etc/passwd", b"", 404),
    (b"/orders?from=%FF&to=%FF", b"", 422),
    (b"/orders?" + b"&".join(b"p%d=1" % number for number in range(5_000)), b"", 422),
    (b"/customers/customer-1/orders?page=order-20260105-1%0A", b"", 422),
    (b"/customers/customer-1/orders?size=%D9%A3", b"", 422),
    (b"/orders/order-20260105-1", b"If-Version-At-Least: \xff\xfe\r\n", 400),
    (b"/orders/order-20260105-1", b"If-Version-At-Least:\r\n", 400),
    (b"/orders/order-20260105-1", b"If-Version-At-Least: order-20260105-1@1\x0b\r\n", 400),
    (b"/orders/order-20260105-1", b"If-None-Match: " + b'"a",' * 10_000 + b"\r\n", 200),
    (b"/orders/order-20260105-1", b"If-None-Match: \xff\r\n", 200),
    (b"/orders?from=9999-12-31&to=9999-12-31", b"", 200),
]


@pytest.mark.parametrize(("target", "headers", "status"), RAW, ids=lambda value: repr(value)[:40])
def test_bytes_that_no_client_library_would_send(
    target: bytes, headers: bytes, status: int, client: httpx.Client
) -> None:
    request = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + b"\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as wire:
        wire.sendall(request)
        answer = wire.recv(65_536)
    assert int(answer.split(b" ", 2)[1]) == status, answer[:200]
