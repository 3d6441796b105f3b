"""What the query API answers over HTTP, on tables and documents that a projector has made: rows, pages, tags, ages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import httpx
import pytest
from azure.cosmos.exceptions import CosmosHttpResponseError

from labkit.errors import RoleError
from labkit.lab import Lab
from labkit.projections.query_container import QueryContainer
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Synapse
from labkit.write_model.orders import CancelOrder, CreateOrder, Item, PayOrder, RegisterCustomer, ShipOrder
from tests.contract.query_api.asked import DAY, projected, shown_everywhere
from tests.contract.shop import Shop


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


def test_its_role_may_read_and_neither_write_nor_ask_the_hub(lab: Lab) -> None:
    with pytest.raises(CosmosHttpResponseError) as refused:
        lab.container("query-model", "query").upsert_item({"id": "x", "customerId": "customer-1"})
    assert refused.value.status_code == 403
    with pytest.raises(RoleError):
        lab.consumer("query")
    with pytest.raises(RoleError):
        lab.producer("query")


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
        with httpx.Client(base_url=serving.url, timeout=60) as client:
            assert client.get(f"/orders/{made[2].order_id}").json()["createdDay"] == "2026-01-03"
        serving.stop()
    assert handed
    assert all("created_day=2026-01-03" in file for file in handed)
