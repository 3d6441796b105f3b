"""A Cosmos DB that answers from precomputed bytes: what HTTP and the SDK cost when the server does nothing.

The same uvicorn, the same event loop, the same sizes of answer as the embedded Azure; no keys, no rows, no disk.
Prints its port and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

RID = "AAAAAQAAAAE="
PLACE = {
    "x-ms-session-token": "0:-1#1",
    "x-ms-documentdb-partitionkeyrangeid": "0",
    "x-ms-alt-content-path": "dbs/d/colls/items",
    "x-ms-content-path": RID,
    "lsn": "1",
    "x-ms-request-charge": "1.0",
    "x-ms-activity-id": "00000000-0000-0000-0000-000000000000",
    "x-ms-version": "2020-07-15",
    "x-ms-schemaversion": "1.19",
}
ETAG = '"00000001-0000-0001-0000-6b02cebb0000"'
SYSTEM = {
    "_rid": "AAAAAQAAAAEAAAgAAAAAgA==",
    "_self": "dbs/AAAAAQ==/colls/AAAAAQAAAAE=/docs/AAAAAQAAAAEAAAgAAAAAgA==/",
    "_etag": ETAG,
    "_attachments": "attachments/",
    "_ts": 1795346107,
}
DOCUMENT = {"id": "item-000001", "pk": "a", "text": "x" * 900, **SYSTEM}
CONTAINER = {"id": "items", "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}, "_rid": RID, **SYSTEM}
RANGE = {"_rid": RID, "id": "0", "minInclusive": "", "maxExclusive": "FF", "parents": []}

Message = MutableMapping[str, Any]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


def canned(status: int, content: Any, **headers: str) -> Answer:
    body = b"" if content is None else json.dumps(content, separators=(",", ":")).encode()
    fields = {**PLACE, "content-type": "application/json", **headers}
    if status != 304:
        fields["content-length"] = str(len(body))
    return status, [(name.encode(), value.encode()) for name, value in fields.items()], body


def account(port: int) -> Answer:
    here = [{"name": "Local", "databaseAccountEndpoint": f"http://127.0.0.1:{port}/"}]
    content = {"writableLocations": here, "readableLocations": here, "enableMultipleWriteLocations": False}
    return canned(200, {**content, "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"}})


def application(port: int) -> Callable[..., Awaitable[None]]:
    ranges = canned(200, {"_rid": RID, "PartitionKeyRanges": [RANGE], "_count": 1}, etag='"1"')
    unchanged = canned(304, None, etag='"1"')
    created, read = canned(201, DOCUMENT, etag=ETAG), canned(200, DOCUMENT, etag=ETAG)
    container, self = canned(200, CONTAINER), account(port)

    def answer(scope: Message) -> Answer:
        path = scope["path"].strip("/")
        if path.endswith("pkranges"):
            return unchanged if any(name == b"if-none-match" for name, _ in scope["headers"]) else ranges
        if "/docs" in path:
            return created if scope["method"] == "POST" else read
        return container if path else self

    async def serve(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        while (await receive()).get("more_body", False):
            pass
        status, headers, body = answer(scope)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return serve


def main() -> None:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    port = int(listening.getsockname()[1])
    config = uvicorn.Config(
        application(port), loop="asyncio", http="httptools", ws="none", lifespan="off", log_config=None
    )
    print(port, flush=True)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main()
