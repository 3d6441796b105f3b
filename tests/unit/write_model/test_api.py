"""The command API without any container: each route's command, what it answers to each outcome, and its page."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from typing import Any

import httpx
import pytest
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.cosmos.exceptions import CosmosHttpResponseError

from labkit import problems
from labkit.read_queries.api import query_app
from labkit.write_model.api import REFUSED, command_app
from labkit.write_model.handler import Accepted, Context, Refused
from labkit.write_model.orders import (
    Command,
    Refusal,
    RefusalCode,
)
from tests.unit.write_model.command_requests import (
    ID,
    KEY,
    ORDER,
    ROUTES,
    Scripted,
    problem,
)

nobody: Any = None
READS = [re.sub(r"{\w+}", "[^/]+", path) for path in query_app(nobody, nobody, "").openapi()["paths"]]
"""The query side's addresses, as patterns."""


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
            assert release.wait(60), "the event loop was blocked, so that nobody could release this"
            return super().handle(command, context)

    slow: Any = Slow()
    transport = httpx.ASGITransport(command_app(slow))
    async with httpx.AsyncClient(transport=transport, base_url="http://lab") as client:
        waiting = [
            asyncio.create_task(client.request(method, path, json=body, headers=KEY))
            for method, path, body, *_ in ROUTES
        ]
        for _ in waiting:
            assert await asyncio.to_thread(entered.acquire, timeout=60)
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
