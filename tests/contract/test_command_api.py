"""The command API served by uvicorn, on the embedded Cosmos DB: what a caller relies on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from labkit.lab import Lab
from labkit.serving import Serving
from labkit.write_model import handler as handlers
from labkit.write_model.api import command_app
from labkit.write_model.handler import CommandHandler

ID = "order-20260105-0001"
ITEMS = [{"productId": "tea", "quantity": 2, "unitPrice": "12.50"}]
ORDER = {"orderId": ID, "customerId": "customer-1", "items": ITEMS}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def serving(lab: Lab) -> Serving:
    return lab.serve(command_app(CommandHandler(lab.container("write-model", "command"), lab.clock)))


@pytest.fixture
def client(serving: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serving.url, timeout=60) as opened:
        yield opened


def key(name: str, **more: str) -> dict[str, str]:
    return {"Idempotency-Key": name, **{header.replace("_", "-"): value for header, value in more.items()}}


def code(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["code"])


def events(lab: Lab, aggregate_id: str = ID) -> list[str]:
    history = handlers.history(lab.container("write-model", "command"), aggregate_id)
    return [event.event_type for event in history]


def test_a_whole_life_of_an_order_over_http(lab: Lab, client: httpx.Client) -> None:
    customer = {"customerId": "customer-1", "name": "Ada"}
    assert client.post("/customers", json=customer, headers=key("k-0")).status_code == 201
    made = client.post("/orders", json=ORDER, headers=key("k-1"))
    assert (made.status_code, made.headers["etag"], made.json()["token"]) == (201, '"1"', f"{ID}@1")
    changed = client.patch(
        f"/orders/{ID}", json={"items": ITEMS * 2}, headers=key("k-2", If_Match=made.headers["etag"])
    )
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert client.post(f"/orders/{ID}/pay", headers=key("k-3")).headers["version-token"] == f"{ID}@3"
    assert client.post(f"/orders/{ID}/ship", headers=key("k-4")).status_code == 200
    assert code(client.post(f"/orders/{ID}/cancel", json={"reason": "late"}, headers=key("k-5")), 409) == "wrong-status"
    assert events(lab) == ["OrderCreated", "OrderUpdated", "OrderPaid", "OrderShipped"]


def test_the_story_of_a_request_is_in_its_events_envelope(lab: Lab, client: httpx.Client) -> None:
    told = key("k-1", X_Correlation_Id="story-7", X_Causation_Id="message-3", traceparent=TRACE)
    answer = client.post("/orders", json=ORDER, headers=told)
    (event,) = handlers.history(lab.container("write-model", "command"), ID)
    assert (event.correlation_id, event.causation_id) == ("story-7", "message-3")
    assert event.metadata["traceparent"] == TRACE
    assert (event.event_id, answer.headers["x-correlation-id"]) == (answer.json()["eventId"], "story-7")


def test_a_request_sent_again_gets_the_first_answer_also_after_the_order_has_moved_on(
    lab: Lab, client: httpx.Client
) -> None:
    first = client.post("/orders", json=ORDER, headers=key("k-1"))
    client.post(f"/orders/{ID}/pay", headers=key("k-2"))
    again = client.post("/orders", json=ORDER, headers=key("k-1"))
    assert (again.status_code, again.content, again.headers["etag"]) == (201, first.content, '"1"')
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert code(client.post(f"/orders/{ID}/pay", headers=key("k-3")), 409) == "wrong-status"
    assert code(client.post(f"/orders/{ID}/ship", headers=key("k-2")), 409) == "key-reused"
    assert events(lab) == ["OrderCreated", "OrderPaid"]


def test_a_retry_under_if_match_is_not_stale_for_its_own_effect(lab: Lab, client: httpx.Client) -> None:
    client.post("/orders", json=ORDER, headers=key("k-1"))
    for replayed in (None, "true"):
        answer = client.post(f"/orders/{ID}/pay", headers=key("k-2", If_Match='"1"'))
        assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
        assert answer.headers.get("idempotency-replayed") == replayed
    assert code(client.post(f"/orders/{ID}/ship", headers=key("k-3", If_Match='"1"')), 412) == "stale"
    assert events(lab) == ["OrderCreated", "OrderPaid"]


def test_of_many_who_have_seen_one_version_exactly_one_changes_it(lab: Lab, client: httpx.Client) -> None:
    client.post("/orders", json=ORDER, headers=key("k-0"))

    def change(number: int) -> int:
        body = {"items": [ITEMS[0] | {"quantity": number}]}
        return client.patch(f"/orders/{ID}", json=body, headers=key(f"k-{number}", If_Match='"1"')).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(change, range(1, 9)))
    assert statuses == [200] + [412] * 7
    assert events(lab) == ["OrderCreated", "OrderUpdated"]


def test_one_wish_sent_by_twenty_at_once_has_one_effect_and_one_answer(lab: Lab, client: httpx.Client) -> None:
    at_once = threading.Barrier(20)

    def place(_: int) -> httpx.Response:
        at_once.wait()
        return client.post("/orders", json=ORDER, headers=key("k-1"))

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(place, range(20)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(201, answers[0].text)}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert events(lab) == ["OrderCreated"]


def test_one_key_for_twenty_other_wishes_at_once_carries_out_one_of_them(lab: Lab, client: httpx.Client) -> None:
    client.post("/orders", json=ORDER, headers=key("k-0"))
    at_once = threading.Barrier(20)

    def change(number: int) -> int:
        at_once.wait()
        body = {"items": [ITEMS[0] | {"quantity": number + 1}]}
        return client.patch(f"/orders/{ID}", json=body, headers=key("k-1")).status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(change, range(20)))
    assert statuses == [200] + [409] * 19
    assert events(lab) == ["OrderCreated", "OrderUpdated"]


def test_an_answer_that_the_database_lost_is_503_and_the_retry_tells_the_truth(lab: Lab, client: httpx.Client) -> None:
    fault = lab.faults.cosmos.drop_connection(after_commit=True, operation="batch", times=20)
    lost = client.post("/orders", json=ORDER, headers=key("k-1"))
    assert code(lost, 503) == "unavailable"
    assert "again" in lost.json()["detail"]
    assert lost.headers["retry-after"] == "1"
    assert fault.clear() >= 1
    again = client.post("/orders", json=ORDER, headers=key("k-1"))
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert events(lab) == ["OrderCreated"]


@pytest.mark.parametrize(
    ("status", "answered", "told"), [(429, 429, "busy"), (503, 503, "unavailable"), (500, 502, "upstream")]
)
def test_a_database_that_cannot_is_a_problem_of_its_own_kind(
    lab: Lab, client: httpx.Client, status: int, answered: int, told: str
) -> None:
    fault = lab.faults.cosmos.respond(status, operation="batch", times=50)
    answer = client.post("/orders", json=ORDER, headers=key("k-1"))
    assert code(answer, answered) == told
    assert fault.clear() >= 1
    assert client.post("/orders", json=ORDER, headers=key("k-1")).status_code == 201


def test_a_server_that_has_stopped_answers_no_more_and_stopping_twice_is_fine(lab: Lab, serving: Serving) -> None:
    assert httpx.get(f"{serving.url}/docs", timeout=60).status_code == 200
    serving.stop()
    serving.stop()
    assert serving.error is None
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{serving.url}/docs")


def test_a_request_under_way_is_answered_before_the_server_stops(lab: Lab, serving: Serving) -> None:
    arrived, release = threading.Event(), threading.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        arrived.set()
        await asyncio.to_thread(release.wait, 30)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    other = lab.serve(slow)
    with ThreadPoolExecutor(2) as pool:
        answer = pool.submit(httpx.get, other.url, timeout=60)
        assert arrived.wait(30)
        stopped = pool.submit(other.stop)
        release.set()
        stopped.result(60)
        assert answer.result(60).status_code == 204
