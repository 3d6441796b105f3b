"""Who reads which hub partition, when several processes share the work: the SDK's load balancing, kept on Cosmos DB.

Owns: one ownership document per hub partition, in the container `ownership` (partition key `/scope`: namespace, hub and
consumer group), claimed by its etag so that of two claims one wins. No third service is needed for it.
Refuses to know: checkpoints. Positions live in the read models, written with the rows; a second copy here could only
differ. `update_checkpoint` therefore refuses, and `list_checkpoints` is empty: give `starting_position`.

How: a claim creates the document, or replaces it if the etag is still the one that was listed; whoever comes second
gets 409 or 412 and is not among the winners. The time of a claim is the server's `_ts`, whole seconds.

Source: azure-eventhub 5.15.1, `CheckpointStore` (`_eventprocessor/checkpoint_store.py`, `aio/_eventprocessor/...`);
learn.microsoft.com/azure/event-hubs/event-processor-balance-partition-load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from azure.core import MatchConditions
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.eventhub import CheckpointStore
from azure.eventhub.aio import CheckpointStore as AsyncCheckpointStore

from labkit.documents import queried
from labkit.errors import LabError

Ownership = dict[str, Any]
"""As the SDK has it: fully_qualified_namespace, eventhub_name, consumer_group, partition_id, owner_id, etag,
last_modified_time (seconds since 1970)."""

ALL = "SELECT * FROM c"
LOST = (CosmosResourceExistsError, CosmosAccessConditionFailedError, CosmosResourceNotFoundError)
NAMES = ("fully_qualified_namespace", "eventhub_name", "consumer_group", "partition_id", "owner_id")


class NoCheckpointsHere(LabError):
    """Positions belong to the read models; a checkpoint beside them would be a second truth."""

    def __init__(self) -> None:
        super().__init__("this store holds ownership only: positions are committed with the read models' rows")


def scope_of(namespace: str, hub: str, group: str) -> str:
    """The logical partition of all ownerships that are balanced together."""
    return f"{namespace.lower()}/{hub.lower()}/{group.lower()}"


def to_document(ownership: Mapping[str, Any]) -> dict[str, Any]:
    names = {name: ownership[name] for name in NAMES}
    scope = scope_of(names["fully_qualified_namespace"], names["eventhub_name"], names["consumer_group"])
    return {"id": str(names["partition_id"]), "scope": scope, **names}


def from_document(document: Mapping[str, Any]) -> Ownership:
    names = {name: document[name] for name in NAMES}
    return {**names, "etag": document["_etag"], "last_modified_time": float(document["_ts"])}


class OwnershipStore(CheckpointStore):
    """For `EventHubConsumerClient(checkpoint_store=...)`."""

    def __init__(self, container: ContainerProxy) -> None:
        self._container = container

    def list_ownership(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[Ownership]:
        scope = scope_of(fully_qualified_namespace, eventhub_name, consumer_group)
        return [from_document(one) for one in queried(self._container, ALL, scope)]

    def claim_ownership(self, ownership_list: Iterable[Ownership], **kwargs: Any) -> Iterable[Ownership]:
        """Those of the list that are now this owner's."""
        return [claimed for one in ownership_list if (claimed := self._claimed(one)) is not None]

    def _claimed(self, ownership: Mapping[str, Any]) -> Ownership | None:
        document = to_document(ownership)
        with suppress(*LOST):
            if not ownership.get("etag"):
                return from_document(self._container.create_item(document))
            same = {"etag": ownership["etag"], "match_condition": MatchConditions.IfNotModified}
            return from_document(self._container.replace_item(document["id"], document, **same))
        return None

    def update_checkpoint(self, checkpoint: Mapping[str, Any], **kwargs: Any) -> NoReturn:
        """Raises: `NoCheckpointsHere`, always."""
        raise NoCheckpointsHere

    def list_checkpoints(self, *_: str, **kwargs: Any) -> Iterable[dict[str, Any]]:
        return []


class AsyncOwnershipStore(AsyncCheckpointStore):
    """The same for `azure.eventhub.aio`; sync and async readers can share the work. Each call waits on a thread, and
    there are few."""

    def __init__(self, container: ContainerProxy) -> None:
        self._store = OwnershipStore(container)

    async def list_ownership(self, *names: str, **kwargs: Any) -> Iterable[Ownership]:
        return await asyncio.to_thread(self._store.list_ownership, *names, **kwargs)

    async def claim_ownership(self, ownership_list: Iterable[Ownership], **kwargs: Any) -> Iterable[Ownership]:
        """Those of the list that are now this owner's."""
        return await asyncio.to_thread(self._store.claim_ownership, ownership_list)

    async def update_checkpoint(self, checkpoint: Mapping[str, Any], **kwargs: Any) -> NoReturn:
        """Raises: `NoCheckpointsHere`, always."""
        raise NoCheckpointsHere

    async def list_checkpoints(self, *_: str, **kwargs: Any) -> Iterable[dict[str, Any]]:
        return []
