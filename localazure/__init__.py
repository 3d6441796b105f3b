"""The embedded Azure on the loopback interface, durable on disk: Cosmos DB, Event Hubs, and topics of Event Grid.

    with localazure.start(folder) as azure:         # a private server, for tests
        CosmosClient.from_connection_string(azure.cosmos_connection_string)

    azure = localazure.attach(folder)               # the folder's shared daemon, started on demand

It speaks the services' own wire protocols to the official SDKs, unmodified; `docs/support.md` lists what it serves and
what it refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localazure.daemon import attach
    from localazure.handle import LocalAzure
    from localazure.private_server import start

__all__ = ["LocalAzure", "attach", "start"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that `python -m localazure` is ready sooner."""
    if name == "attach":
        from localazure.daemon import attach

        return attach
    if name == "start":
        from localazure.private_server import start

        return start
    if name == "LocalAzure":
        from localazure.handle import LocalAzure

        return LocalAzure
    raise AttributeError(f"module 'localazure' has no attribute {name!r}")
