"""The publishing side as an ASGI application: `POST /api/events` of a topic, as `EventGridPublisherClient` asks.

Owns: the address, the key, the order of the checks (address, method, key, version, content, faults), turning every
`GridError` into wire form once. Refuses to know: what becomes of the events (`service`), sockets.

On Azure a topic is a host; here it is the first segment of the path, and without one the topic named `default`.
Source: learn.microsoft.com/azure/event-grid/post-to-custom-topic
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from localazure.connection import connection_of, cut
from localazure.eventgrid.events import MOST_BYTES, read
from localazure.eventgrid.refusals import BadRequest, GridError, NotAllowed, NotFound, Refused, TooLarge, Unauthorized
from localazure.eventgrid.service import EventGrid
from localazure.request_body import BodyTooLarge, Receive, read_body

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

API_VERSION = "2018-01-01"
DEFAULT_TOPIC = "default"
UNSIGNED = "Request must contain one of the following authorization signature: aeg-sas-token, aeg-sas-key."


class Dropped(Exception):
    """A fault cuts the connection."""


def create_app(grid: EventGrid) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The ASGI application."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"a topic speaks HTTP, not {scope['type']}")
        status, body = 200, b""
        try:
            told = await read_body(receive, MOST_BYTES)
            if told is None:
                return
            await _publish(grid, scope, told)
        except BodyTooLarge as large:
            refusal = TooLarge(f"The request has {large.at_least_bytes} bytes or more, the most are {MOST_BYTES}.")
            status, body = refusal.status, refusal.body()
        except GridError as error:
            status, body = error.status, error.body()
        except Dropped:
            cut(connection_of(send))
            await asyncio.sleep(0)
            return
        except sqlite3.Error as failure:
            logger.error("Event Grid cannot use its disk: %s", failure)
            status, body = 500, GridError("The embedded Azure cannot use its disk.").body()
        except Exception:
            logger.exception("a request to Event Grid failed: %s %s", scope["method"], scope["path"])
            status, body = 500, GridError("An unexpected error occurred in the embedded Azure.").body()
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json; charset=utf-8")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application


async def _publish(grid: EventGrid, scope: Scope, body: bytes) -> None:
    """Raises: `GridError`, `Dropped`."""
    topic = _topic(scope["path"])
    if topic is None or not grid.has(topic):
        raise NotFound("There is no topic of this address.")
    if scope["method"] != "POST":
        raise NotAllowed("Events are posted.")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    _must_be_signed(headers, grid.key_of(topic))
    if parse_qs(scope["query_string"].decode("latin-1")).get("api-version") != [API_VERSION]:
        raise BadRequest(f"The api-version is missing or unsupported; it is {API_VERSION}.")
    events = read(headers.get("content-type", ""), body)
    fault = grid.faults.take("event_grid", "refuse_publish", topic=topic)
    if fault is not None:
        raise Refused(fault.values["status"])
    await grid.publish(topic, events)
    if grid.faults.take("event_grid", "lose_acknowledgement", topic=topic) is not None:
        raise Dropped


def _topic(path: str) -> str | None:
    match path.strip("/").split("/"):
        case ["api", "events"]:
            return DEFAULT_TOPIC
        case [name, "api", "events"]:
            return name
        case _:
            return None


def _must_be_signed(headers: dict[str, str], key: str) -> None:
    """Raises: `Unauthorized`."""
    given = headers.get("aeg-sas-key")
    if given is None:
        if "aeg-sas-token" in headers or "authorization" in headers:
            raise Unauthorized("The embedded Azure takes the topic's key (aeg-sas-key), no tokens.")
        raise Unauthorized(UNSIGNED)
    if not hmac.compare_digest(given.encode(), key.encode()):
        raise Unauthorized("The request authorization key is not authorized for this topic.")
