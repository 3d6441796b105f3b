"""The body of an HTTP request, held within a bound: what every service of this server reads the same way.

What is above the bound is read to its end and thrown away, so that the client hears the refusal instead of a broken
connection; above a much higher one it is not waited for any longer.

Source: asgi.readthedocs.io/en/latest/specs/www.html (`http.request`, `http.disconnect`)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

MOST_DRAINED_BYTES = 64 * 1024 * 1024

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BodyTooLarge(Exception):
    """`at_least_bytes` were sent."""

    def __init__(self, at_least_bytes: int) -> None:
        super().__init__(f"{at_least_bytes} bytes")
        self.at_least_bytes = at_least_bytes


async def read_body(receive: Receive, most_bytes: int) -> bytes | None:
    """None when the client went away. Raises: `BodyTooLarge`."""
    body, size = bytearray(), 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size <= most_bytes:
            body += chunk
        if not message.get("more_body", False) or size > MOST_DRAINED_BYTES:
            break
    if size > most_bytes:
        raise BodyTooLarge(size)
    return bytes(body)
