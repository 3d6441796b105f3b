"""What a saboteur sends to the command API: each row is refused, and the next request served as if nothing was."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from labkit.http_api import BODY_BYTES_AT_MOST
from labkit.lab import open_lab
from labkit.serving import Serving
from labkit.settings import embedded
from labkit.write_model.api import command_app
from labkit.write_model.handler import CommandHandler
from localazure.handle import LocalAzure

ID = "order-20260105-0001"
ITEMS = [{"productId": "tea", "quantity": 2, "unitPrice": "12.50"}]
ORDER = {"orderId": ID, "customerId": "customer-1", "items": ITEMS}
KEY = {"Idempotency-Key": "k"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def serving(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with open_lab("00", target=embedded(azure, tmp_path_factory.mktemp("tables"))) as lab:
        yield lab.serve(command_app(CommandHandler(lab.container("write-model", "command"), lab.clock)))


@pytest.fixture(scope="module")
def client(serving: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serving.url, timeout=60) as opened:
        yield opened


def code(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["code"])


DEEP = b'{"a":' * 30_000 + b"1" + b"}" * 30_000
BAD_BODIES: list[tuple[str, bytes, dict[str, str], int]] = [
    ("NaN as a price", b'{"items":[{"productId":"t","quantity":1,"unitPrice":NaN}]}', JSON, 422),
    ("Infinity as a quantity", b'{"items":[{"productId":"t","quantity":Infinity,"unitPrice":"1"}]}', JSON, 422),
    ("1e999 as a quantity", b'{"items":[{"productId":"t","quantity":1e999,"unitPrice":"1"}]}', JSON, 422),
    ("a quantity of 4,000 digits", b'{"items":[{"productId":"t","quantity":' + b"9" * 4000 + b"}]}", JSON, 422),
    ("a quantity of 9,000 digits", b'{"items":[{"productId":"t","quantity":' + b"9" * 9000 + b"}]}", JSON, 400),
    ("half a surrogate pair", b'{"items":[{"productId":"\\ud800","quantity":1,"unitPrice":"1"}]}', JSON, 422),
    ("half a surrogate pair as a name", b'{"items":[],"\\udfff":1}', JSON, 422),
    ("a surrogate in UTF-8", b'{"items":[{"productId":"\xed\xa0\x80","quantity":1,"unitPrice":"1"}]}', JSON, 422),
    ("a null character", b'{"items":[{"productId":"\\u0000","quantity":0,"unitPrice":"1"}]}', JSON, 422),
    ("objects 30,000 deep", DEEP, JSON, 400),
    ("lists 100,000 deep", b"[" * 100_000 + b"]" * 100_000, JSON, 400),
    ("10,000 unknown fields", json.dumps({f"f{n}": 0 for n in range(10_000)}).encode(), JSON, 422),
    ("a field name of 200,000 letters", json.dumps({"x" * 200_000: 0}).encode(), JSON, 422),
    ("10,000 items", json.dumps({"items": [ITEMS[0]] * 5_000}).encode()[: BODY_BYTES_AT_MOST - 9], JSON, 400),
    ("10 MB", b'{"items":"' + b"x" * 10_000_000 + b'"}', JSON, 413),
    ("compressed", b"\x1f\x8b\x08\x00", JSON | {"Content-Encoding": "gzip"}, 400),
    ("UTF-16", '{"items":[]}'.encode("utf-16"), JSON, 422),
    ("a form", b"items=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ("XML", b"<items/>", {"Content-Type": "application/xml"}, 415),
    ("a content type that is none", b"{}", {"Content-Type": ";;;,,,"}, 415),
    ("JSON by another name", b'{"items":[]}', {"Content-Type": "application/merge-patch+json"}, 415),
    ("no content type", b'{"items":[]}', {}, 415),
]


@pytest.mark.parametrize(
    ("body", "headers", "status"), [row[1:] for row in BAD_BODIES], ids=[row[0] for row in BAD_BODIES]
)
def test_a_bad_body_is_a_problem(client: httpx.Client, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = client.patch(f"/orders/{ID}", content=body, headers=KEY | headers)
    assert code(answer, status)
    assert len(answer.content) < 10_000
    assert code(client.patch(f"/orders/{ID}", json={"items": ITEMS}, headers=KEY), 404) == "not-found"


def raw(serving: Serving, request: bytes) -> bytes:
    """What comes back for these bytes, to the end of the connection."""
    port = int(serving.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return answer


HEAD = b"POST /orders/" + ID.encode() + b"/pay HTTP/1.1\r\nHost: x\r\n"
BAD_HEADERS: list[tuple[str, bytes, int]] = [
    ("two keys", b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n", 400),
    ("two keys, one of them empty", b"Idempotency-Key: a\r\nidempotency-key:\r\n", 400),
    ("two keys in one line", b"Idempotency-Key: a, b\r\n", 400),
    ("an empty key", b"Idempotency-Key:\r\n", 400),
    ("a key with a slash", b"Idempotency-Key: ../state\r\n", 400),
    ("a key of 60,000 letters", b"Idempotency-Key: " + b"k" * 60_000 + b"\r\n", 400),
    ("a key that is no ASCII", b"Idempotency-Key: \xff\xfe\r\n", 400),
    ("a key that names the state", b"Idempotency-Key: state?\r\n", 400),
    ("two versions", b'Idempotency-Key: a\r\nIf-Match: "1"\r\nIf-Match: "2"\r\n', 400),
    ("a version that is no number", b'Idempotency-Key: a\r\nIf-Match: "1 OR 1=1"\r\n', 400),
    ("a header folded into the next line", b"Idempotency-Key: a\r\nX-Correlation-Id: a\r\n b\r\n", 400),
    ("a header line inside a header", b"Idempotency-Key: a\r\nX-Correlation-Id: a%0d%0aSet-Cookie: b\r\n", 400),
    ("a bare line feed in a header", b"Idempotency-Key: a\r\nX-Correlation-Id: a\nSet-Cookie: b\r\n", 400),
    ("a null in a header", b"Idempotency-Key: a\r\nX-Correlation-Id: a\x00b\r\n", 400),
    ("a length that is none", b"Idempotency-Key: a\r\nContent-Length: -1\r\n", 400),
    ("two lengths", b"Idempotency-Key: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n", 400),
    ("a length and chunks", b"Idempotency-Key: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
]


@pytest.mark.parametrize(("headers", "status"), [row[1:] for row in BAD_HEADERS], ids=[row[0] for row in BAD_HEADERS])
def test_bad_headers_are_refused_and_never_echoed(serving: Serving, headers: bytes, status: int) -> None:
    answer = raw(serving, HEAD + headers + b"Connection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert b"set-cookie" not in head.lower()
    assert len(body) < 2_000


@pytest.mark.parametrize(
    "order_id",
    [
        "x",
        "state",
        "order-20260105-",
        "order-20260105-" + "a" * 64,
        "order-20260105-a%2F..%2Fstate",
        "..%2F..%2Fcustomers",
        "%00",
        "%ED%A0%80",
        "%FF",
        "order-%D9%A2%D9%A0260105-1",
        "' OR 1=1 --",
        "a" * 30_000,
    ],
)
def test_an_absurd_id_names_nothing(azure: LocalAzure, client: httpx.Client, order_id: str) -> None:
    before = azure.counters()["cosmos"].get("read", 0)
    assert code(client.post(f"/orders/{order_id}/pay", headers=KEY), 404) == "no-such-resource"
    assert azure.counters()["cosmos"].get("read", 0) == before


def test_an_order_of_a_day_that_no_calendar_has_is_refused(client: httpx.Client) -> None:
    body = ORDER | {"orderId": "order-20260230-1"}
    assert code(client.post("/orders", json=body, headers=KEY), 422) == "invalid-id"
    assert code(client.post("/orders/order-99999999-1/pay", headers=KEY), 404) == "not-found"
