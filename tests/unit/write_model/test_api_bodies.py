"""The bodies of the command API: which kinds and forms it takes, how long, and where it says what is wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from labkit.http_api import BODY_BYTES_AT_MOST
from labkit.write_model.orders import (
    LONGEST_PRODUCT_ID,
    MOST_ITEMS,
)
from tests.unit.write_model.command_requests import (
    ID,
    ITEMS,
    KEY,
    ORDER,
    Scripted,
    problem,
)


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
