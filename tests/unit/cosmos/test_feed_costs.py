"""What a page of the change feed costs SQLite, in steps of its machine, whatever else the container holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from localazure.cosmos import feeds
from localazure.cosmos.partitioning import KeyDefinition, canonical
from localazure.cosmos.slices import AFTER_A_KEY

ITEMS = "/dbs/d/colls/items/docs"
STEP = 20
HASHED = KeyDefinition((("pk",),), "Hash", 2)


def fill(driver: Any, count: int) -> None:
    """`count` items of other keys, and one of the key "rare" after each sixth of them."""
    batch = {"x_ms_cosmos_is_batch_request": "True", "x_ms_cosmos_batch_atomic": "True"}
    for start in range(0, count, 60):
        key = f"p{start % 5}"
        many = [{"operationType": "Create", "resourceBody": {"id": f"{start + n}", "pk": key}} for n in range(60)]
        assert driver.call("POST", ITEMS, many, key=f'"{key}"', **batch).status == 200
        driver.time += 1000
        if start % (count // 6) == 0:
            rare = {"id": f"{start}", "pk": "rare"}
            assert driver.call("POST", ITEMS, rare, key='"rare"').status == 201
            driver.time += 1000


def steps_of(driver: Any, *, versions: bool = False, **asked: Any) -> tuple[list[bytes], int]:
    """The page, and how many steps SQLite took for it. `versions`: of all versions and deletes."""
    connection = driver.account.store.reader
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += STEP
        return 0

    container = driver.account.catalog.container("d", "items")
    everything = {"after_lsn": 0, "since": None, "most_items": 100, "slice": feeds.Slice("", "FF")}
    connection.set_progress_handler(count, STEP)
    try:
        if versions:
            page = feeds.versions_of(connection, container, asked["slice"], after_lsn=0, most_items=100)
        else:
            page = feeds.changes(connection, container.place, now=driver.time, **{**everything, **asked})
    finally:
        connection.set_progress_handler(None, 0)
    return page.bodies, steps


EPK = HASHED.effective_key(["rare"])
NARROW = {
    "a partition key": feeds.Slice(EPK, EPK + AFTER_A_KEY, canonical(["rare"])),
    "the feed range of a partition key": feeds.Slice(EPK, f"{int(EPK, 16) + 1:032X}"),
}


@pytest.mark.parametrize("what", NARROW)
def test_the_feed_of_one_key_costs_what_the_key_holds(make_driver: Callable[..., Any], what: str) -> None:
    costs = []
    for count in (360, 7200):
        driver = make_driver()
        fill(driver, count)
        found, steps = steps_of(driver, slice=NARROW[what])
        assert len(found) == 6
        costs.append(steps)
        driver.close()
    assert costs[1] < 1.5 * costs[0]


def test_all_versions_of_one_key_cost_what_the_key_had(make_driver: Callable[..., Any]) -> None:
    costs = []
    for count in (360, 7200):
        driver = make_driver(container={"changeFeedPolicy": {"retentionDuration": 10_000}})
        fill(driver, count)
        found, steps = steps_of(driver, versions=True, slice=NARROW["a partition key"])
        assert len(found) == 6
        costs.append(steps)
        driver.close()
    assert costs[1] < 1.5 * costs[0]


def test_the_feed_from_a_time_costs_what_came_later(make_driver: Callable[..., Any]) -> None:
    costs = []
    for count in (360, 7200):
        driver = make_driver()
        fill(driver, count)
        found, steps = steps_of(driver, since=driver.time - 1500)
        assert 1 <= len(found) <= 60
        costs.append(steps)
        driver.close()
    assert costs[1] < 2.5 * costs[0], "halving takes a few steps more in a longer history"


def test_a_key_that_holds_much_is_read_in_the_order_of_changes(make_driver: Callable[..., Any]) -> None:
    driver = make_driver()
    fill(driver, 3600)
    epk = HASHED.effective_key(["p0"])
    found, steps = steps_of(driver, slice=feeds.Slice(epk, epk + AFTER_A_KEY, canonical(["p0"])), most_items=10)
    assert (len(found), steps < 20 * 600) == (60, True)
    driver.close()


def test_the_feed_from_a_time_misses_nothing_when_the_clock_is_set_back(driver: Any) -> None:
    start = driver.time
    times = [0, 900, 400, 1000, 500, 1400, 1100, 2000]
    for index, seconds in enumerate(times):
        driver.time = start + seconds
        document = {"id": str(index), "pk": "a"}
        assert driver.call("POST", ITEMS, document, key='"a"').status == 201
    for since in range(0, 2100, 100):
        when = format_datetime(datetime.fromtimestamp(start + since, UTC), usegmt=True)
        answer = driver.call("GET", ITEMS, a_im="Incremental feed", if_modified_since=when)
        found = [] if answer.content is None else [int(item["id"]) for item in answer.content["Documents"]]
        assert found == [index for index, seconds in enumerate(times) if seconds >= since]
