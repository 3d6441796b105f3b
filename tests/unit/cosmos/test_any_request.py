"""Whatever is asked, with whatever headers and body: an answer of the service, never an error of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CONTAINERS = {
    "items": {"partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}, "defaultTtl": -1},
    "levels": {
        "partitionKey": {"paths": ["/a", "/b"], "kind": "MultiHash", "version": 2},
        "changeFeedPolicy": {"retentionDuration": 10},
    },
    "old": {
        "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 1},
        "uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/u"]}]},
    },
}
ITEMS = "/dbs/d/colls/items"
RID = "/dbs/AAAAAQ==/colls/AAAAAQAAAAE="
PATHS = st.sampled_from(
    [
        *("/", "/dbs", "/dbs/d", "/dbs/none", "/dbs/d/colls", "/offers", "/offers/AAAB", f"{RID}/docs"),
        f"{RID}/docs/AAAAAQAAAAEAAAgAAAAEAA==",
        *(f"/dbs/d/colls/{name}{rest}" for name in CONTAINERS for rest in ("", "/docs", "/docs/1", "/pkranges")),
        f"{ITEMS}/operations/partitionkeydelete",
    ]
)
SCALARS = st.sampled_from([None, True, 0, -1, 1.5, 2**70, 10**400, "", "a", "\ud800", "x" * 3000])
NAMES = st.sampled_from(
    [
        "id",
        "pk",
        "a",
        "b",
        "u",
        "ttl",
        "operations",
        "op",
        "path",
        "value",
        "from",
        "condition",
        "query",
        "parameters",
        "name",
        "operationType",
        "resourceBody",
        "ifMatch",
        "partitionKey",
        "paths",
        "kind",
        "version",
        "indexingPolicy",
        "compositeIndexes",
        "defaultTtl",
        "content",
        "offerThroughput",
    ]
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))
DOCUMENTS = st.fixed_dictionaries({"id": st.sampled_from(["1", "2"]), "pk": st.just("a"), "u": JSON})
OPERATIONS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "set", "incr", "move", "remove", "replace"]),
        "path": st.sampled_from(["/l/0", "/l/-", "/u", "/x/y", "/", "/id"]),
        "from": st.sampled_from(["/l", "/u", "/l/1"]),
        "value": JSON,
    }
)
PATCHES = st.fixed_dictionaries({"operations": st.lists(OPERATIONS, max_size=3)})
QUERIES = st.fixed_dictionaries({"query": st.sampled_from(["SELECT * FROM c", "SELECT"]), "parameters": JSON})
BATCHES = st.lists(
    st.fixed_dictionaries(
        {
            "operationType": st.sampled_from(["Create", "Upsert", "Replace", "Patch", "Read", "Delete", "Fly"]),
            "id": st.sampled_from(["1", "2", None]),
            "resourceBody": DOCUMENTS | PATCHES | JSON,
        }
    ),
    max_size=3,
)
FLAGS = {
    "x-ms-documentdb-isquery": st.just("True"),
    "x-ms-cosmos-is-query-plan-request": st.just("True"),
    "x-ms-cosmos-is-batch-request": st.just("True"),
    "x-ms-cosmos-batch-atomic": st.just("True"),
    "x-ms-documentdb-is-upsert": st.just("True"),
    "a-im": st.sampled_from(["Incremental feed", "Full-Fidelity Feed", "other"]),
}
WORDS = st.sampled_from(
    ["", "*", "0", "-1", "1", '"1"', "FF", "zz", "0:-1#1", "5::FF", "9" * 30, "²", "٣", "NaN", "1e3", "{", "Strong"]
)
TELLING = (
    *("x-ms-documentdb-partitionkeyrangeid", "x-ms-continuation", "x-ms-max-item-count", "x-ms-session-token"),
    *("x-ms-consistency-level", "if-match", "if-none-match", "if-modified-since", "x-ms-start-epk", "x-ms-end-epk"),
    *("x-ms-offer-throughput", "x-ms-cosmos-offer-autopilot-settings", "x-ms-activity-id", "host", "prefer"),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "x-ms-documentdb-partitionkey": st.sampled_from(['["a"]', '["a","b"]', "[{}]", "[]", "[1e400]", "a"]),
        **FLAGS,
        **dict.fromkeys(TELLING, WORDS),
    },
)
KEEPS = {ITEMS, RID, "/dbs/d", "/dbs/AAAAAQ=="}


@pytest.fixture
def furnished(make_front: Callable[..., Any]) -> Any:
    front = make_front(ranges=2)
    for name, definition in CONTAINERS.items():
        assert front.call("POST", "/dbs/d/colls", {"id": name, **definition}).status == 201
    for id in "12":
        assert front.call("POST", f"{ITEMS}/docs", {"id": id, "pk": "a", "l": [1, 2]}, key='"a"').status == 201
    front.faults.arm("cosmos", "lag_second_region", -1, {}, {"milliseconds": 5})
    front.faults.arm("cosmos", "enforce_throughput", -1, {}, {})
    return front


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    path=PATHS,
    headers=HEADERS,
    body=DOCUMENTS | PATCHES | QUERIES | BATCHES | JSON,
)
def test_any_request_is_answered_and_by_no_server_error(
    furnished: Any, method: str, path: str, headers: dict[str, str], body: Any
) -> None:
    if method == "DELETE" and path in KEEPS:
        return
    try:
        answer = furnished.call(method, path, body, **headers)
    except furnished.NO_ROUTE:
        return  # it could not even be signed
    furnished.clock += 1.0
    assert answer.status < 500
    assert answer.status < 400 or "code" in answer.content
