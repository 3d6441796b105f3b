"""Cutting a client's connection without an answer: what faults of the HTTP services do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def connection_of(send: Send) -> asyncio.BaseTransport:
    """What a request came in on: ASGI has no word for it, so uvicorn's transport is asked for."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if not isinstance(transport, asyncio.BaseTransport):
        raise RuntimeError("this server does not tell its connections")
    return transport


def cut(connection: asyncio.BaseTransport) -> None:
    """Cut a connection without an answer.

    The caller lets the loop turn once before it returns, so that uvicorn knows of it and does not answer by itself.
    """
    getattr(connection, "abort", connection.close)()
