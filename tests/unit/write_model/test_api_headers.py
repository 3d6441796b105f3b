"""The headers of the command API: key, correlation, trace and condition; what is none is refused."""

from __future__ import annotations

import httpx
import pytest

from labkit.write_model.handler import Context
from tests.unit.write_model.command_requests import (
    ID,
    KEY,
    ORDER,
    TRACE,
    Scripted,
    problem,
)


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
