"""Who asks with a token: shown from when it is there, told what there is when it does not come, and not too many."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from labkit.lab import Lab
from labkit.write_model.orders import PayOrder
from tests.contract.query_api.asked import DAY, asking, problem, projected, shown_everywhere
from tests.contract.shop import PATIENCE_SECONDS, Shop


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
            before.wait(10 * PATIENCE_SECONDS)
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


def test_a_crowd_waits_and_those_who_do_not_wait_are_served(shop: Shop, lab: Lab) -> None:
    shown_everywhere(shop, projected(shop), shop.does(shop.created(1)))
    header = {"If-Version-At-Least": f"{shop.order(1)}@2"}
    with asking(lab, wait_at_most_seconds=2.0) as client, ThreadPoolExecutor(60) as callers:
        waits = [callers.submit(client.get, f"/orders/{shop.order(1)}", headers=header) for _ in range(60)]
        served = client.get(f"/orders/{shop.order(1)}")
        statuses = sorted(each.result().status_code for each in waits)
    assert served.status_code == 200
    assert statuses == [504] * 60
