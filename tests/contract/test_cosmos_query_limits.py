"""What a query may take, through the official SDK: time, depth, length, numbers of things. A stop ends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

import localazure
from localazure.cosmos import account, gateway
from localazure.cosmos.sql import Watch, limits
from localazure.handle import LocalAzure

HUNDRED = f"[{', '.join(map(str, range(100)))}]"
SIX_JOINS = " ".join(f"JOIN a{at} IN (SELECT VALUE {HUNDRED})" for at in range(6))
BACKTRACKS = "RegexMatch(c.text, '^(a|aa)+$')"


@pytest.fixture
def texts(client: CosmosClient, fresh_name: str) -> Iterator[ContainerProxy]:
    container = client.create_database(fresh_name).create_container("texts", PartitionKey("/pk"))
    for number in range(3):
        container.create_item({"id": str(number), "pk": "x", "text": "a" * 200 + "!"})
    yield container
    client.delete_database(fresh_name)


def status_of(call: Any) -> int:
    with pytest.raises(CosmosHttpResponseError) as caught:
        call()
    status: int = caught.value.status_code
    return status


@pytest.mark.parametrize(
    "query",
    [f"SELECT VALUE COUNT(1) FROM c {SIX_JOINS}", f"SELECT * FROM c WHERE {BACKTRACKS}"],
    ids=["joins", "pattern"],
)
def test_a_query_that_takes_too_long_is_ended_with_408(
    texts: ContainerProxy, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LONGEST_RUN_SECONDS", 0.05)
    assert status_of(lambda: list(texts.query_items(query, partition_key="x"))) == 408


def test_a_query_whose_page_is_over_goes_on_in_the_next(texts: ContainerProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LONGEST_PAGE_SECONDS", -1.0)
    pages = [list(page) for page in texts.query_items("SELECT VALUE c.id FROM c", partition_key="x").by_page()]
    assert [item for page in pages for item in page] == ["0", "1", "2"]
    assert len(pages) > 2


TWO_JOINS = f"JOIN a0 IN (SELECT VALUE {HUNDRED}) JOIN a1 IN (SELECT VALUE {HUNDRED})"
PARTS = [f"REPLICATE('{number:02}', 5000)" for number in range(60)]
MANY_PARTS = ", ".join(PARTS)
MANY_NAMED_PARTS = ", ".join(f"'p{number}': {part}" for number, part in enumerate(PARTS))
LONG = "CONCAT(ToString(a0), '-', ToString(a1), REPLICATE('x', 100))"


@pytest.mark.parametrize(
    ("query", "results"),
    [
        (f"SELECT VALUE 1 FROM c {TWO_JOINS} ORDER BY c.id", 10_000),
        (f"SELECT DISTINCT VALUE {LONG} FROM c {TWO_JOINS}", 10_000),
        (f"SELECT DISTINCT VALUE {LONG} FROM c {TWO_JOINS} ORDER BY c.id", 10_000),
        (f"SELECT a0, a1, COUNT(1) AS n FROM c {TWO_JOINS} GROUP BY a0, a1", 10_000),
        (f"SELECT a0, MAX({LONG}) AS most FROM c {TWO_JOINS} GROUP BY a0, a1", 10_000),
        (f"SELECT VALUE ARRAY_LENGTH(ARRAY(SELECT VALUE [{LONG}] FROM (SELECT VALUE c) AS t {TWO_JOINS})) FROM c", 1),
        (f"SELECT VALUE LENGTH(CONCAT({MANY_PARTS})) FROM c", 1),
        (f"SELECT VALUE ARRAY_LENGTH([{MANY_PARTS}]) FROM c", 1),
        (f"SELECT VALUE IS_DEFINED({{{MANY_NAMED_PARTS}}}) FROM c", 1),
    ],
    ids=["sort", "distinct", "sorted distinct", "groups", "extremes", "array", "call", "literal array", "object"],
)
def test_what_a_query_keeps_at_once_is_limited(
    texts: ContainerProxy, query: str, results: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    query += " OFFSET 0 LIMIT 10000" if results > 1 else " WHERE c.id = '0'"
    assert len(list(texts.query_items(query, partition_key="x", max_item_count=10_000))) == results
    monkeypatch.setattr(limits, "LARGEST_HELD_BYTES", 500_000)
    with pytest.raises(CosmosHttpResponseError) as caught:
        list(texts.query_items(query, partition_key="x"))
    assert caught.value.status_code == 400
    assert '"code":"SC3008"' in caught.value.message


def test_a_sort_of_stored_items_is_no_keeping(texts: ContainerProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LARGEST_HELD_BYTES", 1)
    query = "SELECT VALUE c.id FROM c ORDER BY c.id"
    assert list(texts.query_items(query, partition_key="x")) == ["0", "1", "2"]


@pytest.mark.parametrize(
    "condition", [f"FROM c {SIX_JOINS} WHERE a5 > 100", f"FROM c WHERE {BACKTRACKS}"], ids=["joins", "pattern"]
)
def test_the_condition_of_a_patch_is_ended_with_408_and_changes_nothing(
    texts: ContainerProxy, condition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = [{"op": "add", "path": "/done", "value": True}]
    batch = [("patch", (id, change), {"filter_predicate": condition}) for id in ("1", "2")]
    with monkeypatch.context() as patch:
        patch.setattr(limits, "LONGEST_PAGE_SECONDS", 0.05)
        assert status_of(lambda: texts.patch_item("0", "x", change, filter_predicate=condition)) == 408
        with pytest.raises(CosmosBatchOperationError) as refused:
            texts.execute_item_batch(batch, "x")
    assert "done" not in texts.read_item("0", "x")
    assert [answer["statusCode"] for answer in refused.value.operation_responses] == [408, 424]
    assert "done" not in texts.read_item("1", "x")
    met = texts.patch_item("0", "x", change, filter_predicate=f"FROM c {SIX_JOINS} WHERE c.id = '0'")
    assert met["done"]
    texts.create_item({"id": "after", "pk": "x"})


@pytest.mark.parametrize("condition", [f"FROM c WHERE c{'.a' * 5_000}", f"FROM c WHERE {'NOT ' * 5_000} true"])
def test_a_condition_of_a_patch_that_is_nested_too_deeply_is_refused(texts: ContainerProxy, condition: str) -> None:
    change = [{"op": "add", "path": "/done", "value": True}]
    assert status_of(lambda: texts.patch_item("0", "x", change, filter_predicate=condition)) == 400


def test_a_stop_ends_the_queries_that_are_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    watches: list[Watch] = []

    class Seen(Watch):
        def tick(self) -> None:
            if self not in watches:
                watches.append(self)
                begun.set()
            super().tick()

    monkeypatch.setattr(gateway, "Watch", Seen)
    azure = localazure.start(tmp_path)
    client = CosmosClient.from_connection_string(azure.cosmos_connection_string, retry_total=0)
    container = client.create_database("d").create_container("c", PartitionKey("/pk"))
    container.create_item({"id": "1", "pk": "x"})

    def run() -> None:
        with pytest.raises(Exception, match=r"."):
            list(container.query_items(f"SELECT VALUE COUNT(1) FROM c {SIX_JOINS}", partition_key="x"))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert begun.wait(30)
    azure.close()
    assert watches[0].is_cancelled()
    assert watches[0].left() > 0, "the query went on until its own time was over"
    thread.join(60)


SERVED = {
    "nesting": f"SELECT VALUE {'(' * 126}c.id{')' * 126} FROM c",
    "length": "SELECT VALUE c.id FROM c" + " " * (limits.LONGEST_QUERY_CHARACTERS - 24),
    "conditions": f"SELECT VALUE c.id FROM c WHERE {' AND '.join(['true'] * (limits.MOST_ANDS + 1))}",
    "list": f"SELECT VALUE c.id FROM c WHERE c.id IN ({', '.join(map(repr, map(str, range(limits.MOST_IN_ITEMS))))})",
    "joins": "SELECT VALUE c.id FROM c" + " JOIN (SELECT 1)" * limits.MOST_JOINS,
}
REFUSED = {
    "parentheses": (f"SELECT VALUE {'(' * 5_000}1{')' * 5_000} FROM c", "depth of nesting"),
    "subqueries": (f"SELECT VALUE {'(SELECT VALUE ' * 200}1{')' * 200} FROM c", "depth of nesting"),
    "negations": (f"SELECT VALUE {'NOT ' * 5_000} true FROM c", "depth of nesting"),
    "conditionals": (f"SELECT VALUE {'true ? 1 : ' * 5_000} 1 FROM c", "depth of nesting"),
    "path": (f"SELECT VALUE c{'.a' * 5_000} FROM c", "depth of nesting"),
    "length": ("SELECT VALUE c.id FROM c" + " " * (limits.LONGEST_QUERY_CHARACTERS - 23), "maximum limit"),
    "conditions": (f"SELECT VALUE 1 FROM c WHERE {' OR '.join(['true'] * (limits.MOST_ORS + 2))}", "maximum number"),
    "list": (f"SELECT VALUE 1 FROM c WHERE 1 IN ({'1, ' * limits.MOST_IN_ITEMS}1)", "maximum number"),
    "joins": ("SELECT VALUE c.id FROM c" + " JOIN (SELECT 1)" * (limits.MOST_JOINS + 1), "maximum number"),
}
TARGETS = [{"partition_key": "x"}, {"enable_cross_partition_query": True}]
PARAMETERS = [{"name": f"@p{number}", "value": number} for number in range(10_000)]


@pytest.mark.parametrize("name", SERVED)
def test_a_query_at_a_limit_is_served(texts: ContainerProxy, name: str) -> None:
    for target in TARGETS:
        assert list(texts.query_items(SERVED[name], **target)) == ["0", "1", "2"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_query_beyond_a_limit_is_refused(texts: ContainerProxy, name: str) -> None:
    query, words = REFUSED[name]
    for target in TARGETS:
        with pytest.raises(CosmosHttpResponseError, match=words) as caught:
            list(texts.query_items(query, **target))
        assert caught.value.status_code == 400


def test_so_many_parameters_are_served_and_more_refused(texts: ContainerProxy) -> None:
    query = "SELECT VALUE c.id FROM c WHERE @p1 = 1"
    for target in TARGETS:
        most = PARAMETERS[: limits.MOST_PARAMETERS]
        assert list(texts.query_items(query, parameters=most, **target)) == ["0", "1", "2"]
        for more in (limits.MOST_PARAMETERS + 1, 10_000):
            with pytest.raises(CosmosHttpResponseError, match="the most a query may have is 8000"):
                list(texts.query_items(query, parameters=PARAMETERS[:more], **target))


async def test_the_asynchronous_client_meets_the_same_limits(azure: LocalAzure, texts: ContainerProxy) -> None:
    async with AsyncCosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
        container = client.get_database_client(texts.container_link.split("/")[1]).get_container_client(texts.id)
        for query in SERVED.values():
            assert [item async for item in container.query_items(query)] == ["0", "1", "2"]
        for query, words in REFUSED.values():
            with pytest.raises(CosmosHttpResponseError, match=words):
                _ = [item async for item in container.query_items(query)]
        with pytest.raises(CosmosHttpResponseError, match="the most a query may have is 8000"):
            _ = [item async for item in container.query_items("SELECT * FROM c", parameters=PARAMETERS)]


def test_a_failure_of_the_engine_is_told_and_no_one_waits_for_it(
    texts: ContainerProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise StopIteration

    monkeypatch.setattr(account, "answer_query", fail)
    assert status_of(lambda: list(texts.query_items("SELECT * FROM c", partition_key="x", read_timeout=20))) == 500
