"""What time does to documents: expiry, and what a lagging region still sees, under a clock that the test sets."""

from __future__ import annotations

from typing import Any

import pytest

ITEMS = "/dbs/d/colls/items"


def create(driver: Any, id: str, **fields: Any) -> int:
    status: int = driver.call("POST", f"{ITEMS}/docs", {"id": id, "pk": "a", **fields}, key='"a"').status
    return status


def ids(driver: Any, **headers: str) -> list[str]:
    answer = driver.call("GET", f"{ITEMS}/docs", x_ms_max_item_count="-1", **headers)
    return [] if answer.content is None else [item["id"] for item in answer.content["Documents"]]


def rows(driver: Any) -> int:
    count: int = driver.account.store.reader.execute("SELECT COUNT(*) FROM documents").fetchone()[0]
    return count


def read(driver: Any, id: str, **headers: str) -> int:
    status: int = driver.call("GET", f"{ITEMS}/docs/{id}", key='"a"', **headers).status
    return status


def test_an_item_lives_as_long_as_it_says_to_the_second(driver: Any) -> None:
    create(driver, "1", ttl=10)
    driver.time += 9
    assert read(driver, "1") == 200
    driver.time += 1
    assert read(driver, "1") == 404
    assert ids(driver) == ids(driver, a_im="Incremental feed") == []


def test_writing_an_item_starts_its_time_anew(driver: Any) -> None:
    create(driver, "1", ttl=10)
    driver.time += 9
    driver.call("PUT", f"{ITEMS}/docs/1", {"id": "1", "pk": "a", "ttl": 10}, key='"a"')
    driver.time += 9
    assert read(driver, "1") == 200


def test_an_expired_item_can_be_created_again_and_not_changed(driver: Any) -> None:
    create(driver, "1", ttl=10)
    driver.time += 11
    assert driver.call("PUT", f"{ITEMS}/docs/1", {"id": "1", "pk": "a"}, key='"a"').status == 404
    assert driver.call("DELETE", f"{ITEMS}/docs/1", key='"a"').status == 404
    assert create(driver, "1") == 201
    assert create(driver, "1") == 409


def test_an_items_own_time_counts_only_where_the_container_has_one(driver: Any) -> None:
    definition = {"id": "items", "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}}
    create(driver, "brief", ttl=10)
    create(driver, "default")
    create(driver, "ever", ttl=-1)
    driver.time += 100
    assert ids(driver) == ["default", "ever"]
    driver.call("PUT", ITEMS, definition)
    assert ids(driver) == ["brief", "default", "ever"]
    driver.call("PUT", ITEMS, {**definition, "defaultTtl": 50})
    assert ids(driver) == ["ever"]


def test_expired_rows_are_removed_from_the_file_by_later_writes(driver: Any) -> None:
    for index in range(20):
        create(driver, f"brief-{index}", ttl=10)
    driver.time += 11
    assert rows(driver) == 20
    for index in range(20):
        create(driver, f"ever-{index}")
    assert rows(driver) == 20


def test_the_full_change_feed_tells_what_expired_and_forgets_what_is_too_old(driver: Any) -> None:
    definition = {"id": "kept", "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}, "defaultTtl": 10}
    driver.call("POST", "/dbs/d/colls", {**definition, "changeFeedPolicy": {"retentionDuration": 1}})

    def write(id: str) -> None:
        assert driver.call("POST", "/dbs/d/colls/kept/docs", {"id": id, "pk": "a"}, key='"a"').status == 201

    def changes() -> list[tuple[str, str | None, bool | None]]:
        answer = driver.call("GET", "/dbs/d/colls/kept/docs", a_im="Full-Fidelity Feed", if_none_match='"0"')
        return [
            (
                change["metadata"]["operationType"],
                (change["current"] or change["previous"])["id"],
                change["metadata"].get("timeToLiveExpired"),
            )
            for change in answer.content["Documents"]
        ]

    write("1")
    driver.time += 11
    write("1")
    assert changes() == [("create", "1", None), ("delete", "1", True), ("create", "1", None)]
    driver.time += 61
    write("2")
    assert changes() == [("create", "2", None), ("delete", "1", True)]


def test_the_second_region_sees_each_write_after_the_lag_and_not_before(driver: Any) -> None:
    driver.lag = 5.0
    second = {"host": "localhost:80"}
    create(driver, "1")
    assert read(driver, "1") == 200
    assert read(driver, "1", **second) == 404
    driver.time += 4.9
    assert read(driver, "1", **second) == 404
    driver.time += 0.2
    assert read(driver, "1", **second) == 200
    driver.call("DELETE", f"{ITEMS}/docs/1", key='"a"')
    assert read(driver, "1") == 404
    assert ids(driver, **second) == ["1"]
    driver.time += 5.1
    assert ids(driver, **second) == []


def test_the_second_region_shows_no_state_from_within_a_transaction(driver: Any) -> None:
    driver.lag = 5.0
    create(driver, "1", v=0)
    driver.time += 6
    twice = [{"operationType": "Upsert", "resourceBody": {"id": id, "pk": "a", "v": v}} for v in (1, 2) for id in "1n"]
    batch = {"x_ms_cosmos_is_batch_request": "True", "x_ms_cosmos_batch_atomic": "True"}
    assert driver.call("POST", f"{ITEMS}/docs", twice, key='"a"', **batch).status == 200
    behind = driver.call("GET", f"{ITEMS}/docs", host="localhost:80").content["Documents"]
    assert [(item["id"], item["v"]) for item in behind] == [("1", 0)]


def test_the_second_region_tells_how_far_it_is_and_refuses_whoever_has_seen_more(driver: Any) -> None:
    driver.lag = 5.0
    second = {"host": "localhost:80"}
    create(driver, "1")
    driver.time += 6
    create(driver, "2")
    answer = driver.call("GET", f"{ITEMS}/docs/1", key='"a"', **second)
    assert answer.headers["x-ms-session-token"] == "0:-1#1"
    answer = driver.call("GET", f"{ITEMS}/docs/1", key='"a"', x_ms_session_token="0:-1#2", **second)
    assert (answer.status, answer.headers["x-ms-substatus"]) == (404, "1002")
    driver.time += 5.1
    assert driver.call("GET", f"{ITEMS}/docs/2", key='"a"', x_ms_session_token="0:-1#2", **second).status == 200


def test_what_was_kept_for_the_second_region_is_dropped_once_it_has_caught_up(driver: Any) -> None:
    driver.lag = 1.0
    for index in range(10):
        create(driver, str(index))
        driver.time += 0.5
    kept = driver.account.store.reader.execute("SELECT COUNT(*) FROM past").fetchone()[0]
    assert kept <= 4


def test_after_a_restart_the_order_goes_on_where_it_was(driver: Any) -> None:
    create(driver, "1")
    driver.call("DELETE", f"{ITEMS}/docs/1", key='"a"')
    driver.restart()
    create(driver, "2")
    answer = driver.call("GET", f"{ITEMS}/docs/2", key='"a"')
    assert answer.headers["x-ms-session-token"] == "0:-1#3"


def test_the_documents_of_a_deleted_container_are_swept_after_a_restart_too(driver: Any) -> None:
    for index in range(5):
        create(driver, str(index))
    driver.account.catalog.sweep = lambda: None
    driver.call("DELETE", ITEMS)
    driver.restart()
    assert rows(driver) == 5

    async def resume() -> None:
        driver.account.resume()
        await driver.account.catalog._sweeping

    driver.loop.run_until_complete(resume())
    assert rows(driver) == 0


def test_all_that_a_deleted_container_held_is_swept_in_pieces(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localazure.cosmos.catalog.ROWS_PER_SWEEP", 3)
    policies = {"uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/n"]}]}, "changeFeedPolicy": {"retentionDuration": 10}}
    key = {"paths": ["/pk"], "kind": "Hash", "version": 2}
    assert driver.call("POST", "/dbs/d/colls", {"id": "kept", "partitionKey": key, **policies}).status == 201
    for index in range(7):
        body = {"id": str(index), "pk": "a", "n": index}
        assert driver.call("POST", "/dbs/d/colls/kept/docs", body, key='"a"').status == 201
    pieces: list[int] = []

    def held() -> list[int]:
        count = driver.account.store.reader.execute
        return [count(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in ("documents", "uniques", "versions")]

    write = driver.account.store.write

    async def counted(work: Any) -> Any:
        before = sum(held())
        result = await write(work)
        pieces.append(before - sum(held()))
        return result

    assert held() == [7, 7, 7]
    monkeypatch.setattr(driver.account.store, "write", counted)
    driver.call("DELETE", "/dbs/d/colls/kept")
    driver.loop.run_until_complete(driver.account.catalog._sweeping)
    assert held() == [0, 0, 0]
    assert max(pieces) == 3
