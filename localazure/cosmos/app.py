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
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from localazure.connection import cut
from localazure.cosmos import regions, rids, routes, wire
from localazure.cosmos.account import Account
from localazure.cosmos.auth import CosmosKeys, Gatekeeper
from localazure.cosmos.catalog import DEFAULT_RU
from localazure.cosmos.endpoints import ResourceEndpoints
from localazure.cosmos.errors import CosmosError, Forbidden, TooLarge, TooManyRequests
from localazure.cosmos.item_endpoints import ItemEndpoints
from localazure.cosmos.queries import QueryRefused
from localazure.cosmos.strikes import Crashed, Dropped, Place, Strikes
from localazure.cosmos.throttling import Throttle
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
    gatekeeper, strikes = Gatekeeper(keys, bearer_token), Strikes(faults)
    account = Account(data_dir, post, fixed_ranges=ranges, now=now, second_region_lag=strikes.second_region_lag)
    return CosmosApp(account, gatekeeper, strikes, now)


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
        self._throttle = Throttle()
        self._under_way: set[Send] = set()
        self._begun = False

    def leave(self) -> None:
        """Let queries that are under way end at once: the server is about to stop."""
        self._account.leave()

    def close(self) -> None:
        self._account.close()

    def counters(self) -> dict[str, int]:
        """Requests so far, by operation."""
        return dict(self._counts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the account speaks HTTP, not {scope['type']}")
        request: Request | None = None
        self._under_way.add(send)
        try:
            request = await _read_request(scope, receive)
            if request is None:
                return
            response = await self._answer(request)
        except CosmosError as refusal:
            response = wire.refusal(refusal, request)
        except QueryRefused as refusal:
            response = wire.query_refusal(refusal, request)
        except Dropped as drop:
            for connection in self._crash() if isinstance(drop, Crashed) else (send,):
                cut(connection)
            await asyncio.sleep(0)
            return
        except sqlite3.Error as failure:
            logger.error("the Cosmos DB account cannot use its disk: %s", failure)
            response = wire.refusal(CosmosError(f"The embedded Azure cannot use its disk: {failure}."), request)
        except Exception:
            logger.exception("a request to the Cosmos DB account failed: %s %s", scope["method"], scope["path"])
            response = wire.refusal(CosmosError("An unexpected error occurred in the embedded Azure."), request)
        finally:
            self._under_way.discard(send)
        await _send(response, request, send)

    async def _answer(self, request: Request) -> Response:
        route = routes.route_of(request)
        operation = routes.operation_of(route, request)
        access = self._gatekeeper.access(routes.signed(route, request), request.headers, self._now())
        self._counts[operation] += 1
        if not self._begun:
            self._begun = True
            self._account.resume()
        if access == "read-only" and routes.changes_something(request.method, operation):
            raise Forbidden(f"The read-only key does not allow {request.method} on this resource.")
        place = self._place(request)
        await self._strikes.before(operation, place)
        endpoint: Endpoint = getattr(self._items, operation, None) or getattr(self._resources, operation)
        if hasattr(self._items, operation) and self._strikes.enforces_throughput(place):
            response = await self._throttled(endpoint, request, place)
        else:
            response = await endpoint(request)
        self._strikes.after(operation, place)
        if self._account.has_second_region and regions.is_second(request.headers.get("host", "")):
            self._strikes.count_second_region()
        return response

    def _place(self, request: Request) -> Place:
        """The names of what a request is about, also where its path has resource ids."""
        _, database, _, container = (*request.segments, *(None,) * 4)[:4]
        if database is not None and container is not None and rids.addresses_by_rid(database):
            with suppress(CosmosError):
                found = self._account.catalog.container(database, container)
                return Place(database=found.database.name, container=found.name)
        return Place(database=database, container=container)

    async def _throttled(self, endpoint: Endpoint, request: Request, named: Place) -> Response:
        """Raises: `TooManyRequests` where the physical partition has nothing left in this second."""
        container, range_id = self._items.place_of(request)
        offer = self._account.catalog.offer_of(container)
        share = (offer.most_request_units if offer else DEFAULT_RU) / len(container.partitions)
        try:
            self._throttle.admit(container.rid, range_id, share)
        except TooManyRequests:
            self._strikes.count_throttled(named)
            raise
        response = await endpoint(request)
        self._throttle.spend(container.rid, range_id, share, response.charge)
        return response

    def _crash(self) -> tuple[Send, ...]:
        """Forget what is in memory, as if the process had died and come back; the connections that this cuts."""
        self._throttle.forget()
        self._account.forget()
        return tuple(self._under_way)


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
    segments = tuple(scope["path"].strip("/").split("/"))
    return Request(scope["method"], segments, headers, body, scope.get("scheme", "http"))


async def _send(response: Response, request: Request | None, send: Send) -> None:
    headers = wire.header_list(response, request.activity_id if request is not None else "")
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if response.status in (204, 304) else response.body})
