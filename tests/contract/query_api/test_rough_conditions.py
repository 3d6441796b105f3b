"""No tables yet, damaged ones, a rebuild under way, a database that does not answer, more callers than processors."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from labkit.lab import Lab, open_lab
from labkit.projections import pointer
from labkit.projections.pointer import Pointer
from labkit.read_queries import api
from labkit.read_queries.kept import Kept
from labkit.settings import embedded
from localazure.handle import LocalAzure
from tests.contract.query_api.asked import DAY, asking, problem, projected, shown_everywhere
from tests.contract.shop import PATIENCE_SECONDS, Shop, Side, opened


def test_the_tables_are_asked_by_as_many_at_once_as_there_are_processors_and_the_query_container_beside_them(
    shop: Shop, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = shop.does(shop.created(1))
    shown_everywhere(shop, projected(shop), token)
    processors, inside, most, lock = os.cpu_count() or 1, [0], [0], threading.Lock()
    all_came, all_inside, go_on = threading.Event(), threading.Event(), threading.Event()
    arrivals, answer, answered = [0], Kept.answer, api.answered

    async def arrived(*which: Any, **more: Any) -> Any:
        arrivals[0] += 1
        if arrivals[0] == 3 * processors:
            all_came.set()
        return await answered(*which, **more)

    def held(self: Kept, question: Any) -> Any:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            if inside[0] == processors:
                all_inside.set()
        go_on.wait(PATIENCE_SECONDS)
        with lock:
            inside[0] -= 1
        return answer(self, question)

    monkeypatch.setattr(api, "answered", arrived)
    monkeypatch.setattr(Kept, "answer", held)
    with ThreadPoolExecutor(3 * processors) as callers:
        asked = [callers.submit(client.get, f"/orders/{token.split('@')[0]}") for _ in range(3 * processors)]
        assert all_came.wait(PATIENCE_SECONDS)
        assert all_inside.wait(PATIENCE_SECONDS)
        assert client.get("/customers/customer-1/orders").status_code == 200
        go_on.set()
        assert {one.result().status_code for one in asked} == {200}
    assert most == [processors]


def test_before_there_are_tables_the_answer_says_so_and_the_query_container_is_empty(lab: Lab) -> None:
    with asking(lab) as client:
        for address in ("/orders/order-20260105-1", "/orders?from=2026-01-05&to=2026-01-05",
                        "/metrics/daily?from=2026-01-05&to=2026-01-05"):  # fmt: skip
            answer = client.get(address)
            problem(answer, 503, "no-tables")
            assert answer.headers["retry-after"] == "1"
        empty = client.get("/customers/customer-1/orders")
    assert (empty.json(), empty.headers["staleness-seconds"]) == ({"orders": [], "next": None}, "unknown")


def test_tables_that_cannot_be_read_are_503_and_nothing_of_the_machine_is_told(
    shop: Shop, client: httpx.Client, lab: Lab
) -> None:
    shown_everywhere(shop, projected(shop), shop.does(shop.created(1)))
    for file in Path(lab.tables_url, "orders").rglob("*.parquet"):
        file.write_bytes(b"PAR1 no longer PAR1")
    answer = client.get(f"/orders/{shop.order(1)}")
    problem(answer, 503, "unavailable")
    assert lab.tables_url not in answer.text
    assert client.get("/metrics/daily", params=DAY).status_code == 200
    for torn in ("{", '{"current": "gone"}'):
        Path(lab.tables_url, "current.json").write_text(torn, encoding="utf-8")
        answer = client.get("/metrics/daily", params=DAY)
        assert answer.status_code == 503, answer.text
        assert lab.tables_url not in answer.text
    Path(lab.tables_url, "current.json").unlink()
    assert client.get("/metrics/daily", params=DAY).status_code == 200


def test_answers_go_on_while_a_rebuild_switches_tables_and_deletes_the_old_ones(
    shop: Shop, client: httpx.Client, lab: Lab
) -> None:
    shown_everywhere(shop, projected(shop), shop.does(shop.created(1)))
    root, done = Path(lab.tables_url), threading.Event()

    def ask() -> list[int]:
        seen = []
        while True:
            seen += [client.get(f"/orders/{shop.order(1)}").status_code,
                     client.get("/metrics/daily", params=DAY).status_code]  # fmt: skip
            if done.is_set():
                return seen

    tables = [path.name for path in root.iterdir() if path.is_dir()]
    with ThreadPoolExecutor(2) as callers:
        asking_now = [callers.submit(ask) for _ in range(2)]
        kept, before = "none yet", ""
        for number in range(5):
            for name in tables:
                shutil.copytree(root / before / name, root / f"rebuilt-{number}" / name)
            pointer.write(str(root), Pointer(f"rebuilt-{number}", before))
            for name in tables:
                shutil.rmtree(root / kept / name, ignore_errors=True)
            kept, before = before, f"rebuilt-{number}"
        done.set()
        statuses = [status for each in asking_now for status in each.result()]
    assert len(statuses) >= 4
    assert set(statuses) == {200}


def test_a_database_that_does_not_answer_is_503_and_the_tables_answer_on(own_azure: LocalAzure, tmp_path: Path) -> None:
    with (
        open_lab("04", partitions=1, target=embedded(own_azure, tmp_path)) as lab,
        opened(Side(lab), Path(lab.tables_url)) as shop,
    ):
        shown_everywhere(shop, projected(shop), shop.does(shop.created(1)))
        with asking(lab) as client:
            for status, expected, code in ((503, 503, "unavailable"), (429, 429, "busy"), (403, 502, "upstream")):
                fault = own_azure.faults.cosmos.respond(status, operation="query", container="query-model", times=100)
                problem(client.get("/customers/customer-1/orders"), expected, code)
                fault.clear()
                assert client.get("/metrics/daily", params=DAY).status_code == 200
            assert len(client.get("/customers/customer-1/orders").json()["orders"]) == 1
