"""The gateway's part in a query: whom to ask, what to refuse, and the form of the answer.

Owns: the gateway's rules for queries (what needs the cross-partition flag, what is answered 400/1004 so that the client
asks for a plan) and the form of the answers. Refuses to know: HTTP routing, keys and signatures, where documents are
kept (`QueriedContainer`), what SQL means (`localazure.cosmos.sql`), how a page is filled (`pages`).

How: a query with a partition key or a range is handed to it. One without is served range after range, one range to a
page, as far as the gateway serves it at all; else it is answered 400/1004 with its plan, and the client fans out.

Source: learn.microsoft.com/rest/api/cosmos-db/querying-cosmosdb-resources-using-the-rest-api
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from localazure.cosmos import continuations, pages
from localazure.cosmos.page_documents import Target
from localazure.cosmos.queried import KeyRange, QueriedContainer
from localazure.cosmos.queries import QueryAnswer, QueryRefused, bad_request
from localazure.cosmos.query_requests import is_true, item_limit, read_body, read_key
from localazure.cosmos.slices import within
from localazure.cosmos.sql import (
    CompiledQuery,
    NonFiniteResult,
    OutOfTime,
    SqlRefused,
    Watch,
    compile_query,
    limits,
    ordering,
    parse,
    plan,
)

CROSS_PARTITION_NOT_SERVABLE: Final = 1004
NON_FINITE_RESULT: Final = 4001
# Source: github.com/Azure/azure-cosmos-db-emulator-docker/issues/310
NON_FINITE_WORDS: Final = (
    "The response content contains a numeric value that cannot be represented in JSON (e.g. Infinity and NaN)."
)
PARTITION_KEY_RANGE_GONE: Final = 1002


def answer_query(
    container: QueriedContainer, headers: Mapping[str, str], body: bytes, is_cancelled: Callable[[], bool]
) -> QueryAnswer:
    """See `localazure.cosmos.queries.answer_query`."""
    text, parameters = read_body(body)
    watch = Watch(limits.LONGEST_RUN_SECONDS, is_cancelled)
    try:
        query = _compiled(text)
        if is_true(headers, "x-ms-cosmos-is-query-plan-request"):
            return _plan_answer(container, query, text, parameters, headers)
        ordering.check(query.tree, container.indexing_policy)
        targets = _targets(container, query, text, parameters, headers)
        page = pages.fill(container, query, targets, _page_request(text, parameters, headers), watch)
    except SqlRefused as refusal:
        raise bad_request(f"Message: {refusal.as_service_text()}") from refusal
    except NonFiniteResult as refusal:
        raise bad_request(NON_FINITE_WORDS, NON_FINITE_RESULT) from refusal
    except OutOfTime as refusal:
        message = "The operation did not complete within the allotted amount of time."
        raise QueryRefused(408, "RequestTimeout", message) from refusal
    except RecursionError as refusal:
        raise bad_request(f"Message: {limits.too_deep(0, len(text)).as_service_text()}") from refusal
    except ordering.OrderRefused as refusal:
        raise bad_request(f"Message: {json.dumps({'Errors': [str(refusal)]})}") from refusal
    except continuations.InvalidContinuation as refusal:
        raise bad_request("Invalid Continuation Token") from refusal
    return _page_answer(container, page, headers)


@lru_cache(maxsize=512)
def _compiled(text: str) -> CompiledQuery:
    return compile_query(parse(text))


def _page_request(text: str, parameters: Mapping[str, Any], headers: Mapping[str, str]) -> pages.PageRequest:
    digest = continuations.digest(text, parameters)
    token = headers.get("x-ms-continuation")
    place = continuations.read(token, digest) if token else None
    return pages.PageRequest(dict(parameters), item_limit(headers.get("x-ms-max-item-count")), digest, place)


# Which documents a request asks


def _targets(
    container: QueriedContainer,
    query: CompiledQuery,
    text: str,
    parameters: Mapping[str, Any],
    headers: Mapping[str, str],
) -> list[Target]:
    """The ranges to read, in order. Raises: QueryRefused for what the gateway does not serve."""
    ranges = container.ranges()
    range_id = headers.get("x-ms-documentdb-partitionkeyrangeid")
    if range_id is not None:
        return [_range_target(ranges, range_id, headers)]
    key = headers.get("x-ms-documentdb-partitionkey")
    if key is not None:
        return [_key_target(container, ranges, read_key(key, len(container.partition_key_paths)))]
    pinned = plan.key_values(query.tree, container.partition_key_paths, parameters)
    if not is_true(headers, "x-ms-documentdb-query-enablecrosspartition") and (pinned is None or len(pinned) != 1):
        raise bad_request(
            "Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to "
            "true, specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception."
        )
    if plan.needs_plan(query.tree) and headers.get("x-ms-continuation"):
        raise continuations.InvalidContinuation("a token of one range, for what the client merges from several")
    _refuse_what_the_client_must_combine(container, query, text, parameters)
    if not query.tree.sources:
        return [Target(ranges[0].id, ranges[0].minimum, ranges[0].maximum)]
    if pinned is not None:
        found = {target.id: target for target in (_key_target(container, ranges, key) for key in pinned)}
        wanted = [part for part in ranges if part.id in found]
        return [Target(part.id, part.minimum, part.maximum) for part in wanted]
    return [Target(part.id, part.minimum, part.maximum) for part in ranges]


def _refuse_what_the_client_must_combine(
    container: QueriedContainer, query: CompiledQuery, text: str, parameters: Mapping[str, Any]
) -> None:
    """400/1004 with the plan in it: newer clients answer it by reading range after range themselves."""
    if plan.has_bare_aggregate(query.tree):
        raise bad_request("Cross partition query only supports 'VALUE <AggregateFunc>' for aggregates.")
    if plan.needs_plan(query.tree):
        raise QueryRefused(
            400,
            "BadRequest",
            "The provided cross partition query can not be directly served by the gateway. This is a first chance "
            "(internal) exception that all newer clients will know how to handle gracefully. This exception is traced, "
            "but unless you see it bubble up as an exception (which only happens on older SDK clients), then you can "
            "safely ignore this message.",
            substatus=CROSS_PARTITION_NOT_SERVABLE,
            additional_error_info=json.dumps(_plan_of(container, query, text, parameters)),
        )


def _range_target(ranges: Sequence[KeyRange], range_id: str, headers: Mapping[str, str]) -> Target:
    wanted = range_id.rpartition(",")[2]
    for part in ranges:
        if part.id == wanted:
            return Target(part.id, *within(part.minimum, part.maximum, headers))
    raise QueryRefused(410, "Gone", "The requested partition key range is gone.", substatus=PARTITION_KEY_RANGE_GONE)


def _key_target(container: QueriedContainer, ranges: Sequence[KeyRange], key: tuple[Any, ...]) -> Target:
    effective = container.effective_key(key)
    part = next(part for part in reversed(ranges) if part.minimum <= effective)
    if len(key) < len(container.partition_key_paths):
        return Target(part.id, effective, effective + "FF")
    return Target(part.id, effective, effective, key)


# Answers


def _page_answer(container: QueriedContainer, page: pages.Page, headers: Mapping[str, str]) -> QueryAnswer:
    answer_headers = {
        "x-ms-item-count": str(len(page.items)),
        "x-ms-documentdb-partitionkeyrangeid": page.range_id,
    }
    if page.continuation is not None:
        answer_headers["x-ms-continuation"] = page.continuation
    if is_true(headers, "x-ms-documentdb-populatequerymetrics"):
        answer_headers["x-ms-documentdb-query-metrics"] = page.metrics()
    body = b'{"_rid":%s,"Documents":[%s],"_count":%d}' % (
        json.dumps(container.rid).encode(),
        b",".join(page.items),
        len(page.items),
    )
    return QueryAnswer(body, answer_headers, page.range_id, page.retrieved_documents, page.retrieved_bytes)


def _plan_of(
    container: QueriedContainer, query: CompiledQuery, text: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    keys = plan.key_values(query.tree, container.partition_key_paths, parameters)
    ranges = [{"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}]
    if not query.tree.sources:
        ranges[0]["max"] = container.ranges()[0].maximum
    elif keys is not None:
        points = sorted({container.effective_key(key) for key in keys})
        ranges = [{"min": at, "max": at, "isMinInclusive": True, "isMaxInclusive": True} for at in points]
    return {
        "partitionedQueryExecutionInfoVersion": 2,
        "queryInfo": plan.query_info(query.tree, text, parameters),
        "queryRanges": ranges,
        "hybridSearchQueryInfo": None,
    }


def _plan_answer(
    container: QueriedContainer,
    query: CompiledQuery,
    text: str,
    parameters: Mapping[str, Any],
    headers: Mapping[str, str],
) -> QueryAnswer:
    offered = {name.strip() for name in headers.get("x-ms-cosmos-supported-query-features", "").split(",")}
    missing = [name for name in plan.features(query.tree) if name not in offered]
    if missing:
        raise bad_request(
            "Query contains the following features, which the calling client does not support: " + " ".join(missing)
        )
    body = json.dumps(_plan_of(container, query, text, parameters)).encode()
    return QueryAnswer(body, {}, None, 0, 0)
