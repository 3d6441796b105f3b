"""Cutting a client's connection without an answer: what faults of the HTTP services do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def cut(send: Send) -> None:
    """Cut the connection without an answer: ASGI has no word for it, so uvicorn's transport is asked directly.

    The caller lets the loop turn once before it returns, so that uvicorn knows of it and does not answer by itself.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if not isinstance(transport, asyncio.BaseTransport):
        raise RuntimeError("this server cannot cut a connection")
    getattr(transport, "abort", transport.close)()
