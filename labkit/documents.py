"""Reading one document, or what a query finds, through a client of the SDK that threads share; and how it is made.

A service that accepts a request and never answers is given up after `READ_TIMEOUT_SECONDS`. The SDK asks 4 times for
what it may ask again, reads and queries, and so it does for what it looks up before: a read ends after some 42 s, where
a cell of a notebook may take 180. At the SDK's own 65 s it was 262, and a client's first query took 787 (measured once,
with azure-cosmos 4.17.1 and the embedded Azure halted). The service itself ends a single operation, or one page of a
query, after 5 s. The embedded Azure does not: a count or a sort that takes it longer than 10 s is not waited for.
Source: learn.microsoft.com/azure/cosmos-db/concepts-limits, "Per-request limits"

A 404 does not always say that the document is not there. With a sub-status it means that the container is not there, or
that this replica is behind the session. A client that does not know the container yet asks for that first; the 404 to
it has no sub-status, and only its address tells.

Threads may share a client, but for one thing: each request counts its retries in the headers of the client's last
answer (`azure.cosmos._retry_utility`), which another thread's query may be reading. That reading is done again, and a
query's whole answer is read at once for that reason: it breaks between any two pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.cosmos import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosResourceNotFoundError

T = TypeVar("T")

READ_TIMEOUT_SECONDS = 10.0
TIMES_AGAIN = 4
"""With six threads that do nothing else, one reading in forty broke where Python changes threads all the time."""


def client_of(connection: str) -> CosmosClient:
    """A new client for whoever this connection string is of."""
    return CosmosClient.from_connection_string(connection, read_timeout=READ_TIMEOUT_SECONDS)


def is_unanswered(error: BaseException) -> bool:
    """Whether no answer came, not even a refusal, or its connection ended within it; not that a token is missing."""
    without_status = isinstance(error, AzureError) and getattr(error, "status_code", None) is None
    return without_status and not isinstance(error, ClientAuthenticationError)


def read_again(read: Callable[[], T]) -> T:
    """What `read` gives, although other threads ask through the same client."""
    for _ in range(TIMES_AGAIN):
        with suppress(RuntimeError):
            return read()
    return read()


def queried(container: ContainerProxy, text: str, partition_key: str | None = None, **parameters: object) -> list[Any]:
    """All that this query finds in one logical partition, or in all of them; `name="Ada"` is its `@name`."""
    in_all: dict[str, Any] = {"enable_cross_partition_query": True}
    where = in_all if partition_key is None else {"partition_key": partition_key}
    named: list[dict[str, object]] = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
    return read_again(lambda: list(container.query_items(text, parameters=named, **where)))


def document_named(
    container: ContainerProxy,
    name: str,
    partition_key: str | None = None,
    hook: Callable[[Mapping[str, Any], Any], None] = lambda headers, answer: None,
) -> Mapping[str, Any] | None:
    """The document of this id, None if it is not there; without a `partition_key`, it is the id itself.

    `hook` is given the headers and the body of the answer, also of the one that says that there is no such document.
    """
    try:
        return read_again(lambda: container.read_item(name, partition_key=partition_key or name, response_hook=hook))
    except CosmosResourceNotFoundError as error:
        must_be_about_the_document(error)
        hook(error.headers or {}, None)
        return None


def must_be_about_the_document(error: CosmosResourceNotFoundError) -> None:
    """Raises: the error itself, if it does not say that the document is not there."""
    request: Any = error.response.request if error.response else None
    if error.sub_status or (request is not None and "/docs/" not in request.url):
        raise error
