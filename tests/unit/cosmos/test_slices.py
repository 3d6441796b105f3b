"""A plain read over several physical partitions: range by range, whatever happens to the ranges meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ITEMS = "/dbs/d/colls/items"


@pytest.fixture
def driver(make_front: Callable[..., Any]) -> Any:
    """Thirty items in a container of two physical partitions."""
    front = make_front()
    front.container(x_ms_offer_throughput="20000")
    for index in range(30):
        document = {"id": str(index), "pk": f"p{index}"}
        assert front.call("POST", f"{ITEMS}/docs", document, key=f'"p{index}"').status == 201
    return front


def split_to(front: Any, request_units: int) -> None:
    offer = front.call("GET", "/offers").content["Offers"][0]
    offer["content"]["offerThroughput"] = request_units
    assert front.call("PUT", f"/offers/{offer['id']}", offer).status == 200


def read_all(front: Any, between: Callable[[int], None] = lambda page: None, **headers: str) -> list[tuple[str, str]]:
    """Range and id of every item, three to a page; `between` is called after each."""
    found: list[tuple[str, str]] = []
    token: dict[str, str] = {}
    page = 0
    while True:
        answer = front.call("GET", f"{ITEMS}/docs", x_ms_max_item_count="3", **headers, **token)
        assert answer.status == 200
        at = answer.headers["x-ms-documentdb-partitionkeyrangeid"]
        found += [(at, item["id"]) for item in answer.content["Documents"]]
        if "x-ms-continuation" not in answer.headers:
            return found
        token = {"x_ms_continuation": answer.headers["x-ms-continuation"]}
        between(page)
        page += 1


def test_each_page_comes_from_one_range_in_the_order_of_creation(driver: Any) -> None:
    found = read_all(driver)
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert sorted(int(id) for _, id in found) == list(range(30))
    for at in "01":
        own = [int(id) for range_id, id in found if range_id == at]
        assert own == sorted(own)
        assert read_all(driver, x_ms_documentdb_partitionkeyrangeid=at) == [entry for entry in found if entry[0] == at]


def test_a_range_may_be_named_with_its_container_before_it(driver: Any) -> None:
    assert read_all(driver, x_ms_documentdb_partitionkeyrangeid="AAAAAQAAAAE=,1") == [
        entry for entry in read_all(driver) if entry[0] == "1"
    ]


@pytest.mark.parametrize("pages", [0, 1, 2, 6])
def test_a_split_in_the_midst_of_a_read_loses_nothing_and_tells_nothing_twice(driver: Any, pages: int) -> None:
    def split(page: int) -> None:
        if page == pages:
            split_to(driver, 40_000)
        if page == pages + 2:
            split_to(driver, 80_000)

    found = read_all(driver, split)
    assert sorted(int(id) for _, id in found) == list(range(30))
    assert len({at for at, _ in found}) > 2


@pytest.mark.parametrize(
    "token", ["5", "5:", "x::FF", "5:zz:FF", "5::FF,", "5:FF:FF", "5:40:20", f"{'1' * 19}::FF", "²::FF", "5::FF!FF"]
)
def test_a_continuation_that_no_read_gave_is_400(driver: Any, token: str) -> None:
    line = {"x_ms_continuation": token}
    assert driver.call("GET", f"{ITEMS}/docs", **line).status == 400


def test_a_continuation_of_another_range_is_400(driver: Any) -> None:
    token = driver.call("GET", f"{ITEMS}/docs", x_ms_max_item_count="1").headers["x-ms-continuation"]
    other = {"x_ms_documentdb_partitionkeyrangeid": "1", "x_ms_continuation": token}
    assert driver.call("GET", f"{ITEMS}/docs", **other).status == 400


@pytest.mark.parametrize("name", ["x_ms_start_epk", "x_ms_end_epk"])
def test_a_bound_that_is_no_effective_partition_key_is_400(driver: Any, name: str) -> None:
    for feed in ({}, {"a_im": "Incremental feed"}):
        assert driver.call("GET", f"{ITEMS}/docs", **feed, **{name: "zz"}).status == 400
        assert driver.call("GET", f"{ITEMS}/docs", **feed, **{name: "2F"}).status == 200
    query = {"x_ms_documentdb_isquery": "True", "x_ms_documentdb_partitionkeyrangeid": "0"}
    asked = {"query": "SELECT VALUE c.id FROM c"}
    assert driver.call("POST", f"{ITEMS}/docs", asked, **query, **{name: "zz"}).status == 400
    upper, lower = (
        driver.call("POST", f"{ITEMS}/docs", asked, **query, **{name: bound}).content["Documents"]
        for bound in ("1A", "1a")
    )
    assert 0 < len(upper) == len(lower) < 30
