"""Whether a document is there: Cosmos DB says 404 also when it knows nothing of the document.

A 404 with a sub-status means that the container is not there, or that this replica is behind the session. A client that
does not know the container yet asks for that first; the 404 to it has no sub-status, and only its address tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError


def document_named(container: ContainerProxy, name: str, partition_key: str | None = None) -> Mapping[str, Any] | None:
    """The document of this id, None if it is not there; without a `partition_key`, it is the id itself."""
    try:
        return container.read_item(name, partition_key=partition_key or name)
    except CosmosResourceNotFoundError as error:
        must_be_about_the_document(error)
        return None


def must_be_about_the_document(error: CosmosResourceNotFoundError) -> None:
    """Raises: the error itself, if it does not say that the document is not there."""
    request: Any = error.response.request if error.response else None
    if error.sub_status or (request is not None and "/docs/" not in request.url):
        raise error
