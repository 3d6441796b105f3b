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
from weakref import WeakSet

from localazure.connection import connection_of, cut
from localazure.cosmos import regions, rids, routes, wire
from localazure.cosmos.account import Account
from localazure.cosmos.auth import Access, CosmosKeys, Gatekeeper
from localazure.cosmos.consistency import LEVELS, SESSION, level_of
from localazure.cosmos.endpoints import ResourceEndpoints
from localazure.cosmos.errors import (
    CosmosError,
    Forbidden,
    ForbiddenToTokens,
    TooLarge,
    TooManyRequests,
    WriteForbidden,
)
from localazure.cosmos.item_endpoints import ItemEndpoints
from localazure.cosmos.queries import QueryRefused
from localazure.cosmos.strikes import Crashed, Dropped, Place, Strikes
from localazure.cosmos.throttling import Throttle
from localazure.cosmos.wire import Request, Response
from localazure.fault_book import FaultBook
from localazure.journal import Post
from localazure.request_body import BodyTooLarge, Receive, read_body

logger = logging.getLogger(__name__)

__all__ = ["CosmosApp", "CosmosKeys", "create_app"]

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Endpoint = Callable[[Request], Awaitable[Response]]

MOST_BODY_BYTES = 4 * 1024 * 1024


def create_app(
    data_dir: Path,
    *,
    keys: CosmosKeys,
    post: Post,
    faults: FaultBook,
    ranges: int | None = None,
    bearer_token: str | None = None,
    consistency: str = SESSION,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> CosmosApp:
    """The account kept in `data_dir`. `ranges`: physical partitions per container, instead of by throughput.

    `consistency`: the account's default level, of `consistency.LEVELS`.
    Raises: as `localazure.journal.Journal`; `ValueError` for keys that are not base64, or a level that does not exist.
    """
    if consistency not in LEVELS:
        raise ValueError(f"the consistency level {consistency!r} is not one of {', '.join(LEVELS)}")
    gatekeeper, strikes = Gatekeeper(keys, bearer_token), Strikes(faults)
    account = Account(
        data_dir,
        post,
        fixed_ranges=ranges,
        now=now,
        second_region_lag=strikes.second_region_lag,
        consistency=consistency,
    )
    return CosmosApp(account, gatekeeper, strikes, Throttle(clock), now)


class CosmosApp:
    """An ASGI application; `close()` after the last request."""

    def __init__(
        self,
        account: Account,
        gatekeeper: Gatekeeper,
        strikes: Strikes,
        throttle: Throttle,
        now: Callable[[], float],
    ) -> None:
        self._account = account
        self._gatekeeper = gatekeeper
        self._strikes = strikes
        self._now = now
        self._counts: Counter[str] = Counter()
        self._resources = ResourceEndpoints(account)
        self._items = ItemEndpoints(account)
        self._throttle = throttle
        self._connections: WeakSet[asyncio.BaseTransport] = WeakSet()
        self._life = object()
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
        connection = connection_of(send)
        self._connections.add(connection)
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
            for doomed in self._crash() if isinstance(drop, Crashed) else (connection,):
                cut(doomed)
            await asyncio.sleep(0)
            return
        except sqlite3.Error as failure:
            logger.error("the Cosmos DB account cannot use its disk: %s", failure)
            response = wire.refusal(CosmosError(f"The embedded Azure cannot use its disk: {failure}."), request)
        except Exception:
            logger.exception("a request to the Cosmos DB account failed: %s %s", scope["method"], scope["path"])
            response = wire.refusal(CosmosError("An unexpected error occurred in the embedded Azure."), request)
        await _send(response, request, send)

    async def _answer(self, request: Request) -> Response:
        route = routes.route_of(request)
        operation = routes.operation_of(route, request)
        access = self._gatekeeper.access(routes.signed(route, request), request.headers, self._now())
        self._counts[operation] += 1
        if not self._begun:
            self._begun = True
            self._account.resume()
        in_second = regions.is_second(request.headers.get("host", ""))
        if routes.changes_something(request.method, operation):
            self._check_change(access, operation, request, in_second=in_second)
        if operation != "read_account":
            level_of(request.headers.get("x-ms-consistency-level"), self._account.consistency)
        place, life = self._place(request), self._life
        await self._strikes.before(operation, place)
        if life is not self._life:
            raise Dropped  # the process has crashed while this request was held
        if in_second and routes.reads_documents(operation, request):
            self._strikes.count_second_region()
        endpoint: Endpoint = getattr(self._items, operation, None) or getattr(self._resources, operation)
        if hasattr(self._items, operation) and self._strikes.enforces_throughput(place):
            response = await self._throttled(endpoint, request, place)
        else:
            response = await endpoint(request)
        self._strikes.after(operation, place)
        return response

    def _check_change(self, access: Access, operation: str, request: Request, *, in_second: bool) -> None:
        """Raises: `Forbidden` for a change that a read-only key, a bearer token, or the region does not allow."""
        what = f"{request.method} /{'/'.join(request.segments)}"
        if access == "read-only":
            raise Forbidden(f"The read-only key does not allow [{what}].")
        if access == "token" and not hasattr(self._items, operation):
            raise ForbiddenToTokens(f"The given request [{what}] cannot be authorized by AAD token in data plane.")
        if in_second and self._account.has_second_region:
            raise WriteForbidden(f"The requested operation [{what}] cannot be performed at this region.")

    def _place(self, request: Request) -> Place:
        """The names of what a request is about, also where its path has resource ids."""
        _, database, _, container = (*request.segments, *(None,) * 4)[:4]
        if database is not None and container is not None and rids.addresses_by_rid(database):
            with suppress(CosmosError):
                found = self._account.catalog.container(database, container)
                return Place(database=found.database.name, container=found.name)
        return Place(database=database, container=container)

    async def _throttled(self, endpoint: Endpoint, request: Request, named: Place) -> Response:
        """Charge the physical partitions that serve a request: the named one, else those its answer came from.

        Only a read has no name for its partition, so a read may be done and then refused.
        Raises: `TooManyRequests` where one of them has nothing left in this second; what the endpoint raises.
        """
        container, range_id = self._items.range_of(request)
        owner, ru_per_second = self._account.catalog.budget_of(container)
        budgets = self._throttle.of(owner, ru_per_second)
        try:
            if range_id is not None:
                budgets.admit((range_id,))
            response = await endpoint(request)
            if range_id is None:
                budgets.admit(response.range_ids)
        except TooManyRequests:
            self._strikes.count_throttled(named)
            raise
        except CosmosError as refusal:
            budgets.spend((range_id,) if range_id is not None else (), refusal.charge)
            raise
        budgets.spend(response.range_ids if range_id is None else (range_id,), response.charge)
        return response

    def _crash(self) -> tuple[asyncio.BaseTransport, ...]:
        """Forget what is in memory, as if the process had died and come back; the connections that this cuts."""
        self._life = object()
        self._throttle.forget()
        self._account.forget()
        return tuple(self._connections)


async def _read_request(scope: Scope, receive: Receive) -> Request | None:
    """None when the client went away. Raises: `TooLarge`."""
    try:
        body = await read_body(receive, MOST_BODY_BYTES)
    except BodyTooLarge as large:
        told = f"{large.at_least_bytes} bytes, the most are {MOST_BODY_BYTES}"
        raise TooLarge(f"Request size is too large: {told}.") from large
    if body is None:
        return None
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    segments = tuple(scope["path"].strip("/").split("/"))
    return Request(scope["method"], segments, headers, body, scope.get("scheme", "http"))


async def _send(response: Response, request: Request | None, send: Send) -> None:
    headers = wire.header_list(response, request.activity_id if request is not None else "")
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if response.status in (204, 304) else response.body})
