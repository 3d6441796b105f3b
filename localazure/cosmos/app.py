"""The account as an ASGI application: the edge where requests come in and refusals become answers.

Owns: reading bodies within bounds, the order of the checks (address, signature, faults, the operation), counting,
turning every `CosmosError` into wire form once. Refuses to know: what operations mean, sockets (the server gives it
`send`).

How: plain ASGI and one literal table (`routes`); the events of a connection are the server's. Bodies above the bound
are read to their end and refused, so that the client hears why.

Source: asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from localazure.cosmos import routes, wire
from localazure.cosmos.account import Account
from localazure.cosmos.auth import CosmosKeys, Gatekeeper
from localazure.cosmos.endpoints import ResourceEndpoints
from localazure.cosmos.errors import CosmosError, Forbidden, TooLarge
from localazure.cosmos.item_endpoints import ItemEndpoints
from localazure.cosmos.queries import QueryRefused
from localazure.cosmos.strikes import Dropped, Strikes
from localazure.cosmos.wire import Request, Response
from localazure.faults import FaultBook
from localazure.journal import Post

logger = logging.getLogger(__name__)

__all__ = ["CosmosApp", "CosmosKeys", "create_app"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Endpoint = Callable[[Request], Awaitable[Response]]

MOST_BODY_BYTES = 4 * 1024 * 1024
MOST_DRAINED_BYTES = 64 * 1024 * 1024


def create_app(
    data_dir: Path,
    *,
    keys: CosmosKeys,
    post: Post,
    faults: FaultBook,
    ranges: int | None = None,
    bearer_token: str | None = None,
    now: Callable[[], float] = time.time,
) -> CosmosApp:
    """The account kept in `data_dir`. `ranges`: physical partitions per container, instead of by throughput.

    Raises: as `localazure.journal.Journal`; `ValueError` for keys that are not base64.
    """
    gatekeeper = Gatekeeper(keys, bearer_token)
    return CosmosApp(Account(data_dir, post, ranges, now), gatekeeper, Strikes(faults), now)


class CosmosApp:
    """An ASGI application; `close()` after the last request."""

    def __init__(self, account: Account, gatekeeper: Gatekeeper, strikes: Strikes, now: Callable[[], float]) -> None:
        self._account = account
        self._gatekeeper = gatekeeper
        self._strikes = strikes
        self._now = now
        self._counts: Counter[str] = Counter()
        self._resources = ResourceEndpoints(account)
        self._items = ItemEndpoints(account)

    def close(self) -> None:
        self._account.close()

    def counters(self) -> dict[str, int]:
        """Requests so far, by operation."""
        return dict(self._counts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the account speaks HTTP, not {scope['type']}")
        request: Request | None = None
        try:
            request = await _read_request(scope, receive)
            if request is None:
                return
            response = await self._answer(request)
        except CosmosError as refusal:
            response = wire.refusal(refusal, request)
        except QueryRefused as refusal:
            response = wire.query_refusal(refusal, request)
        except Dropped:
            cut(send)
            return
        except Exception:
            logger.exception("a request to the Cosmos DB account failed: %s %s", scope["method"], scope["path"])
            response = wire.refusal(CosmosError("An unexpected error occurred in the embedded Azure."), request)
        await _send(response, request, send)

    async def _answer(self, request: Request) -> Response:
        route = routes.route_of(request)
        operation = routes.operation_of(route, request)
        access = self._gatekeeper.access(routes.signed(route, request), request.headers, self._now())
        self._counts[operation] += 1
        if access == "read-only" and routes.changes_something(request.method, operation):
            raise Forbidden(f"The read-only key does not allow {request.method} on this resource.")
        container = request.segments[3] if len(request.segments) > 3 else None
        await self._strikes.before(operation, container)
        endpoint: Endpoint = getattr(self._items, operation, None) or getattr(self._resources, operation)
        response = await endpoint(request)
        self._strikes.after(operation, container)
        return response


async def _read_request(scope: Scope, receive: Receive) -> Request | None:
    """None when the client went away. Raises: `TooLarge`."""
    body, size = b"", 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size <= MOST_BODY_BYTES:
            body += chunk
        if not message.get("more_body", False):
            break
        if size > MOST_DRAINED_BYTES:
            raise TooLarge("Request size is too large.")
    if size > MOST_BODY_BYTES:
        raise TooLarge(f"Request size is too large: {size} bytes, the most are {MOST_BODY_BYTES}.")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], tuple(scope["path"].strip("/").split("/")), headers, body)


async def _send(response: Response, request: Request | None, send: Send) -> None:
    headers = wire.header_list(response, request.activity_id if request is not None else "")
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if response.status in (204, 304) else response.body})


def cut(send: Send) -> None:
    """Cut the connection without an answer: ASGI has no word for it, so uvicorn's transport is asked directly."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if not isinstance(transport, asyncio.BaseTransport):
        raise RuntimeError("this server cannot cut a connection")
    getattr(transport, "abort", transport.close)()
