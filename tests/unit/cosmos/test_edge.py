"""The account's edge: crashes, races of the catalog, who may do what, below the SDK and without sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

ITEMS = "/dbs/d/colls/items"
CONTAINER = {"id": "items", "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}}


def test_a_crash_ends_the_writes_that_a_delay_holds_and_cuts_every_connection(front: Any) -> None:
    front.container()
    idle, held, crashing = front.line(), front.line(), front.line()

    async def scene() -> list[int]:
        first = await front.ask(idle, "GET", ITEMS)
        front.faults.arm("cosmos", "delay", 1, {"operation": "create"}, {"milliseconds": 50})
        front.faults.arm("cosmos", "crash", 1, {"operation": "read_container", "after_commit": False}, {})
        write = asyncio.create_task(front.ask(held, "POST", f"{ITEMS}/docs", {"id": "1", "pk": "a"}, key='"a"'))
        await asyncio.sleep(0)  # the write goes as far as its delay
        assert front.faults.report()[0]["hits"] == 1
        crash = await front.ask(crashing, "GET", ITEMS)
        return [first.status, crash.status, (await write).status]

    assert front.loop.run_until_complete(scene()) == [200, 0, 0]
    assert (idle.closed, held.closed, crashing.closed) == (True, True, True)
    front.faults.clear()
    assert front.call("GET", f"{ITEMS}/docs").content["Documents"] == []


def test_a_container_that_comes_while_its_database_goes_is_gone_with_it(front: Any) -> None:
    async def race() -> list[int]:
        calls = [("POST", "/dbs/d/colls", CONTAINER), ("DELETE", "/dbs/d", None), ("POST", "/dbs", {"id": "d"})]
        answers = await asyncio.gather(*(front.ask(front.line(), method, path, body) for method, path, body in calls))
        return [answer.status for answer in answers]

    assert front.loop.run_until_complete(race()) == [201, 204, 201]
    assert front.call("GET", "/dbs/d/colls").content["DocumentCollections"] == []
    assert front.call("GET", ITEMS).status == 404
    assert front.call("POST", "/dbs/d/colls", CONTAINER).status == 201


def test_an_offer_that_is_replaced_while_its_container_goes_is_gone_with_it(front: Any) -> None:
    front.container()
    offer = front.call("GET", "/offers").content["Offers"][0]
    offer["content"]["offerThroughput"] = 800

    async def race() -> list[int]:
        calls = [("DELETE", ITEMS, None), ("PUT", f"/offers/{offer['id']}", offer)]
        answers = await asyncio.gather(*(front.ask(front.line(), method, path, body) for method, path, body in calls))
        return [answer.status for answer in answers]

    assert front.loop.run_until_complete(race()) == [204, 404]
    assert front.call("GET", "/offers").content["Offers"] == []


@pytest.mark.parametrize("replace_first", [True, False])
def test_a_container_that_is_replaced_while_it_splits_is_both(front: Any, replace_first: bool) -> None:
    front.container()
    offer = front.call("GET", "/offers").content["Offers"][0]
    offer["content"]["offerThroughput"] = 25_000
    calls = [("PUT", ITEMS, {**CONTAINER, "defaultTtl": 60}), ("PUT", f"/offers/{offer['id']}", offer)]

    async def race() -> list[int]:
        ordered = calls if replace_first else calls[::-1]
        return [answer.status for answer in await asyncio.gather(*(front.ask(front.line(), *call) for call in ordered))]

    assert front.loop.run_until_complete(race()) == [200, 200]
    for _ in range(2):
        assert front.call("GET", ITEMS).content["defaultTtl"] == 60
        assert len(front.call("GET", f"{ITEMS}/pkranges").content["PartitionKeyRanges"]) == 3
        front.app._account.forget()  # and so it is in the file


def test_of_two_throughputs_set_at_once_no_partition_is_lost_again(front: Any) -> None:
    front.container()
    offer = front.call("GET", "/offers").content["Offers"][0]
    wanted = [{**offer, "content": {"offerThroughput": throughput}} for throughput in (40_000, 15_000)]

    async def race(**headers: str) -> list[int]:
        path = f"/offers/{offer['id']}"
        answers = (front.ask(front.line(), "PUT", path, one, **headers) for one in wanted)
        return [answer.status for answer in await asyncio.gather(*answers)]

    assert front.loop.run_until_complete(race(if_match=offer["_etag"])) == [200, 412]
    assert front.loop.run_until_complete(race()) == [200, 200]
    assert front.call("GET", "/offers").content["Offers"][0]["content"]["offerThroughput"] == 15_000
    assert len(front.call("GET", f"{ITEMS}/pkranges").content["PartitionKeyRanges"]) == 4


def test_a_container_made_anew_goes_on_counting_where_the_old_one_ended(front: Any) -> None:
    front.container()
    for id in "123":
        answer = front.call("POST", f"{ITEMS}/docs", {"id": id, "pk": "a"}, key='"a"')
    token = {"x_ms_session_token": answer.headers["x-ms-session-token"]}
    for again in range(2):
        assert front.call("DELETE", ITEMS if again else "/dbs/d").status == 204
        front.call("POST", "/dbs", {"id": "d"})
        front.container()
        gone = front.call("GET", f"{ITEMS}/docs/1", key='"a"', **token)
        assert (gone.status, gone.headers.get("x-ms-substatus")) == (404, None)
        assert front.call("GET", f"{ITEMS}/docs", **token).content["Documents"] == []
    assert front.call("POST", f"{ITEMS}/docs", {"id": "4", "pk": "a"}, key='"a"').headers["lsn"] == "4"
    front.container("never there before")
    other = front.call("POST", "/dbs/d/colls/never there before/docs", {"id": "1", "pk": "a"}, key='"a"')
    assert other.headers["lsn"] == "1"


def test_a_full_disk_refuses_what_does_not_fit_keeps_the_rest_and_goes_on_once_there_is_room(front: Any) -> None:
    front.container()
    journal = front.app._account.store._journal

    def limit(pages: int) -> None:
        journal.run(lambda connection: connection.execute(f"PRAGMA max_page_count={pages}").fetchone())

    def batch(name: str) -> int:
        parts = [{"id": f"{name}-{part}", "pk": "a", "text": "x" * 50_000} for part in range(3)]
        operations = [{"operationType": "Create", "resourceBody": part} for part in parts]
        told = {"x_ms_cosmos_is_batch_request": "True", "x_ms_cosmos_batch_atomic": "True"}
        return int(front.call("POST", f"{ITEMS}/docs", operations, key='"a"', **told).status)

    def found() -> list[str]:
        return sorted(item["id"] for item in front.call("GET", f"{ITEMS}/docs").content["Documents"])

    pages = journal.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    limit(pages + 20)
    statuses = [batch(str(index)) for index in range(20)]
    kept = statuses.count(200)
    assert statuses == [200] * kept + [500] * (20 - kept)
    assert 0 < kept < 20
    assert found() == sorted(f"{index}-{part}" for index in range(kept) for part in range(3))
    limit(1_000_000)
    assert batch("later") == 200
    assert len(found()) == 3 * kept + 3


def test_a_batch_has_two_megabytes_and_no_byte_more(front: Any) -> None:
    front.container()
    told = {"x_ms_cosmos_is_batch_request": "True", "x_ms_cosmos_batch_atomic": "True"}

    def batch(size: int) -> int:
        parts: list[dict[str, Any]] = [{"id": str(part), "pk": "a", "text": "x" * 1_000_000} for part in range(2)]
        parts.append({"id": "rest", "pk": "a", "text": ""})
        operations = [{"operationType": "Upsert", "resourceBody": part} for part in parts]
        parts[2]["text"] = "x" * (size - len(json.dumps(operations)))
        assert len(json.dumps(operations)) == size
        return int(front.call("POST", f"{ITEMS}/docs", operations, key='"a"', **told).status)

    assert [batch(2 * 1024 * 1024 + more) for more in (0, 1)] == [200, 413]
