"""Databases, containers and their throughput as values, and the JSON documents that describe them.

Owns: their shape on the wire, defaults, and what a definition may not say. Refuses to know: where they are kept.

Source: learn.microsoft.com/rest/api/cosmos-db/ (databases, collections, offers),
learn.microsoft.com/azure/cosmos-db/concepts-limits
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localazure.cosmos import indexing, rids, uniques, versions
from localazure.cosmos.documents import Place
from localazure.cosmos.errors import BadRequest
from localazure.cosmos.partitioning import KeyDefinition
from localazure.cosmos.ranges import Partitions
from localazure.cosmos.texts import is_unicode

MOST_NAME_CHARACTERS = 255
FORBIDDEN_IN_NAMES = frozenset("/\\?#\t\r\n")

LAST_WRITER_WINS: Mapping[str, Any] = {
    "mode": "LastWriterWins",
    "conflictResolutionPath": "/_ts",
    "conflictResolutionProcedure": "",
}
UNSUPPORTED_POLICIES = (
    "vectorEmbeddingPolicy",
    "fullTextPolicy",
    "computedProperties",
    "clientEncryptionPolicy",
    "analyticalStorageTtl",
    "materializedViewDefinition",
)


@dataclass(frozen=True, slots=True)
class Database:
    number: int
    name: str
    etag: str
    ts: int

    @property
    def rid(self) -> str:
        return rids.of_database(self.number)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.name,
            "_rid": self.rid,
            "_self": f"dbs/{self.rid}/",
            "_etag": self.etag,
            "_colls": "colls/",
            "_users": "users/",
            "_ts": self.ts,
        }


@dataclass(frozen=True, slots=True)
class Container:
    """`definition` is what the user set: partition key, indexing policy, time to live, ..."""

    number: int
    database: Database
    name: str
    definition: Mapping[str, Any]
    etag: str
    ts: int
    partitions: Partitions
    key: KeyDefinition
    place: Place

    @classmethod
    def make(
        cls, number: int, database: Database, definition: Mapping[str, Any], etag: str, ts: int, partitions: Partitions
    ) -> Container:
        rid = rids.of_container(database.number, number)
        link, unique_keys = f"dbs/{database.rid}/colls/{rid}/", uniques.of_policy(definition.get("uniqueKeyPolicy"))
        retention = versions.retention_of_policy(definition.get("changeFeedPolicy"))
        place = Place(number, rid, link, definition.get("defaultTtl"), unique_keys, retention)
        key = KeyDefinition.from_json(definition["partitionKey"])
        return cls(number, database, definition["id"], definition, etag, ts, partitions, key, place)

    @property
    def rid(self) -> str:
        return self.place.container_rid

    @property
    def path(self) -> str:
        """Its address by names, the `x-ms-alt-content-path` of everything in it."""
        return f"dbs/{self.database.name}/colls/{self.name}"

    def as_json(self) -> dict[str, Any]:
        return {
            **self.definition,
            "_rid": self.rid,
            "_self": self.place.self_link,
            "_etag": self.etag,
            "_ts": self.ts,
            "_docs": "docs/",
            "_sprocs": "sprocs/",
            "_triggers": "triggers/",
            "_udfs": "udfs/",
            "_conflicts": "conflicts/",
        }


def check_name(name: Any) -> str:
    """Raises: `BadRequest` for a database or container id that Cosmos DB refuses."""
    if not isinstance(name, str) or not name or len(name) > MOST_NAME_CHARACTERS or name.endswith(" "):
        raise BadRequest("The input name is invalid: it is missing, too long, or ends with a space.")
    if FORBIDDEN_IN_NAMES & set(name) or not is_unicode(name):
        raise BadRequest(f"The input name {name!r} is invalid: it contains one of / \\ ? #, or is no text.")
    return name


def container_definition(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A container's definition with the defaults filled in. Raises: `BadRequest`."""
    for policy in UNSUPPORTED_POLICIES:
        if wanted.get(policy):
            raise BadRequest(f"The container property {policy!r} is not supported by this account.")
    if not isinstance(wanted.get("partitionKey"), dict):
        raise BadRequest("The partition key definition is missing from the container.")
    KeyDefinition.from_json(wanted["partitionKey"])
    conflicts = wanted.get("conflictResolutionPolicy") or LAST_WRITER_WINS
    if not isinstance(conflicts, dict) or conflicts.get("mode") != "LastWriterWins":
        raise BadRequest("The conflict resolution mode 'Custom' is not supported by this account.")
    if conflicts.get("conflictResolutionPath") not in (None, "", LAST_WRITER_WINS["conflictResolutionPath"]):
        raise BadRequest("A conflict resolution path other than /_ts is not supported by this account.")
    definition: dict[str, Any] = {
        "id": check_name(wanted.get("id")),
        "indexingPolicy": indexing.policy_of(wanted.get("indexingPolicy")),
        "partitionKey": {"kind": "Hash", "version": 1, **wanted["partitionKey"]},
        "conflictResolutionPolicy": dict(conflicts),
        "geospatialConfig": wanted.get("geospatialConfig") or {"type": "Geography"},
    }
    if uniques.of_policy(wanted.get("uniqueKeyPolicy")):
        definition["uniqueKeyPolicy"] = wanted["uniqueKeyPolicy"]
    if versions.retention_of_policy(wanted.get("changeFeedPolicy")) is not None:
        definition["changeFeedPolicy"] = wanted["changeFeedPolicy"]
    if wanted.get("defaultTtl") is not None:
        definition["defaultTtl"] = _time_to_live(wanted["defaultTtl"])
    return definition


def check_replacement(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises: `BadRequest` where a replace would change what is fixed for a container's life."""
    if wanted["id"] != current["id"]:
        raise BadRequest("A container cannot be renamed.")
    if wanted["partitionKey"] != current["partitionKey"]:
        raise BadRequest("Document collection partition key cannot be changed.")
    if wanted.get("uniqueKeyPolicy") != current.get("uniqueKeyPolicy"):
        raise BadRequest("The unique key policy of a container cannot be changed.")


def _time_to_live(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not (value == -1 or 0 < value < 1 << 31):
        raise BadRequest(f"The default time to live {value!r} must be -1 or a positive number of seconds.")
    return value


@dataclass(frozen=True, slots=True)
class Offer:
    """The throughput provisioned for a container, or for a database whose containers share it."""

    number: int
    resource_rid: str
    resource_link: str
    content: Mapping[str, Any]
    etag: str
    ts: int

    @property
    def rid(self) -> str:
        return rids.of_offer(self.number)

    @property
    def most_request_units(self) -> int:
        """RU/s: the provisioned ones, or where autoscale ends."""
        autoscale = self.content.get("offerAutopilotSettings")
        return int(autoscale["maxThroughput"] if autoscale else self.content["offerThroughput"])

    def as_json(self) -> dict[str, Any]:
        return {
            "offerVersion": "V2",
            "offerType": "Invalid",
            "content": dict(self.content),
            "resource": self.resource_link,
            "offerResourceId": self.resource_rid,
            "id": self.rid,
            "_rid": self.rid,
            "_self": f"offers/{self.rid}/",
            "_etag": self.etag,
            "_ts": self.ts,
        }


LEAST_RU, MOST_RU, RU_STEP, AUTOSCALE_STEP = 400, 1_000_000, 100, 1000


def manual_throughput(request_units: Any) -> dict[str, Any]:
    """Raises: `BadRequest` for a throughput that cannot be provisioned."""
    if isinstance(request_units, bool) or not isinstance(request_units, int) or request_units % RU_STEP:
        raise BadRequest(f"The offer throughput {request_units!r} must be a multiple of {RU_STEP}.")
    if not LEAST_RU <= request_units <= MOST_RU:
        raise BadRequest(f"The offer throughput {request_units} must be between {LEAST_RU} and {MOST_RU}.")
    return {"offerThroughput": request_units, "offerIsRUPerMinuteThroughputEnabled": False}


def autoscale_throughput(settings: Any) -> dict[str, Any]:
    """Of `{"maxThroughput": ...}`. Raises: `BadRequest`."""
    most = settings.get("maxThroughput") if isinstance(settings, dict) else None
    if isinstance(most, bool) or not isinstance(most, int) or most % AUTOSCALE_STEP or not 1000 <= most <= MOST_RU:
        raise BadRequest(f"The autoscale maximum {most!r} must be a multiple of {AUTOSCALE_STEP}, at least 1000.")
    return {
        "offerThroughput": most // 10,
        "offerIsRUPerMinuteThroughputEnabled": False,
        "offerAutopilotSettings": {**settings, "tier": 0},
    }


def throughput_of_headers(throughput: str | None, autoscale: str | None) -> dict[str, Any] | None:
    """What `x-ms-offer-throughput` or `x-ms-cosmos-offer-autopilot-settings` ask for. Raises: `BadRequest`."""
    if throughput is not None and autoscale is not None:
        raise BadRequest("Manual throughput and autoscale cannot both be given.")
    try:
        if autoscale is not None:
            return autoscale_throughput(json.loads(autoscale))
        return None if throughput is None else manual_throughput(int(throughput))
    except (ValueError, RecursionError) as error:
        raise BadRequest("The offer headers cannot be read.") from error
