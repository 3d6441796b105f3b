"""Whether a document is there: Cosmos DB says 404 also when it knows nothing of the document.

A 404 with a sub-status means that the container is not there, or that this replica is behind the session. A client that
does not know the container yet asks for that first; the 404 to it has no sub-status, and only its address tells.

Threads may share a client of the SDK, but for one thing: each request counts its retries in the headers of the client's
last answer (`azure.cosmos._retry_utility`), which another thread may be reading. That reading is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError


def read_again(read: Callable[[], Any]) -> Any:
    """What `read` gives, although other threads ask through the same client."""
    with suppress(RuntimeError):
        return read()
    return read()


def document_named(container: ContainerProxy, name: str, partition_key: str | None = None) -> Mapping[str, Any] | None:
    """The document of this id, None if it is not there; without a `partition_key`, it is the id itself."""
    try:
        return dict(read_again(lambda: container.read_item(name, partition_key=partition_key or name)))
    except CosmosResourceNotFoundError as error:
        must_be_about_the_document(error)
        return None


def must_be_about_the_document(error: CosmosResourceNotFoundError) -> None:
    """Raises: the error itself, if it does not say that the document is not there."""
    request: Any = error.response.request if error.response else None
    if error.sub_status or (request is not None and "/docs/" not in request.url):
        raise error
