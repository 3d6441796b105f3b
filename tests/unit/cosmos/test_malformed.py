"""What no client of ours would send is refused as a bad request, never answered by an error of the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localazure.cosmos.sql import limits

ITEMS = "/dbs/d/colls/items"
LONG = "1" * 5_000


@pytest.mark.parametrize(
    "headers",
    [
        {"x_ms_session_token": "0:-1#²"},
        {"x_ms_session_token": f"0:-1#{LONG}"},
        {"x_ms_continuation": "1" * 30},
        {"x_ms_continuation": "-5"},
        {"a_im": "Incremental feed", "if_none_match": f'"{LONG}"'},
        {"a_im": "Incremental feed", "if_none_match": '"²"'},
        {"a_im": "Incremental feed", "if_none_match": f'"{"9" * 18}"'},
        {"a_im": "Full-Fidelity Feed", "if_none_match": f'"{"9" * 18}"'},
        {"a_im": "Incremental feed", "if_modified_since": "Mon, 23 Nov 99999999999 00:00:00 GMT"},
    ],
)
def test_a_header_that_says_no_number_or_date_is_400(driver: Any, headers: dict[str, str]) -> None:
    assert driver.call("GET", f"{ITEMS}/docs", **headers).status == 400


def test_half_a_surrogate_pair_is_no_id(driver: Any) -> None:
    key = {"partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}}
    assert driver.call("POST", f"{ITEMS}/docs", {"id": "\ud800", "pk": "a"}, key='"a"').status == 400
    assert driver.call("POST", "/dbs/d/colls", {"id": "\ud800", **key}).status == 400
    assert driver.call("POST", "/dbs", {"id": "\ud800"}).status == 400


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "set", "path": f"/list/{LONG}", "value": 1},
        {"op": "incr", "path": "/big", "value": 1e308},
        {"op": "set", "path": "/big", "value": 10**400},
    ],
)
def test_a_patch_beyond_places_and_numbers_is_400(driver: Any, operation: dict[str, Any]) -> None:
    document = {"id": "1", "pk": "a", "list": [1], "big": 1e308}
    assert driver.call("POST", f"{ITEMS}/docs", document, key='"a"').status == 201
    patch = {"operations": [operation]}
    assert driver.call("PATCH", f"{ITEMS}/docs/1", patch, key='"a"').status == 400


def test_an_integer_that_no_double_holds_is_400(driver: Any) -> None:
    for number in (10**400, -(10**309)):
        document = {"id": "1", "pk": "a", "n": number}
        assert driver.call("POST", f"{ITEMS}/docs", document, key='"a"').status == 400
        batch = [{"operationType": "Create", "resourceBody": document}]
        headers = {"x_ms_cosmos_is_batch_request": "True", "x_ms_cosmos_batch_atomic": "True"}
        assert driver.call("POST", f"{ITEMS}/docs", batch, key='"a"', **headers).status == 400


def policies(**wrong: Any) -> dict[str, Any]:
    return wrong


@pytest.mark.parametrize(
    "policy",
    [
        policies(compositeIndexes=5),
        policies(compositeIndexes=[5]),
        policies(compositeIndexes=[[{"path": "/a"}]]),
        policies(compositeIndexes=[[{"path": f"/p{n}"} for n in range(9)]]),
        policies(compositeIndexes=[[{"path": "/a"}, {"path": 5}]]),
        policies(compositeIndexes=[[{"path": "/a"}, {"path": "/b", "order": "up"}]]),
        policies(compositeIndexes=[[{"path": "/a"}, {"path": "/b", "order": 1}]]),
        policies(includedPaths=5),
        policies(includedPaths=[5]),
        policies(includedPaths=[{"path": "/*"}, {"path": "a/?"}]),
        policies(includedPaths=[{"path": "/*"}, {"path": "/a"}]),
        policies(includedPaths=[{"path": "/*"}, {"path": "/a/?"}, {"path": "/a/?"}]),
        policies(includedPaths=[{"path": "/a/?"}]),
        policies(includedPaths=[]),
        policies(excludedPaths={"path": "/*"}),
        policies(includedPaths=[{"path": "/*"}], excludedPaths=[{"path": "/*"}]),
        policies(spatialIndexes=[{"types": ["Point"]}]),
        policies(vectorIndexes=[{"path": "/v", "type": "flat"}]),
        policies(automatic="yes"),
        policies(indexingMode="sometimes"),
        [],
    ],
)
def test_an_indexing_policy_that_says_nothing_sensible_is_400(driver: Any, policy: Any) -> None:
    definition = {"id": "other", "partitionKey": {"paths": ["/pk"], "version": 2}, "indexingPolicy": policy}
    assert driver.call("POST", "/dbs/d/colls", definition).status == 400
    assert driver.call("PUT", ITEMS, {**driver.call("GET", ITEMS).content, "indexingPolicy": policy}).status == 400


@pytest.mark.parametrize(
    ("policy", "included"),
    [
        ({"excludedPaths": [{"path": "/*"}]}, []),
        ({"indexingMode": "none"}, []),
        ({"indexingMode": "None", "automatic": False}, []),
        ({"includedPaths": None, "compositeIndexes": None}, ["/*"]),
        ({"includedPaths": [{"path": '/"a b"/[]/c/?'}], "excludedPaths": [{"path": "/*"}]}, ['/"a b"/[]/c/?']),
        ({"compositeIndexes": [[{"path": "/a", "order": "Descending"}, {"path": "/b/c"}]]}, ["/*"]),
    ],
)
def test_an_indexing_policy_that_is_sensible_is_kept(driver: Any, policy: Any, included: list[str]) -> None:
    definition = {"id": "other", "partitionKey": {"paths": ["/pk"], "version": 2}, "indexingPolicy": policy}
    answer = driver.call("POST", "/dbs/d/colls", definition)
    assert answer.status == 201
    assert [entry["path"] for entry in answer.content["indexingPolicy"]["includedPaths"]] == included


def test_a_partition_key_value_has_at_most_2048_bytes(driver: Any) -> None:
    for longest, beyond in (("x" * 2048, "x" * 2049), ("\u6f22" * 682, "\u6f22" * 683)):
        assert driver.call("POST", f"{ITEMS}/docs", {"id": "1", "pk": longest}, key=f'"{longest}"').status == 201
        assert driver.call("POST", f"{ITEMS}/docs", {"id": "1", "pk": beyond}, key=f'"{beyond}"').status == 400


def test_offer_headers_nested_beyond_reading_are_400(driver: Any) -> None:
    key = {"partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}}
    settings = {"x_ms_cosmos_offer_autopilot_settings": "[" * 200_000}
    assert driver.call("POST", "/dbs/d/colls", {"id": "other", **key}, **settings).status == 400


def test_a_path_that_resolves_conflicts_is_refused(driver: Any) -> None:
    definition = {
        "id": "other",
        "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2},
        "conflictResolutionPolicy": {"mode": "LastWriterWins", "conflictResolutionPath": "/mine"},
    }
    assert driver.call("POST", "/dbs/d/colls", definition).status == 400


def test_the_limits_that_are_told_are_the_limits_that_are_kept(driver: Any) -> None:
    told = driver.call("GET", "/").content["queryEngineConfiguration"]
    assert f'"maxJoinsPerSqlQuery": {limits.MOST_JOINS},' in told
    assert f'"maxLogicalAndPerSqlQuery": {limits.MOST_ANDS},' in told


@pytest.mark.parametrize(
    "name", ["a/b", "a\\b", "a?b", "a#b", "a\tb", "a\nb", "ends with a space ", "", "x" * 256, 5, None]
)
def test_a_name_that_the_sdk_would_not_send_is_400_too(driver: Any, name: Any) -> None:
    key = {"partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}}
    assert driver.call("POST", "/dbs", {"id": name}).status == 400
    assert driver.call("POST", "/dbs/d/colls", {"id": name, **key}).status == 400


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_key_of_more_levels_than_the_container_has_is_400_with_substatus_1001(driver: Any, method: str) -> None:
    answer = driver.call(method, f"{ITEMS}/docs/1", key='"a","b"')
    assert (answer.status, answer.headers["x-ms-substatus"]) == (400, "1001")


@pytest.mark.parametrize("depth", [140, 500])
def test_what_is_nested_too_deeply_is_400_wherever_it_stands_and_harms_nothing_later(driver: Any, depth: int) -> None:
    deep = json.loads("[" * depth + "]" * depth)
    key = {"paths": ["/pk"], "kind": "Hash", "version": 2}
    unique = {"uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/u"]}]}}
    assert driver.call("POST", "/dbs/d/colls", {"id": "u", "partitionKey": key, **unique}).status == 201
    answers = [
        driver.call("POST", "/dbs/d/colls/u/docs", {"id": "1", "pk": "a", "u": deep}, key='"a"'),
        driver.call("POST", "/dbs/d/colls", {"id": "x", "partitionKey": {**key, "x": deep}}),
        driver.call("POST", "/dbs/d/colls", {"id": "y", "partitionKey": key, "indexingPolicy": {"x": deep}}),
        driver.call("POST", "/dbs/d/colls", {"id": "z", "partitionKey": key, "geospatialConfig": {"x": deep}}),
    ]
    assert [answer.status for answer in answers] == [400] * 4
    driver.restart()
    assert len(driver.call("GET", "/dbs/d/colls").content["DocumentCollections"]) == 2


def test_a_document_of_128_levels_is_kept_also_by_a_batch_and_a_patch_of_a_batch(driver: Any) -> None:
    deep = json.loads("[" * 127 + "]" * 127)
    batch = {"x_ms_cosmos_is_batch_request": "True", "x_ms_cosmos_batch_atomic": "True"}
    operations = [
        {"operationType": "Create", "resourceBody": {"id": "1", "pk": "a", "deep": deep}},
        {
            "operationType": "Patch",
            "id": "1",
            "resourceBody": {"operations": [{"op": "set", "path": "/deep", "value": deep}]},
        },
    ]
    assert driver.call("POST", f"{ITEMS}/docs", operations, key='"a"', **batch).status == 200
    refused = {"id": "2", "pk": "a", "deep": [deep]}
    assert driver.call("POST", f"{ITEMS}/docs", refused, key='"a"').status == 400
