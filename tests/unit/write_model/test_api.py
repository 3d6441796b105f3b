"""The command API without any container: what it makes of a request, and what it answers to each outcome."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
import pytest
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.cosmos.exceptions import CosmosHttpResponseError

from labkit import problems
from labkit.http_api import BODY_BYTES_AT_MOST
from labkit.read_queries.api import query_app
from labkit.write_model.api import REFUSED, command_app
from labkit.write_model.handler import Accepted, Context, Refused
from labkit.write_model.orders import (
    LONGEST_PRODUCT_ID,
    MOST_ITEMS,
    CancelOrder,
    Command,
    CreateOrder,
    Item,
    PayOrder,
    Refusal,
    RefusalCode,
    RegisterCustomer,
    ShipOrder,
    UpdateOrder,
)

ID = "order-20260105-0001"
ITEMS = [{"productId": "tea", "quantity": 2, "unitPrice": "12.50"}]
ORDER = {"orderId": ID, "customerId": "customer-1", "items": ITEMS}
CUSTOMER = {"customerId": "customer-1", "name": "Ada"}
TEA = (Item("tea", 2, Decimal("12.50")),)
KEY = {"Idempotency-Key": "k-1"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

nobody: Any = None
READS = [re.sub(r"{\w+}", "[^/]+", path) for path in query_app(nobody, nobody, "").openapi()["paths"]]
"""The query side's addresses, as patterns."""

ROUTES: list[tuple[str, str, dict[str, Any] | None, int, Command]] = [
    ("POST", "/customers", CUSTOMER, 201, RegisterCustomer("customer-1", "Ada")),
    ("POST", "/orders", ORDER, 201, CreateOrder(ID, "customer-1", TEA)),
    ("POST", "/orders", ORDER | {"backfill": True}, 201, CreateOrder(ID, "customer-1", TEA, backfill=True)),
    ("PATCH", f"/orders/{ID}", {"items": ITEMS}, 200, UpdateOrder(ID, TEA)),
    ("POST", f"/orders/{ID}/pay", None, 200, PayOrder(ID)),
    ("POST", f"/orders/{ID}/pay", {}, 200, PayOrder(ID)),
    ("POST", f"/orders/{ID}/ship", None, 200, ShipOrder(ID)),
    ("POST", f"/orders/{ID}/cancel", None, 200, CancelOrder(ID)),
    ("POST", f"/orders/{ID}/cancel", {"reason": "too late"}, 200, CancelOrder(ID, "too late")),
]


@dataclass
class Scripted:
    """A handler that gives one outcome, or raises one error, and remembers what it was asked."""

    outcome: Accepted | Refused | Exception | None = None
    asked: list[tuple[Command, Context]] = field(default_factory=list)

    def handle(self, command: Command, context: Context) -> Accepted | Refused:
        self.asked.append((command, context))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome or Accepted(command.aggregate_id, 3, "e-3", 1, 15.851)


@pytest.fixture
def handler() -> Scripted:
    return Scripted()


@pytest.fixture
async def client(handler: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(command_app(handler), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lab") as opened:
        yield opened


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == problems.MEDIA_TYPE
    told: dict[str, Any] = answer.json()
    assert (answer.status_code, told["status"], told["code"]) == (status, status, code), told
    assert told["type"] == f"/docs#{code}"
    assert told["title"]
    assert told["detail"]
    return told


@pytest.mark.parametrize(("method", "path", "body", "status", "command"), ROUTES)
async def test_each_route_is_one_command(
    client: httpx.AsyncClient,
    handler: Scripted,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    status: int,
    command: Command,
) -> None:
    answer = await client.request(method, path, json=body, headers=KEY)
    assert answer.status_code == status, answer.text
    assert handler.asked == [(command, Context("k-1"))]
    told = answer.json()
    assert told == {
        "aggregateId": command.aggregate_id,
        "version": 3,
        "eventId": "e-3",
        "token": f"{command.aggregate_id}@3",
    }
    assert command.aggregate_id in answer.headers["location"]
    assert any(re.fullmatch(read, answer.headers["location"]) for read in READS), "an address that leads nowhere"
    assert (answer.headers["etag"], answer.headers["version-token"]) == ('"3"', told["token"])
    assert (answer.headers["request-charge-ru"], answer.headers["x-correlation-id"]) == ("15.85", "k-1")
    assert "idempotency-replayed" not in answer.headers


async def test_a_repeated_answer_is_the_first_one_and_says_so(client: httpx.AsyncClient, handler: Scripted) -> None:
    first = await client.post("/orders", json=ORDER, headers=KEY)
    handler.outcome = Accepted(ID, 3, "e-3", 1, 2.0, repeated=True)
    again = await client.post("/orders", json=ORDER, headers=KEY)
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["etag"] == first.headers["etag"]


async def test_the_headers_go_into_the_context_and_so_into_the_envelope(
    client: httpx.AsyncClient, handler: Scripted
) -> None:
    told = {"X-Correlation-Id": "story-7", "X-Causation-Id": "message-3", "traceparent": TRACE, "If-Match": '"4"'}
    answer = await client.post(f"/orders/{ID}/pay", headers={"Idempotency-Key": '"k-1"', **told})
    assert answer.headers["x-correlation-id"] == "story-7"
    assert handler.asked[0][1] == Context(
        "k-1", correlation_id="story-7", causation_id="message-3", traceparent=TRACE, expected_version=4
    )


@pytest.mark.parametrize(
    "trace",
    [
        "",
        "nonsense",
        TRACE.upper(),
        f"ff{TRACE[2:]}",
        f"{TRACE}-x",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
)
async def test_a_traceparent_that_is_none_is_left_out(client: httpx.AsyncClient, handler: Scripted, trace: str) -> None:
    answer = await client.post(f"/orders/{ID}/pay", headers={**KEY, "traceparent": trace})
    assert answer.status_code == 200
    assert handler.asked[0][1].traceparent == ""


async def test_if_match_any_is_no_condition(client: httpx.AsyncClient, handler: Scripted) -> None:
    await client.post(f"/orders/{ID}/pay", headers={**KEY, "If-Match": "*"})
    assert handler.asked[0][1].expected_version is None


@pytest.mark.parametrize("etag", ["3", 'W/"3"', '"3", "4"', '"0"', '"x"', "", '"' + "9" * 40 + '"'])
async def test_an_etag_that_this_api_never_gave_is_refused(
    client: httpx.AsyncClient, handler: Scripted, etag: str
) -> None:
    problem(await client.post(f"/orders/{ID}/pay", headers={**KEY, "If-Match": etag}), 400, "bad-header")
    assert not handler.asked


async def test_a_creation_takes_no_if_match(client: httpx.AsyncClient, handler: Scripted) -> None:
    problem(await client.post("/orders", json=ORDER, headers={**KEY, "If-Match": "*"}), 400, "bad-header")
    assert not handler.asked


async def test_a_request_without_a_key_is_told_why_it_needs_one(client: httpx.AsyncClient, handler: Scripted) -> None:
    told = problem(await client.post("/orders", json=ORDER), 400, "header-missing")
    assert "retry" in told["detail"]
    assert not handler.asked


@pytest.mark.parametrize("name", ["X-Correlation-Id", "X-Causation-Id"])
@pytest.mark.parametrize("value", [b"", b"a b", b"\xe9", b"x" * 201, b"a\tb"])
async def test_a_correlation_that_no_header_could_echo_is_refused(
    client: httpx.AsyncClient, handler: Scripted, name: str, value: bytes
) -> None:
    headers = {b"Idempotency-Key": b"k", name.encode(): value}
    problem(await client.post(f"/orders/{ID}/pay", headers=headers), 400, "bad-header")
    assert not handler.asked


@pytest.mark.parametrize("name", ["Idempotency-Key", "If-Match", "X-Correlation-Id", "X-Causation-Id"])
async def test_a_header_told_twice_is_refused(client: httpx.AsyncClient, handler: Scripted, name: str) -> None:
    twice = [("Idempotency-Key", "k-1"), (name, '"1"'), *([] if name == "Idempotency-Key" else [(name, '"1"')])]
    problem(await client.post(f"/orders/{ID}/pay", headers=twice), 400, "bad-header")
    assert not handler.asked


@pytest.mark.parametrize("code", RefusalCode)
async def test_each_refusal_is_a_problem_with_its_code_and_sentence(
    client: httpx.AsyncClient, handler: Scripted, code: RefusalCode
) -> None:
    handler.outcome = Refused(Refusal(code, "A sentence."), 1.0)
    answer = await client.post(f"/orders/{ID}/pay", headers=KEY)
    assert problem(answer, REFUSED[code], code)["detail"] == "A sentence."
    assert answer.headers["request-charge-ru"] == "1.00"
    assert ("retry-after" in answer.headers) == (code == RefusalCode.CONTENDED)


def refused_by_cosmos(
    status: int, retry_after_ms: str | None = None, sub_status: int | None = None
) -> CosmosHttpResponseError:
    error = CosmosHttpResponseError(status_code=status, message="from the service", sub_status=sub_status)
    error.headers = {"x-ms-retry-after-ms": retry_after_ms} if retry_after_ms else {}
    return error


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (refused_by_cosmos(429, "2500"), 429, "busy", "3"),
        (refused_by_cosmos(429), 429, "busy", "1"),
        (refused_by_cosmos(429, "soon"), 429, "busy", "1"),
        (refused_by_cosmos(503), 503, "unavailable", "1"),
        (refused_by_cosmos(408), 503, "unavailable", "1"),
        (refused_by_cosmos(403), 502, "upstream", None),
        (refused_by_cosmos(404), 502, "upstream", None),
        (refused_by_cosmos(404, sub_status=1003), 502, "upstream", None),
        (refused_by_cosmos(404, sub_status=1002), 503, "unavailable", "1"),
        (refused_by_cosmos(500), 502, "upstream", None),
        (ServiceRequestError("no route"), 503, "unavailable", "1"),
        (ServiceResponseError("cut off"), 503, "unavailable", "1"),
    ],
)
async def test_an_error_of_the_service_is_a_problem_that_says_when_to_ask_again(
    client: httpx.AsyncClient, handler: Scripted, error: AzureError, status: int, code: str, retry_after: str | None
) -> None:
    handler.outcome = error
    answer = await client.post(f"/orders/{ID}/pay", headers=KEY)
    assert "from the service" not in problem(answer, status, code)["detail"]
    assert answer.headers.get("retry-after") == retry_after


async def test_a_fault_of_our_own_is_a_problem_that_tells_nothing_of_it(
    client: httpx.AsyncClient, handler: Scripted
) -> None:
    handler.outcome = ZeroDivisionError("a secret")
    answer = await client.post(f"/orders/{ID}/pay", headers=KEY)
    problem(answer, 500, "internal")
    assert "secret" not in answer.text


def test_a_problem_that_no_utf8_could_hold_is_told_all_the_same() -> None:
    response = problems.Problem("invalid", "half of a pair: \ud800").response()
    assert json.loads(response.body)["detail"] == "half of a pair: ?"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/jsonx", "multipart/form-data", ""])
async def test_a_body_of_another_kind_is_refused(client: httpx.AsyncClient, handler: Scripted, kind: str) -> None:
    headers = {**KEY, "Content-Type": kind}
    problem(await client.post("/orders", content=json.dumps(ORDER), headers=headers), 415, "unsupported-media-type")
    assert not handler.asked


async def test_a_content_type_may_name_its_charset(client: httpx.AsyncClient, handler: Scripted) -> None:
    headers = {**KEY, "Content-Type": "Application/JSON; charset=utf-8"}
    assert (await client.post("/orders", content=json.dumps(ORDER), headers=headers)).status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (ORDER | {"colour": "blue"}, "#/colour"),
        (ORDER | {"a/b~c": 1}, "#/a~1b~0c"),
        ({"orderId": ID, "items": ITEMS}, "#/customerId"),
        (ORDER | {"customer_id": "customer-1"}, "#/customer_id"),
        (ORDER | {"orderId": "order-1"}, "#/orderId"),
        (ORDER | {"orderId": f"{ID}\n"}, "#/orderId"),
        (ORDER | {"orderId": ID.replace("2", "\u0662")}, "#/orderId"),
        (ORDER | {"items": []}, "#/items"),
        (ORDER | {"items": ITEMS * (MOST_ITEMS + 1)}, "#/items"),
        (ORDER | {"items": [ITEMS[0] | {"unitPrice": 12.5}]}, "#/items/0/unitPrice"),
        (ORDER | {"items": [ITEMS[0] | {"unitPrice": "1e3"}]}, "#/items/0/unitPrice"),
        (ORDER | {"items": [ITEMS[0] | {"unitPrice": "-1.00"}]}, "#/items/0/unitPrice"),
        (ORDER | {"items": [ITEMS[0] | {"unitPrice": "1.005"}]}, "#/items/0/unitPrice"),
        (ORDER | {"items": [ITEMS[0] | {"quantity": "2"}]}, "#/items/0/quantity"),
        (ORDER | {"items": [ITEMS[0] | {"quantity": 2.0}]}, "#/items/0/quantity"),
        (ORDER | {"items": [ITEMS[0] | {"quantity": True}]}, "#/items/0/quantity"),
        (ORDER | {"backfill": "yes"}, "#/backfill"),
        ([ORDER], "#"),
        (None, "#"),
    ],
)
async def test_a_body_of_another_form_is_refused_and_told_where(
    client: httpx.AsyncClient, handler: Scripted, body: Any, pointer: str
) -> None:
    headers = {**KEY, "Content-Type": "application/json"}
    told = problem(await client.post("/orders", content=json.dumps(body), headers=headers), 422, "invalid")
    assert [error["pointer"] for error in told["errors"]] == [pointer]
    assert not handler.asked


async def test_a_command_without_data_takes_none(client: httpx.AsyncClient, handler: Scripted) -> None:
    told = problem(await client.post(f"/orders/{ID}/pay", json={"amount": 3}, headers=KEY), 422, "invalid")
    assert told["errors"][0]["pointer"] == "#/amount"
    assert not handler.asked


@pytest.mark.parametrize("body", [b"", b"{", b'{"orderId": }', b"\xff\xfe\x00", b"[" * 200_000, b"9" * 10_000])
async def test_a_body_that_is_no_json_is_refused(client: httpx.AsyncClient, handler: Scripted, body: bytes) -> None:
    headers = {**KEY, "Content-Type": "application/json"}
    answer = await client.post("/orders", content=body, headers=headers)
    problem(answer, 422, "invalid") if body == b"" else problem(answer, 400, "malformed")
    assert not handler.asked


async def test_a_body_may_be_as_long_as_the_largest_order_and_no_longer_than_the_limit(
    client: httpx.AsyncClient, handler: Scripted
) -> None:
    item = {"productId": "\U0001f375" * LONGEST_PRODUCT_ID, "quantity": 10_000, "unitPrice": "1000000.00"}
    largest = json.dumps(ORDER | {"items": [item] * MOST_ITEMS}, indent=1)
    headers = {**KEY, "Content-Type": "application/json"}
    assert (await client.post("/orders", content=largest, headers=headers)).status_code == 201
    too_large = largest + " " * (BODY_BYTES_AT_MOST + 1 - len(largest))
    problem(await client.post("/orders", content=too_large, headers=headers), 413, "too-large")
    assert (await client.post("/orders", content=too_large[:-1], headers=headers)).status_code == 201
    assert len(handler.asked) == 2


async def test_a_body_that_goes_on_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    given = 0

    async def long() -> AsyncIterator[bytes]:
        nonlocal given
        while given < 64:
            given += 1
            yield b" " * 65_536

    problem(await client.post("/orders", content=long(), headers=KEY), 413, "too-large")
    assert given * 65_536 < 2 * BODY_BYTES_AT_MOST


@pytest.mark.parametrize(
    "path", ["/orders/order-1/pay", f"/orders/{ID}%20/pay", "/orders/%00/pay", f"/orders/{ID}%0A/pay"]
)
async def test_an_id_that_no_order_can_have_is_not_looked_up(
    client: httpx.AsyncClient, handler: Scripted, path: str
) -> None:
    problem(await client.post(path, headers=KEY), 404, "no-such-resource")
    assert not handler.asked


@pytest.mark.parametrize(
    "path", ["/", "/orders/", f"/orders/{ID}", "/redoc", f"/orders/{ID}/refund", "/docs/oauth2-redirect"]
)
async def test_what_is_not_there_is_a_problem(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, headers=KEY)
    if path == f"/orders/{ID}":
        problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "PATCH"
    else:
        problem(answer, 404, "no-such-resource")


async def test_a_waiting_command_keeps_nobody_else_waiting() -> None:
    entered, release = threading.Semaphore(0), threading.Event()

    class Slow(Scripted):
        def handle(self, command: Command, context: Context) -> Accepted | Refused:
            entered.release()
            assert release.wait(10), "the event loop was blocked, so that nobody could release this"
            return super().handle(command, context)

    slow: Any = Slow()
    transport = httpx.ASGITransport(command_app(slow))
    async with httpx.AsyncClient(transport=transport, base_url="http://lab") as client:
        waiting = [
            asyncio.create_task(client.request(method, path, json=body, headers=KEY))
            for method, path, body, *_ in ROUTES
        ]
        for _ in waiting:
            assert await asyncio.to_thread(entered.acquire, timeout=10)
        assert (await client.get("/openapi.json")).status_code == 200
        assert not any(task.done() for task in waiting)
        release.set()
        assert [answer.is_success for answer in await asyncio.gather(*waiting)] == [True] * len(ROUTES)


async def test_the_page_lists_every_operation_and_every_problem_and_needs_no_network(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/docs")).text
    schema = (await client.get("/openapi.json")).json()
    operations = [(path, method) for path, found in schema["paths"].items() for method in found]
    assert len(operations) == 6
    for path, method in operations:
        assert f"<code>{method.upper()} {path}</code>" in page
    for code in (*REFUSED, *problems.STATUS):
        assert f'id="{code}"' in page
    assert not any(word in page for word in ("<script", "src=", "href=", "@import", "url("))


async def test_the_document_says_that_refusals_are_problems(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    for operation in (operation for path in schema["paths"].values() for operation in path.values()):
        refused = {status: told for status, told in operation["responses"].items() if int(status) >= 400}
        assert {"400", "409", "413", "415", "422", "429", "503"} <= set(refused)
        for told in refused.values():
            assert list(told["content"]) == [problems.MEDIA_TYPE]
    assert "HTTPValidationError" not in schema["components"]["schemas"]
