"""From requests to operations and back: the account, databases, containers, offers. Documents are in `item_endpoints`.

Owns: which headers say what. Refuses to know: rows, signatures, sockets. Names are those of `routes`.

Source: learn.microsoft.com/rest/api/cosmos-db/
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from localazure.cosmos import charges, regions, resource_queries
from localazure.cosmos.account import Account
from localazure.cosmos.drafts import read_object
from localazure.cosmos.errors import ContainerRecreated, NotFound, OwnerNotFound
from localazure.cosmos.resources import Container, throughput_of_headers
from localazure.cosmos.sql import limits
from localazure.cosmos.wire import Request, Response, feed_text, json_response


def find_container(account: Account, request: Request) -> Container:
    """The container that the path names; for what lies below it, it must be there and be the one the client knows.

    Raises: `NotFound`, `OwnerNotFound`, `ContainerRecreated`.
    """
    _, database, _, name, *below = request.segments
    try:
        container = account.catalog.container(database, name)
    except NotFound as error:
        if below:
            raise OwnerNotFound("Owner resource does not exist: the container.") from error
        raise
    intended = request.headers.get("x-ms-cosmos-intended-collection-rid")
    if intended and intended != container.rid:
        raise ContainerRecreated(f"The container has the resource id {container.rid}, the client expects {intended}.")
    return container


class ResourceEndpoints:
    """Databases, containers and their throughput."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._catalog = account.catalog

    async def read_account(self, request: Request) -> Response:
        """`GET /`: the regions, at the very scheme and host the client used."""
        content = {
            "_self": "",
            "id": "localazure",
            "_rid": "localazure",
            "media": "//media/",
            "addresses": "//addresses/",
            "_dbs": "//dbs/",
            **regions.locations(
                request.scheme, request.headers.get("host", ""), with_second=self._account.has_second_region
            ),
            "enableMultipleWriteLocations": False,
            "userReplicationPolicy": {"asyncReplication": False, "minReplicaSetSize": 1, "maxReplicasetSize": 1},
            "userConsistencyPolicy": {"defaultConsistencyLevel": self._account.consistency},
            "systemReplicationPolicy": {"minReplicaSetSize": 1, "maxReplicasetSize": 1},
            "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
            "queryEngineConfiguration": json.dumps(limits.ENGINE_LIMITS),
        }
        return json_response(200, content, {}, 0.0)

    async def list_databases(self, _: Request) -> Response:
        return _feed("", "Databases", [database.as_json() for database in self._catalog.databases()])

    async def query_databases(self, request: Request) -> Response:
        return _queried("Databases", [database.as_json() for database in self._catalog.databases()], request)

    async def create_database(self, request: Request) -> Response:
        database = await self._catalog.create_database(read_object(request.body).get("id", ""), _throughput(request))
        return _one(201, database.as_json(), database.etag)

    async def read_database(self, request: Request) -> Response:
        database = self._catalog.database(request.segments[1])
        return _one(200, database.as_json(), database.etag)

    async def delete_database(self, request: Request) -> Response:
        await self._catalog.delete_database(request.segments[1])
        return Response(204, charge=charges.METADATA_RU)

    async def list_containers(self, request: Request) -> Response:
        database = self._catalog.database(request.segments[1])
        return _feed(database.rid, "DocumentCollections", self._containers_json(request))

    async def query_containers(self, request: Request) -> Response:
        return _queried("DocumentCollections", self._containers_json(request), request)

    async def create_container(self, request: Request) -> Response:
        container = await self._catalog.create_container(
            request.segments[1], read_object(request.body), _throughput(request)
        )
        return _one(201, container.as_json(), container.etag)

    async def read_container(self, request: Request) -> Response:
        container = find_container(self._account, request)
        return _one(200, container.as_json(), container.etag)

    async def replace_container(self, request: Request) -> Response:
        container = find_container(self._account, request)
        replaced = await self._catalog.replace_container(container, read_object(request.body))
        return _one(200, replaced.as_json(), replaced.etag)

    async def delete_container(self, request: Request) -> Response:
        await self._catalog.delete_container(find_container(self._account, request))
        return Response(204, charge=charges.METADATA_RU)

    async def list_ranges(self, request: Request) -> Response:
        """The physical partitions; 304 for a client that has them already."""
        container = find_container(self._account, request)
        etag = f'"{container.rid}-{len(container.partitions)}"'
        if request.headers.get("if-none-match") == etag:
            return Response(304, headers={"etag": etag}, charge=charges.METADATA_RU)
        entries = [
            {
                "_rid": container.rid,
                "id": part.id,
                "_etag": etag,
                "minInclusive": part.minimum,
                "maxExclusive": part.maximum,
                "ridPrefix": index,
                "_self": f"{container.place.self_link}pkranges/{part.id}/",
                "throughputFraction": 1 / len(container.partitions),
                "status": "online",
                "parents": list(part.parents),
                "_ts": container.ts,
            }
            for index, part in enumerate(container.partitions)
        ]
        return _feed(container.rid, "PartitionKeyRanges", entries, {"etag": etag})

    async def list_offers(self, _: Request) -> Response:
        return _feed("", "Offers", [offer.as_json() for offer in self._catalog.offers()])

    async def query_offers(self, request: Request) -> Response:
        return _queried("Offers", [offer.as_json() for offer in self._catalog.offers()], request)

    async def read_offer(self, request: Request) -> Response:
        offer = self._catalog.offer(request.segments[1])
        return _one(200, offer.as_json(), offer.etag)

    async def replace_offer(self, request: Request) -> Response:
        offer = await self._catalog.replace_offer(
            request.segments[1], read_object(request.body), request.headers.get("if-match")
        )
        return _one(200, offer.as_json(), offer.etag)

    def _containers_json(self, request: Request) -> list[dict[str, Any]]:
        database = self._catalog.database(request.segments[1])
        return [container.as_json() for container in self._catalog.containers(database)]


def _throughput(request: Request) -> dict[str, Any] | None:
    headers = request.headers
    return throughput_of_headers(
        headers.get("x-ms-offer-throughput"), headers.get("x-ms-cosmos-offer-autopilot-settings")
    )


def _one(status: int, content: Mapping[str, Any], etag: str) -> Response:
    return json_response(status, content, {"etag": etag}, charges.METADATA_RU)


def _feed(
    rid: str, name: str, entries: Sequence[Mapping[str, Any]], headers: Mapping[str, str] | None = None
) -> Response:
    bodies = [json.dumps(entry, separators=(",", ":")).encode() for entry in entries]
    count = {"x-ms-item-count": str(len(bodies)), **(headers or {})}
    return Response(200, feed_text(rid, name, bodies, len(bodies)), count, charges.METADATA_RU)


def _queried(name: str, entries: Sequence[Mapping[str, Any]], request: Request) -> Response:
    chosen = resource_queries.answer(entries, request.headers, request.body)
    return _feed("", name, chosen)
