"""Who pays: each request is charged to the physical partition that served it, under a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localazure.cosmos.partitioning import KeyDefinition
from localazure.cosmos.ranges import equal_slices, partition_of
from localazure.fault_book import FOREVER

ITEMS = "/dbs/d/colls/items/docs"
LARGE = "x" * 1_000_000
"""A page that holds one such item costs about 100 RU."""


def keys_of(ranges: int) -> list[str]:
    """A partition key value for each of so many physical partitions, in their order."""
    definition = KeyDefinition.from_json({"paths": ["/pk"], "kind": "Hash", "version": 2})
    found: dict[str, str] = {}
    index = 0
    while len(found) < ranges:
        key = f"p{index}"
        found.setdefault(partition_of(equal_slices(ranges), definition.effective_key([key])).id, key)
        index += 1
    return [found[str(number)] for number in range(ranges)]


FIRST, SECOND = keys_of(2)


def enforce(front: Any) -> Any:
    return front.faults.arm("cosmos", "enforce_throughput", FOREVER, {}, {})


def write(front: Any, key: str, id: str = "1", items: str = ITEMS, **fields: Any) -> int:
    headers = {"key": f'"{key}"', "x_ms_documentdb_is_upsert": "True"}
    status: int = front.call("POST", items, {"id": id, "pk": key, **fields}, **headers).status
    return status


@pytest.fixture
def halves(make_front: Callable[..., Any]) -> Any:
    """400 RU/s over two physical partitions; the second holds a large item."""
    front = make_front(ranges=2)
    front.container()
    assert write(front, SECOND, "large", text=LARGE) == 201
    return front


READS: dict[str, Callable[[Any], Any]] = {
    "a query without a key": lambda front: front.call(
        "POST",
        ITEMS,
        {"query": f"SELECT * FROM c WHERE c.pk = '{SECOND}'"},
        x_ms_documentdb_isquery="True",
        x_ms_documentdb_query_enablecrosspartition="True",
    ),
    "a query of one range": lambda front: front.call(
        "POST",
        ITEMS,
        {"query": "SELECT * FROM c"},
        x_ms_documentdb_isquery="True",
        x_ms_documentdb_partitionkeyrangeid="1",
    ),
    "a plain read, second page": lambda front: front.call(
        "GET", ITEMS, x_ms_continuation=front.call("GET", ITEMS).headers["x-ms-continuation"]
    ),
    "the change feed of one range": lambda front: front.call(
        "GET", ITEMS, a_im="Incremental feed", x_ms_documentdb_partitionkeyrangeid="1"
    ),
    "the change feed of one key": lambda front: front.call("GET", ITEMS, a_im="Incremental feed", key=f'"{SECOND}"'),
}


@pytest.mark.parametrize("what", READS)
def test_a_read_uses_up_the_partition_that_answers_it_and_no_other(halves: Any, what: str) -> None:
    fault = enforce(halves)
    statuses = [READS[what](halves).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert write(halves, SECOND) == 429
    assert write(halves, FIRST) == 201
    assert fault.hits == 2


def test_the_change_feed_of_all_ranges_is_paid_by_all_of_them(halves: Any) -> None:
    enforce(halves)
    feed = [halves.call("GET", ITEMS, a_im="Incremental feed").status for _ in range(6)]
    assert feed == [200, 200, 200, 200, 200, 429]
    assert (write(halves, FIRST), write(halves, SECOND)) == (429, 429)


@pytest.mark.parametrize(
    "refused",
    [
        lambda front: front.call("POST", ITEMS, {"id": "large", "pk": SECOND}, key=f'"{SECOND}"'),
        lambda front: front.call("GET", f"{ITEMS}/none", key=f'"{SECOND}"'),
        lambda front: front.call(
            "PUT", f"{ITEMS}/large", {"id": "large", "pk": SECOND}, key=f'"{SECOND}"', if_match='"old"'
        ),
    ],
)
def test_what_is_refused_is_paid_too_by_its_partition(halves: Any, refused: Callable[[Any], Any]) -> None:
    enforce(halves)
    for _ in range(200):
        answer = refused(halves)
        assert answer.status in (404, 409, 412)
        assert answer.headers["x-ms-request-charge"] == "1"
    assert refused(halves).status == 429
    assert write(halves, FIRST) == 201


def test_what_never_reaches_a_partition_costs_nothing(halves: Any) -> None:
    enforce(halves)
    plan = halves.call(
        "POST",
        ITEMS,
        {"query": "SELECT VALUE COUNT(1) FROM c"},
        x_ms_cosmos_is_query_plan_request="True",
        x_ms_cosmos_supported_query_features="Aggregate",
    )
    assert (plan.status, plan.headers.get("x-ms-request-charge", "0")) == (200, "0")
    gone = halves.call("GET", ITEMS, x_ms_documentdb_partitionkeyrangeid="7")
    assert (gone.status, gone.headers["x-ms-request-charge"]) == (410, "0")


def test_containers_that_share_throughput_use_it_up_together(make_front: Callable[..., Any]) -> None:
    front = make_front()
    assert front.call("POST", "/dbs", {"id": "s"}, x_ms_offer_throughput="400").status == 201
    key = {"paths": ["/pk"], "kind": "Hash", "version": 2}
    for name in ("one", "other"):
        assert front.call("POST", "/dbs/s/colls", {"id": name, "partitionKey": key}).status == 201
    enforce(front)
    assert write(front, "a", items="/dbs/s/colls/one/docs", text=LARGE) == 201
    assert write(front, "a", items="/dbs/s/colls/other/docs") == 429
    front.clock += 1.0
    assert write(front, "a", items="/dbs/s/colls/other/docs") == 201


def test_shared_throughput_makes_physical_partitions_for_all_that_share_it(make_front: Callable[..., Any]) -> None:
    front = make_front()
    front.call("POST", "/dbs", {"id": "s"}, x_ms_offer_throughput="20000")
    key = {"paths": ["/pk"], "kind": "Hash", "version": 2}

    def create(name: str, **headers: str) -> None:
        assert front.call("POST", "/dbs/s/colls", {"id": name, "partitionKey": key}, **headers).status == 201

    def ranges(name: str) -> list[str]:
        entries = front.call("GET", f"/dbs/s/colls/{name}/pkranges").content["PartitionKeyRanges"]
        return [entry["id"] for entry in entries]

    create("shares")
    create("own", x_ms_offer_throughput="400")
    assert (ranges("shares"), ranges("own")) == (["0", "1"], ["0"])
    offer = front.call("GET", "/offers").content["Offers"][0]
    offer["content"]["offerThroughput"] = 30_000
    assert front.call("PUT", f"/offers/{offer['id']}", offer).status == 200
    create("comes later")
    assert ranges("shares") == ranges("comes later")
    assert (len(ranges("shares")), ranges("own")) == (3, ["0"])
