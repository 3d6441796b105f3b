"""The orders by customer in Cosmos DB: never older than what is there, never ahead of its positions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.cosmos import ContainerProxy

from labkit.lab import Lab, open_lab
from labkit.projections.projector import Projector
from labkit.projections.query_container import POSITIONS_OF, QueryContainer, QueryFeed, document
from labkit.projections.read_store import Batch
from labkit.projections.rows import OrderRow
from labkit.settings import embedded
from labkit.write_model.orders import CancelOrder, PayOrder, ShipOrder
from localazure.handle import LocalAzure
from tests.contract.shop import PATIENCE_SECONDS, Shop, Side, opened

NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture
def lab(azure: LocalAzure, tmp_path: Path) -> Iterator[Lab]:
    with open_lab("03", partitions=1, target=embedded(azure, tmp_path)) as one:
        yield one


@pytest.fixture
def container(lab: Lab) -> ContainerProxy:
    return lab.container("query-model", "projector")


@pytest.fixture
def shop(lab: Lab, tmp_path: Path) -> Iterator[Shop]:
    with opened(Side(lab), tmp_path / "tables") as one:
        yield one


def order(number: int, version: int = 1, customer: str = "customer-a") -> OrderRow:
    return OrderRow(f"order-20260105-{number}", customer, "Created", 1, Decimal("10.50"), NINE, NINE, version)


def shown(container: ContainerProxy, customer: str) -> dict[str, int]:
    found = container.query_items("SELECT * FROM c", partition_key=customer)
    return {one["id"]: one.get("version", 0) for one in found}


def test_an_order_is_found_by_its_customer_with_money_to_the_cent(container: ContainerProxy) -> None:
    assert QueryContainer(container).write([order(1), order(2, customer="customer-b")]) == 2
    (found,) = container.query_items("SELECT * FROM c", partition_key="customer-a")
    assert found.items() >= document(order(1)).items()
    assert (found["total"], found["createdDay"]) == ("10.50", "2026-01-05")


def test_only_what_is_newer_is_written(container: ContainerProxy) -> None:
    query = QueryContainer(container)
    assert query.write([order(1, 3), order(2, 1)]) == 2
    assert query.write([order(1, 2), order(2, 2), order(3, 1)]) == 2
    assert query.write([order(1, 2), order(2, 2), order(3, 1)]) == 0
    assert shown(container, "customer-a") == {"order-20260105-1": 3, "order-20260105-2": 2, "order-20260105-3": 1}


def test_more_orders_of_a_customer_than_one_batch_takes(container: ContainerProxy) -> None:
    assert QueryContainer(container).write(order(number) for number in range(205)) == 205
    assert len(shown(container, "customer-a")) == 205


class Interfered(QueryContainer):
    """Somebody else writes between the look and the batch, once."""

    def __init__(self, container: ContainerProxy, rows: list[OrderRow]) -> None:
        super().__init__(container)
        self.rows = rows

    def _operations(self, customer: str, rows: Any) -> list[tuple[Any, ...]]:
        found = super()._operations(customer, rows)
        others, self.rows = self.rows, []
        QueryContainer(self._container).write(others)
        return found


@pytest.mark.parametrize(("there", "other", "shows"), [([], 5, 5), ([1], 5, 5), ([1], 2, 3), ([], 1, 3)])
def test_of_two_writers_the_newer_version_stays(
    container: ContainerProxy, there: list[int], other: int, shows: int
) -> None:
    QueryContainer(container).write(order(1, version) for version in there)
    Interfered(container, [order(1, other)]).write([order(1, 3)])
    assert shown(container, "customer-a") == {"order-20260105-1": shows}


def test_positions_follow_the_rows_and_an_order_that_changes_fast_is_written_once(container: ContainerProxy) -> None:
    query = QueryContainer(container)
    assert query.came_to("hub") == ({}, None)
    feed = QueryFeed(query, "hub", {"0": -1})
    feed.offer([order(1, 1)], {"0": 0})
    feed.offer([order(1, 2)], {"0": 1, "1": 7})
    feed.close()
    assert query.came_to("hub")[0] == {"0": 1, "1": 7}
    assert shown(container, "customer-a") == {"order-20260105-1": 2}
    assert shown(container, POSITIONS_OF).keys() == {"positions-hub"}


def test_an_order_offered_behind_the_positions_is_written_too(container: ContainerProxy) -> None:
    feed = QueryFeed(QueryContainer(container), "hub", {"0": 10})
    feed.offer([order(1, 1)], {"0": 7})
    feed.close()
    assert shown(container, "customer-a") == {"order-20260105-1": 1}


def test_what_the_feed_cannot_write_is_told_to_who_offers(container: ContainerProxy) -> None:
    class Broken(QueryContainer):
        def write(self, rows: object) -> int:
            raise RuntimeError("no")

    feed = QueryFeed(Broken(container), "hub", {})
    feed.offer([order(1)], {"0": 0})
    with pytest.raises(RuntimeError, match="no"):
        feed.close()
    with pytest.raises(RuntimeError, match="no"):
        feed.offer([order(2)], {"0": 1})
    assert QueryContainer(container).came_to("hub") == ({}, None)


def agrees(shop: Shop, container: ContainerProxy) -> bool:
    rows = shop.tables()["orders"]
    assert rows
    return {row["order_id"]: row["version"] for row in rows} == shown(container, "customer-1")


def test_the_projector_feeds_it_with_the_orders_of_its_tables(shop: Shop, container: ContainerProxy) -> None:
    projector = shop.projector(query_container=QueryContainer(container))  # type: ignore[arg-type]
    token = shop.does(shop.created(1), shop.created(2), PayOrder(shop.order(1)))
    projector.wait_until_visible(token, PATIENCE_SECONDS)
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    projector.stop()
    assert QueryContainer(container).came_to(shop.lab.hub)[0] == shop.ends()
    assert agrees(shop, container)
    (paid,) = container.query_items(
        "SELECT * FROM c WHERE c.id = @id",
        parameters=[{"name": "@id", "value": shop.order(1)}],
        partition_key="customer-1",
    )
    assert (paid["status"], paid["total"], paid["version"]) == ("Paid", "25.00", 2)


def test_behind_the_tables_it_catches_up_from_its_own_positions(
    shop: Shop, container: ContainerProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = QueryContainer(container)
    first = shop.projector(query_container=query)  # type: ignore[arg-type]
    first.wait_until_visible(shop.does(shop.created(1), shop.created(2)), PATIENCE_SECONDS)
    first.stop()

    def killed(self: QueryContainer, rows: object) -> int:
        raise RuntimeError("killed between the tables and the container")

    token = shop.does(PayOrder(shop.order(1)), CancelOrder(shop.order(2), "late"), shop.created(3))
    with monkeypatch.context() as patch:
        patch.setattr(QueryContainer, "write", killed)
        all_at_once = {"commit_events": 3, "commit_interval_seconds": PATIENCE_SECONDS}
        dead = shop.projector(query_container=query, **all_at_once)  # type: ignore[arg-type]
        dead.wait_until_visible(token, PATIENCE_SECONDS)
        dead.stop()
    assert isinstance(dead.error, RuntimeError)
    assert not agrees(shop, container)
    following = shop.projector(query_container=query)  # type: ignore[arg-type]
    following.wait_until_visible(shop.does(ShipOrder(shop.order(1))), PATIENCE_SECONDS)
    following.stop()
    assert agrees(shop, container)
    assert query.came_to(shop.lab.hub)[0] == shop.ends()


def test_a_container_that_knows_nothing_is_filled_from_the_table(shop: Shop, container: ContainerProxy) -> None:
    old = msgspec.structs.replace(order(9, 4), customer_id="customer-1")
    shop.store.commit(Batch("another hub", {"0": 1}, [old], {old.created_day}))
    projector: Projector = shop.projector(query_container=QueryContainer(container))  # type: ignore[arg-type]
    projector.wait_until_visible(shop.does(shop.created(1)), PATIENCE_SECONDS)
    projector.stop()
    assert shown(container, "customer-1") == {old.order_id: 4, shop.order(1): 1}
