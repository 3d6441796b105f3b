"""The account's regions: one, or while a lesson asks for it a second one that reads a moment behind.

Owns: what `GET /` says of regions, and which region a request came to. Refuses to know: how the past is kept (`past`).

How: with a second region the account is at 127.0.0.1 and its replica at `localhost`, the same port: the name a client
called tells which one it asked. Writes go to the first: the second answers them with 403/3, and the SDKs turn to the
first.
"""

from __future__ import annotations

from typing import Any

FIRST, SECOND = "Local", "Local Second"
FIRST_HOST, SECOND_HOST = "127.0.0.1", "localhost"


def locations(scheme: str, host: str, *, with_second: bool) -> dict[str, Any]:
    """The account's `writableLocations` and `readableLocations`, at the very address the client used."""
    if not with_second:
        only = [{"name": FIRST, "databaseAccountEndpoint": f"{scheme}://{host}/"}]
        return {"writableLocations": only, "readableLocations": only}
    _, _, port = host.partition(":")
    first, second = (
        {"name": name, "databaseAccountEndpoint": f"{scheme}://{address}:{port}/"}
        for name, address in ((FIRST, FIRST_HOST), (SECOND, SECOND_HOST))
    )
    return {"writableLocations": [first], "readableLocations": [first, second]}


def is_second(host: str) -> bool:
    return host.partition(":")[0].lower() == SECOND_HOST
