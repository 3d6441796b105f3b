"""What no client of ours would send is refused as a bad request, never answered by an error of the server."""

from __future__ import annotations

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
        {"op": "incr", "path": "/big", "value": 0.5},
    ],
)
def test_a_patch_beyond_places_and_numbers_is_400(driver: Any, operation: dict[str, Any]) -> None:
    assert (
        driver.call("POST", f"{ITEMS}/docs", {"id": "1", "pk": "a", "list": [1], "big": 10**400}, key='"a"').status
        == 201
    )
    patch = {"operations": [operation]}
    assert driver.call("PATCH", f"{ITEMS}/docs/1", patch, key='"a"').status == 400


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
