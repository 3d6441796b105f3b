"""The query API, asked over HTTP as its callers do, on tables and documents that a projector has made."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from azure.cosmos.exceptions import CosmosHttpResponseError

from labkit.errors import RoleError
from labkit.gateway import Gateway
from labkit.lab import Lab, open_lab
from labkit.projections import pointer
from labkit.projections.pointer import Pointer
from labkit.projections.projector import Projector
from labkit.projections.query_container import QueryContainer
from labkit.read_queries import api, waiting
from labkit.read_queries.api import query_app
from labkit.read_queries.kept import Kept
from labkit.read_queries.synapse import Hub, Synapse
from labkit.settings import embedded
from labkit.write_model.api import command_app
from labkit.write_model.orders import CancelOrder, CreateOrder, Item, PayOrder, RegisterCustomer, ShipOrder
from localazure.handle import LocalAzure
from tests.contract.shop import PATIENCE_SECONDS, Shop, Side, opened

DAY = {"from": "2026-01-05", "to": "2026-01-05"}


@pytest.fixture
def lab(azure: LocalAzure, tmp_path: Path) -> Iterator[Lab]:
    with open_lab("04", partitions=2, target=embedded(azure, tmp_path)) as one:
        yield one


@pytest.fixture
def shop(lab: Lab) -> Iterator[Shop]:
    with opened(Side(lab), Path(lab.tables_url)) as one:
        yield one


@contextmanager
def asking(lab: Lab, wait_at_most_seconds: float = PATIENCE_SECONDS) -> Iterator[httpx.Client]:
    """The API with the rights of its role, behind the gateway."""
    hub = Hub(lab.hub, lab.partition_ids)
    with Synapse(lab.tables_url, hub=hub) as synapse:
        container = QueryContainer(lab.container("query-model", "query"))
        query = query_app(synapse, container, lab.hub, wait_at_most_seconds=wait_at_most_seconds)
        command = command_app(Side(lab).handler)
        serving = lab.serve(Gateway(query=query, command=command))
        with httpx.Client(base_url=serving.url, timeout=60) as client:
            yield client
        serving.stop()


@pytest.fixture
def client(lab: Lab) -> Iterator[httpx.Client]:
    with asking(lab) as one:
        yield one


def projected(shop: Shop) -> Projector:
    container = QueryContainer(shop.lab.container("query-model", "projector"))
    return shop.projector(query_container=container)  # type: ignore[arg-type]


def shown_everywhere(shop: Shop, projector: Projector, token: str) -> None:
    """Wait for the tables; stopping writes the rest into the query container."""
    projector.wait_until_visible(token, PATIENCE_SECONDS)
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    projector.stop()


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["code"] == code
    assert told["detail"]
    return told


def since(answer: httpx.Response) -> float:
    """Seconds between what the answer says it shows and now, by this test's clock."""
    as_of = datetime.fromisoformat(answer.headers["read-model-as-of"])
    return (datetime.now(UTC) - as_of).total_seconds()


def test_one_order_is_told_with_its_customers_name_its_version_and_how_old_that_may_be(
    shop: Shop, client: httpx.Client
) -> None:
    token = shop.does(RegisterCustomer("customer-1", "Zoë"), shop.created(1), PayOrder(shop.order(1)))
    shown_everywhere(shop, projected(shop), token)
    answer = client.get(f"/orders/{shop.order(1)}")
    told = answer.json()
    (row,) = shop.tables()["orders"]
    assert told == {
        "orderId": shop.order(1),
        "customerId": "customer-1",
        "customerName": "Zoë",
        "status": "Paid",
        "itemCount": 1,
        "total": "25.00",
        "createdAt": row["created_at"].isoformat().replace("+00:00", "Z"),  # type: ignore[attr-defined]
        "updatedAt": row["updated_at"].isoformat().replace("+00:00", "Z"),  # type: ignore[attr-defined]
        "version": 2,
        "createdDay": "2026-01-05",
    }
    (in_the_container,) = client.get("/customers/customer-1/orders").json()["orders"]
    assert in_the_container == {name: value for name, value in told.items() if name != "customerName"}
    assert (answer.headers["etag"], answer.headers["version-token"]) == ('"2"', token)
    assert 0 <= float(answer.headers["staleness-seconds"]) <= since(answer)
    ends = shop.ends()
    positions = {f"{table}/{part}={ends[part]}" for table in ("orders", "customers") for part in ends}
    assert set(answer.headers["read-model-positions"].split(", ")) == positions
    assert {part.partition("=")[0] for part in answer.headers["read-model-versions"].split(", ")} == {
        "orders",
        "customers",
    }


def test_a_caller_that_has_the_answer_gets_304_until_order_or_name_change(shop: Shop, client: httpx.Client) -> None:
    projector, address = projected(shop), f"/orders/{shop.order(1)}"
    seen = client.get(address, headers={"If-Version-At-Least": shop.does(shop.created(1))})
    assert (seen.headers["etag"], seen.json()["customerName"]) == ('"1.0"', None)
    same = client.get(address, headers={"If-None-Match": f'"x", W/{seen.headers["etag"]}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", '"1.0"')
    assert float(same.headers["staleness-seconds"]) >= 0
    token = shop.does(RegisterCustomer("customer-1", "Ada"))
    named = client.get(address, headers={"If-None-Match": '"1.0"', "If-Version-At-Least": token})
    assert (named.status_code, named.headers["etag"], named.json()["customerName"]) == (200, '"1"', "Ada")
    paid = client.get(
        address, headers={"If-None-Match": '"1"', "If-Version-At-Least": shop.does(PayOrder(shop.order(1)))}
    )
    assert (paid.status_code, paid.headers["etag"]) == (200, '"2"')
    assert client.get(address, headers={"If-None-Match": "*"}).status_code == 304
    assert projector.error is None


@pytest.mark.parametrize("registered", [False, True])
def test_the_etag_of_a_read_is_what_a_command_takes_in_if_match(
    registered: bool, shop: Shop, client: httpx.Client
) -> None:
    projected(shop)
    token = shop.does(*([RegisterCustomer("customer-1", "Ada")] if registered else []), shop.created(1))
    address = f"/orders/{shop.order(1)}"
    etag = client.get(address, headers={"If-Version-At-Least": token}).headers["etag"]
    for key, status in (("k-1", 200), ("k-2", 412)):
        pay = client.post(f"{address}/pay", headers={"Idempotency-Key": key, "If-Match": etag})
        assert pay.status_code == status, pay.text


def test_a_write_is_read_by_its_token_from_every_answer_while_the_projector_comes_up(shop: Shop, lab: Lab) -> None:
    token = shop.does(shop.created(1))
    header = {"If-Version-At-Least": token}
    addresses = [
        f"/orders/{shop.order(1)}",
        "/orders?from=2026-01-05&to=2026-01-05",
        "/customers/customer-1/orders",
        "/metrics/daily?from=2026-01-05&to=2026-01-05",
    ]
    with asking(lab) as client, ThreadPoolExecutor(4) as callers:
        without = client.get(addresses[0])
        waiting = [callers.submit(client.get, address, headers=header) for address in addresses]
        projected(shop)
        order, orders, of_customer, figures = (each.result() for each in waiting)
    assert problem(without, 404, "not-found")
    assert order.json()["version"] == 1
    assert [one["orderId"] for one in orders.json()["orders"]] == [shop.order(1)]
    assert [one["orderId"] for one in of_customer.json()["orders"]] == [shop.order(1)]
    assert figures.json()["days"][0]["revenue"] == "25.00"


def test_a_write_that_does_not_come_in_time_is_504_with_what_there_is(shop: Shop, lab: Lab) -> None:
    shown_everywhere(shop, projected(shop), shop.does(shop.created(1)))
    late = {"If-Version-At-Least": shop.does(PayOrder(shop.order(1)))}
    unborn = {"If-Version-At-Least": f"{shop.order(2)}@1"}
    with asking(lab, wait_at_most_seconds=0.2) as client:
        one = problem(client.get(f"/orders/{shop.order(1)}", headers=late), 504, "not-yet-visible")
        none = problem(client.get(f"/orders/{shop.order(2)}", headers=unborn), 504, "not-yet-visible")
        listed = problem(client.get("/orders", params=DAY, headers=late), 504, "not-yet-visible")
        of_customer = problem(client.get("/customers/customer-1/orders", headers=late), 504, "not-yet-visible")
        figures = problem(client.get("/metrics/daily", params=DAY, headers=late), 504, "not-yet-visible")
        stale = client.get("/metrics/daily", params=DAY, headers=late)
    assert (one["has"]["version"], one["has"]["status"], one["has"]["total"]) == (1, "Created", "25.00")
    assert none["has"] is None
    assert [found["version"] for found in listed["has"]["orders"]] == [1]
    assert [found["version"] for found in of_customer["has"]["orders"]] == [1]
    assert figures["has"]["days"][0]["orders"] == 1
    assert float(stale.headers["staleness-seconds"]) >= 0


def test_the_figures_wait_for_their_own_table_and_not_for_the_orders(
    shop: Shop, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders are committed first. Between the two commits a reader of the figures must not be told that it is there."""
    before, commit = threading.Event(), type(shop.store)._commit

    def slow(self: Any, model: Any, *rest: Any) -> None:
        if model.name == "daily_order_metrics":
            before.wait(PATIENCE_SECONDS)
        commit(self, model, *rest)

    monkeypatch.setattr(type(shop.store), "_commit", slow)
    token = shop.does(shop.created(1))
    projected(shop)
    with asking(lab, wait_at_most_seconds=0.3) as client:
        seen = client.get("/orders", params=DAY, headers={"If-Version-At-Least": token})
        while seen.status_code != 200:
            seen = client.get("/orders", params=DAY, headers={"If-Version-At-Least": token})
        early = client.get("/metrics/daily", params=DAY, headers={"If-Version-At-Least": token})
        before.set()
    with asking(lab) as client:
        then = client.get("/metrics/daily", params=DAY, headers={"If-Version-At-Least": token})
    assert problem(early, 504, "not-yet-visible")["has"] == {"days": []}
    assert then.json()["days"][0]["orders"] == 1


def test_the_tables_are_asked_by_as_many_at_once_as_there_are_processors_and_the_query_container_beside_them(
    shop: Shop, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = shop.does(shop.created(1))
    shown_everywhere(shop, projected(shop), token)
    processors, inside, most, lock = os.cpu_count() or 1, [0], [0], threading.Lock()
    all_came, go_on, arrivals, answer, told_once = threading.Event(), threading.Event(), [0], Kept.answer, api.told_once

    def arrived(*which: Any) -> None:
        arrivals[0] += 1
        if arrivals[0] == 3 * processors:
            all_came.set()
        told_once(*which)

    def held(self: Kept, question: Any) -> Any:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        go_on.wait(PATIENCE_SECONDS)
        with lock:
            inside[0] -= 1
        return answer(self, question)

    monkeypatch.setattr(api, "told_once", arrived)
    monkeypatch.setattr(Kept, "answer", held)
    with ThreadPoolExecutor(3 * processors) as callers:
        asked = [callers.submit(client.get, f"/orders/{token.split('@')[0]}") for _ in range(3 * processors)]
        assert all_came.wait(PATIENCE_SECONDS)
        assert client.get("/customers/customer-1/orders").status_code == 200
        go_on.set()
        assert {one.result().status_code for one in asked} == {200}
    assert most == [processors]


def all_pages(client: httpx.Client, address: str, size: int) -> list[list[str]]:
    """Followed by the link of each answer, as a caller that knows nothing of ids would."""
    read, target = [], f"{address}{'&' if '?' in address else '?'}size={size}"
    while target:
        answer = client.get(target)
        read.append([one["orderId"] for one in answer.json()["orders"]])
        target = answer.links.get("next", {}).get("url", "")
        assert bool(target) == (answer.json()["next"] is not None)
    return read


def test_pages_follow_each_other_by_their_links_and_an_order_made_meanwhile_moves_none(
    shop: Shop, client: httpx.Client
) -> None:
    orders = [f"order-202601{day:02}-{shop.name}-{n}" for day in (4, 5, 6) for n in range(3)]
    item = (Item("tea", 2, Decimal("12.50")),)
    made = [CreateOrder(name, "customer-1", item, backfill=True) for name in orders]
    shown_everywhere(shop, projected(shop), shop.does(*made, CancelOrder(orders[4], "no")))
    for address in ("/orders?from=2026-01-01&to=2026-01-31", "/customers/customer-1/orders"):
        assert all_pages(client, address, 4) == [orders[:4], orders[4:8], orders[8:]]
        assert all_pages(client, address, 3) == [orders[:3], orders[3:6], orders[6:], []]
    assert all_pages(client, "/orders?from=2026-01-05&to=2026-01-05&status=Cancelled", 5) == [[orders[4]]]
    assert all_pages(client, "/customers/customer-2/orders", 5) == [[]]
    figures = client.get("/metrics/daily", params={"from": "2026-01-05", "to": "2026-01-06"}).json()["days"]
    assert figures[0] == {
        "day": "2026-01-05", "orders": 3, "cancelled": 1, "revenue": "50.00", "averageOrderValue": "25.00",
        "distinctCustomers": 1,
    }  # fmt: skip
    assert len(figures) == 2


def test_a_list_has_the_etag_of_its_content_and_head_is_get_without_a_body(shop: Shop, client: httpx.Client) -> None:
    shown_everywhere(shop, projected(shop), shop.does(shop.created(1)))
    for address in ("/orders?from=2026-01-05&to=2026-01-05", "/customers/customer-1/orders",
                    "/metrics/daily?from=2026-01-05&to=2026-01-05"):  # fmt: skip
        first, head = client.get(address), client.head(address)
        again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
        assert (first.status_code, head.status_code, again.status_code) == (200, 200, 304)
        assert first.headers["etag"] == head.headers["etag"] == again.headers["etag"]
        assert head.content == again.content == b""
    shown_everywhere(shop, projected(shop), shop.does(PayOrder(shop.order(1)), ShipOrder(shop.order(1))))
    changed = client.get("/orders", params=DAY, headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200


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
        while not done.is_set():
            seen += [client.get(f"/orders/{shop.order(1)}").status_code,
                     client.get("/metrics/daily", params=DAY).status_code]  # fmt: skip
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


def test_only_so_many_wait_and_those_who_do_not_wait_are_served(
    shop: Shop, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "WAITING_AT_MOST", 50)
    shown_everywhere(shop, projected(shop), shop.does(shop.created(1)))
    header = {"If-Version-At-Least": f"{shop.order(1)}@2"}
    with asking(lab, wait_at_most_seconds=2.0) as client, ThreadPoolExecutor(60) as callers:
        waits = [callers.submit(client.get, f"/orders/{shop.order(1)}", headers=header) for _ in range(60)]
        served = client.get(f"/orders/{shop.order(1)}")
        statuses = sorted(each.result().status_code for each in waits)
    assert served.status_code == 200
    assert statuses == [429] * 10 + [504] * 50


def test_its_role_may_read_and_neither_write_nor_ask_the_hub(lab: Lab) -> None:
    with pytest.raises(CosmosHttpResponseError) as refused:
        lab.container("query-model", "query").upsert_item({"id": "x", "customerId": "customer-1"})
    assert refused.value.status_code == 403
    with pytest.raises(RoleError):
        lab.consumer("query")
    with pytest.raises(RoleError):
        lab.producer("query")


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


def test_the_day_before_yesterday_is_no_reason_to_look_at_other_files(
    shop: Shop, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the files of the id's day are handed to the engine."""
    item = (Item("tea", 1, Decimal("1.00")),)
    days = [date(2026, 1, 5) - timedelta(days=n) for n in range(4)]
    made = [CreateOrder(f"order-{day:%Y%m%d}-{shop.name}", "customer-1", item, backfill=True) for day in days]
    shown_everywhere(shop, projected(shop), shop.does(*made))
    handed: list[str] = []
    with Synapse(lab.tables_url) as synapse:
        run = Synapse._run

        def noting(self: Synapse, question: Any, tables: Any, parameters: Any, of_days: Any) -> Any:
            with duckdb.connect() as cursor:
                handed.extend(question.bound(cursor, tables, of_days)[1]["files_of_orders"])
            return run(self, question, tables, parameters, of_days)

        monkeypatch.setattr(Synapse, "_run", noting)
        app = query_app(synapse, QueryContainer(lab.container("query-model", "query")), lab.hub)
        serving = lab.serve(app)
        with httpx.Client(base_url=serving.url) as client:
            assert client.get(f"/orders/{made[2].order_id}").json()["createdDay"] == "2026-01-03"
        serving.stop()
    assert handed
    assert all("created_day=2026-01-03" in file for file in handed)
