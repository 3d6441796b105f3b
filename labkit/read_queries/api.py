"""The query side over HTTP: one route for each question, each answered by the read models alone.

`query_app(synapse, query_container)` is the FastAPI app; uvicorn serves it, and so does Azure Functions. It needs the
read-only key of Cosmos DB and files that it only reads, and has no right on Event Hubs.

- `ETag`: of one order its version, as the command side takes it in `If-Match`; `.0` follows while its customer's name
  is not known. Of a list the hash of its body. `If-None-Match` with it: 304.
- `page` goes on where the answer before said `next`: after that order, so nothing is skipped or shown twice.
- `If-Version-At-Least: <token>` (a command's `Version-Token`) waits until that write is in what answers: the tables,
  the day's figures, or the query container. After the limit: 504, with what there is instead in `has`.
- Every answer says how old it may be: `Read-Model-As-Of` (all that had been projected then is in it),
  `Staleness-Seconds` (how long ago that is), and what it rests on. Whether anything has happened since, only a monitor
  of the hub knows.

What is asked goes into the texts of `questions` as parameters: nothing that a caller sends is ever part of a query.
The questions block, so they run on the thread pool; who waits for a version takes no thread meanwhile, and nothing else
does at all (FastAPI would take one for each dependency that is no coroutine). Of the tables only as many questions are
asked at once as there are processors, in order of arrival: more of them would wait for each other within the engine,
and each as long as all. The one look that is shared by who waits for a version goes beside them, and so do questions to
Cosmos DB, which wait for the network.
Source: RFC 9110, sections 8.8.3 (ETag) and 13.1.2 (If-None-Match); RFC 8288 (Link); RFC 3339.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, cast
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import duckdb
import msgspec
from deltalake.exceptions import DeltaError
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from labkit.errors import LabError
from labkit.events.ids import CUSTOMER_ID, ORDER_ID
from labkit.http_api import HeadAsGet, answering, header_of, headers_said, new_api, refusals, whole
from labkit.problems import Problem
from labkit.projections.query_container import QueryContainer
from labkit.read_queries import forms, questions, waiting
from labkit.read_queries.kept import Kept
from labkit.read_queries.synapse import Answer, Synapse
from labkit.read_queries.tables import TableMissing

REFUSED: Final[Mapping[str, int]] = {"not-found": 404, "no-tables": 503, "not-yet-visible": 504}
TOKEN_TEXT: Final = "The `Version-Token` of a write that the answer must show."


async def conditions(
    token: Annotated[str, header_of("If-Version-At-Least", TOKEN_TEXT, waiting.TOKEN)] = "",
    if_none_match: Annotated[str, Header(alias="If-None-Match", description="ETags of answers that are there.")] = "",
) -> tuple[str, str]:
    """What the headers of any question ask: a token, and ETags."""
    return token, if_none_match


If = Annotated[tuple[str, str], Depends(conditions)]


@dataclass(frozen=True, slots=True)
class Found:
    """What a question found: what the answer rests on, the body or None, its own ETag and headers."""

    answer: Answer
    body: object | None
    etag: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def all_headers(self) -> dict[str, str]:
        """The headers of every answer, refusals included."""
        as_of, stale, since = self.answer.as_of, "unknown", "unknown"
        if as_of is not None:
            stale = f"{max(0.0, (datetime.now(UTC) - as_of).total_seconds()):.3f}"
            since = as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        ends = [f"{name}/{part}={at}" for name, ends in self.answer.positions.items() for part, at in ends.items()]
        return {
            "Read-Model-As-Of": since,
            "Staleness-Seconds": stale,
            "Read-Model-Versions": ", ".join(f"{name}={number}" for name, number in self.answer.versions.items()),
            "Read-Model-Positions": ", ".join(ends),
            "Cache-Control": "no-cache",
            **self.headers,
        }


def shown(answer: Answer) -> list[dict[str, Any]]:
    """The rows as JSON names them."""
    names = [to_camel(name) for name in answer.rows.column_names]
    return cast(list[dict[str, Any]], answer.rows.rename_columns(names).to_pylist())


async def answered(
    request: Request, conditions: If, look: waiting.Look, ask: Callable[[], Found], *, of_tables: bool = True
) -> Response:
    """Wait for the token's version, if there is one, then ask. Raises: `Problem`."""
    token, if_none_match = conditions
    waits: waiting.Waiting = request.app.state.waiting
    asked = "if-version-at-least" in request.headers
    late = asked and not await waits.until_visible(token, look)
    loop, at_once = asyncio.get_running_loop(), asyncio.Semaphore(os.cpu_count() or 1)
    async with request.app.state.engines.setdefault(loop, at_once) if of_tables else nullcontext():
        found = await run_in_threadpool(ask)
    if late:
        text = f"The write is not visible after {waits.at_most_seconds:g} s; `has` is the answer without it."
        has = msgspec.json.decode(msgspec.json.encode(found.body))
        raise Problem("not-yet-visible", text, status=504, headers=found.all_headers(), more={"has": has})
    if found.body is None:
        raise Problem("not-found", "The read model shows no such order.", status=404, headers=found.all_headers())
    body = msgspec.json.encode(found.body)
    etag = f'"{found.etag or hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {**found.all_headers(), "ETag": etag}
    known = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    if known & {etag, "*"}:
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")


# --- the routes -------------------------------------------------------------------------------------------------------

ANSWER_HEADERS: Final = {
    "ETag": "For If-None-Match.",
    "Read-Model-As-Of": "What had been projected then is in the answer; of some tables also what came later.",
    "Staleness-Seconds": "How long ago that is.",
    "Read-Model-Versions": "The version of each table that was read.",
    "Read-Model-Positions": "Table, hub partition, and the last sequence number in it.",
}


def gives(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    headers = headers_said(ANSWER_HEADERS)
    return {
        200: {"model": model, "headers": headers},
        304: {"description": "The caller has this answer.", "headers": headers},
        **refusals(400, *statuses, 413, 422, 504),
    }


OrderInPath = Annotated[str, Path(alias="id", pattern=whole(ORDER_ID), examples=["order-20260105-0001"])]
Nothing = Annotated[forms.Asked, Query()]
CustomerInPath = Annotated[str, Path(alias="id", pattern=whole(CUSTOMER_ID), examples=["customer-0001"])]
routes = APIRouter()


@routes.get("/orders/{id}", responses=gives(forms.Order, 404))
async def order(request: Request, order_id: OrderInPath, asked: Nothing, conditions: If) -> Response:
    """One order. Only the files of the day in its id are looked at."""
    seen: list[Answer] = []

    async def look(aggregate_id: str, version: int) -> bool:
        answer = await request.app.state.waiting.in_tables(aggregate_id, version)
        if answer and aggregate_id == order_id:
            seen.append(answer)
        return answer is not None

    def ask() -> Found:
        try:
            answer = seen[0] if seen else request.app.state.kept.answer(questions.order_of_day(order_id))
        except ValueError:
            raise Problem("not-found", "No calendar has the day in this id.", status=404) from None
        if not answer.rows.num_rows:
            return Found(answer, None)
        (row,) = shown(answer)
        etag = str(row["version"]) if row["customerName"] is not None else f"{row['version']}.0"
        return Found(answer, row, etag, {"Version-Token": f"{order_id}@{row['version']}"})

    return await answered(request, conditions, look, ask)


@routes.get("/orders", responses=gives(forms.Orders))
async def orders(request: Request, asked: Annotated[forms.OrdersOfDays, Query()], conditions: If) -> Response:
    """The orders of these days by id, a page at a time."""

    def ask() -> Found:
        days, after = (asked.first, asked.last), asked.page or ""
        question = questions.orders_between(*days, asked.status, after=after, page_size=asked.size)
        answer: Answer = request.app.state.kept.answer(question)
        return Found(answer, *a_page("/orders", shown(answer), asked))

    return await answered(request, conditions, request.app.state.waiting.in_tables, ask)


@routes.get("/customers/{id}/orders", responses=gives(forms.Orders, 404))
async def orders_of_customer(
    request: Request, customer_id: CustomerInPath, asked: Annotated[forms.Paged, Query()], conditions: If
) -> Response:
    """The orders of one customer by id, a page at a time, from the query container."""
    container: QueryContainer = request.app.state.query_container

    def ask() -> Found:
        positions, as_of = container.came_to(request.app.state.hub)
        found = container.orders_of(customer_id, asked.page or "", asked.size)
        body, etag, headers = a_page(f"/customers/{customer_id}/orders", found, asked)
        return Found(Answer(None, {}, {"query-model": positions}, as_of), body, etag, headers)

    look = waiting.in_query_container(container, customer_id)
    return await answered(request, conditions, look, ask, of_tables=False)


@routes.get("/metrics/daily", responses=gives(forms.Figures))
async def daily_metrics(request: Request, asked: Annotated[forms.OfDays, Query()], conditions: If) -> Response:
    """The figures of these days, from the derived table."""

    def ask() -> Found:
        answer: Answer = request.app.state.kept.answer(questions.derived_daily_metrics(asked.first, asked.last))
        return Found(answer, {"days": shown(answer)})

    return await answered(request, conditions, request.app.state.waiting.in_figures(), ask)


def a_page(path: str, found: list[dict[str, Any]], asked: forms.Paged) -> tuple[dict[str, Any], str, dict[str, str]]:
    """Body, no ETag of its own, and the link to the next page. A full page has one, which may be empty."""
    after = found[-1]["orderId"] if len(found) == asked.size else None
    if after is None:
        return {"orders": found, "next": None}, "", {}
    told = asked.model_dump(by_alias=True, exclude_none=True, mode="json") | {"page": after}
    return {"orders": found, "next": after}, "", {"Link": f'<{path}?{urlencode(told)}>; rel="next"'}


def query_app(
    synapse: Synapse,
    query_container: QueryContainer,
    hub: str,
    *,
    wait_at_most_seconds: float = waiting.WAIT_AT_MOST_SECONDS,
) -> FastAPI:
    """The query side as an ASGI app. `hub`: the name under which the query container keeps how far it has come."""
    description = "Questions to the read models. Each answer says how old it may be."
    api = new_api("Orders, query side", description, REFUSED)
    api.state.query_container, api.state.hub = query_container, hub
    api.state.kept, api.state.engines = Kept(synapse), WeakKeyDictionary()
    api.state.waiting = waiting.Waiting(wait_at_most_seconds, synapse)
    missing = Problem("no-tables", "No projector has made the read models' tables yet.", status=503)
    broken = Problem("unavailable", "The read store cannot be read now.")
    api.add_exception_handler(TableMissing, answering(lambda error: missing))
    for kind in (LabError, duckdb.Error, DeltaError, OSError):
        api.add_exception_handler(kind, answering(lambda error: broken))
    api.add_middleware(HeadAsGet)
    api.include_router(routes)
    return api
