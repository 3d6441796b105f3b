"""The control route of an embedded Azure: health, hubs, faults, counters, stop. HTTP on a loopback port of its own.

Every request carries `Authorization: Bearer <control token>`; without it 401, whatever the path. A refusal is
`{"error": sentence}` with a 4xx status. This is the lab's own interface: nothing of it exists on Azure.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.eventgrid.control import routes as event_grid_routes
from localazure.eventgrid.service import EventGrid
from localazure.eventhubs.service import EventHubs
from localazure.fault_book import FaultBook
from localazure.fault_kinds import UnknownFault

Endpoint = Callable[[Request], Awaitable[Response]]


class Counted(Protocol):
    """A service that counts what it has done."""

    def counters(self) -> dict[str, int]: ...


def create_control(
    *,
    token: str,
    event_hubs: EventHubs,
    event_grid: EventGrid,
    cosmos: Counted,
    faults: FaultBook,
    stop: Callable[[], None],
) -> ASGIApp:
    """The ASGI application of the control route."""

    async def health(_: Request) -> Response:
        return JSONResponse({"pid": os.getpid(), "ready": True})

    async def counters(_: Request) -> Response:
        services = {"cosmos": cosmos, "event_hubs": event_hubs, "event_grid": event_grid}
        return JSONResponse({name: service.counters() for name, service in services.items()})

    async def stop_server(_: Request) -> Response:
        stop()
        return JSONResponse({})

    routes = [
        Route("/health", health),
        Route("/counters", counters),
        *_hub_routes(event_hubs),
        *event_grid_routes(event_grid),
        *_fault_routes(faults),
        Route("/stop", stop_server, methods=["POST"]),
    ]
    refusals: dict[Any, Any] = dict.fromkeys((UnknownFault, ValueError, LookupError, TypeError), _refused)
    return _TokenGuard(Starlette(routes=routes, exception_handlers=refusals), token)


def _hub_routes(event_hubs: EventHubs) -> list[Route]:
    async def list_hubs(_: Request) -> Response:
        return JSONResponse([hub.name for hub in event_hubs.hubs()])

    async def create_hub(request: Request) -> Response:
        wanted = await request.json()
        name, count, groups = wanted["name"], wanted["partition_count"], wanted.get("consumer_groups", [])
        if type(name) is not str or type(count) is not int or type(groups) is not list:
            raise ValueError("a hub has a name (text), a partition_count (whole number) and consumer_groups (a list)")
        if not all(type(group) is str for group in groups):
            raise ValueError("a consumer group's name is text")
        event_hubs.create_hub(name, count, tuple(dict.fromkeys(groups)))
        return JSONResponse({}, 201)

    async def delete_hub(request: Request) -> Response:
        event_hubs.delete_hub(request.path_params["name"])
        return JSONResponse({})

    async def end_retention(request: Request) -> Response:
        return JSONResponse({"events": event_hubs.end_retention(request.path_params["name"])})

    return [
        Route("/hubs", list_hubs),
        Route("/hubs", create_hub, methods=["POST"]),
        Route("/hubs/{name}", delete_hub, methods=["DELETE"]),
        Route("/hubs/{name}/events", end_retention, methods=["DELETE"]),
    ]


def _fault_routes(faults: FaultBook) -> list[Route]:
    async def list_faults(_: Request) -> Response:
        return JSONResponse(faults.report())

    async def arm_fault(request: Request) -> Response:
        wanted = await request.json()
        service, kind, times = wanted["service"], wanted["kind"], wanted["times"]
        where, values = wanted["where"], wanted["values"]
        if type(service) is not str or type(kind) is not str or type(times) is not int:
            raise ValueError("a fault has a service (text), a kind (text) and times (whole number)")
        if type(where) is not dict or type(values) is not dict:
            raise ValueError("where and values of a fault are objects")
        fault = faults.arm(service, kind, times, where, values)  # type: ignore[arg-type]
        return JSONResponse(fault.as_json(), 201)

    async def clear_fault(request: Request) -> Response:
        return JSONResponse(faults.clear(request.path_params["number"]))

    async def clear_faults(_: Request) -> Response:
        return JSONResponse(faults.clear())

    return [
        Route("/faults", list_faults),
        Route("/faults", arm_fault, methods=["POST"]),
        Route("/faults", clear_faults, methods=["DELETE"]),
        Route("/faults/{number:int}", clear_fault, methods=["DELETE"]),
    ]


async def _refused(_: Request, error: Exception) -> Response:
    missing = isinstance(error, KeyError)
    sentence = f"the request lacks the field {error}" if missing else str(error)
    return JSONResponse({"error": sentence}, 404 if isinstance(error, LookupError) and not missing else 400)


class _TokenGuard:
    """Answers 401 to whatever does not carry the token."""

    def __init__(self, inner: ASGIApp, token: str) -> None:
        self._inner = inner
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                await JSONResponse({"error": "the control token is missing or wrong"}, 401)(scope, receive, send)
                return
        await self._inner(scope, receive, send)
