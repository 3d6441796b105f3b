"""Every address the account answers, literally: method, path, the resource type that is signed, the endpoint's name.

Owns: which address is which operation, what of it is signed, which operations change something, and the resource types
that are refused. Refuses to know: what operations do, keys.

Source: learn.microsoft.com/rest/api/cosmos-db/cosmosdb-resource-uri-syntax-for-rest
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from localazure.cosmos import rids
from localazure.cosmos.auth import Signed
from localazure.cosmos.errors import MethodNotAllowed, NotFound
from localazure.cosmos.wire import Request

DATABASE = "/dbs/{database}"
CONTAINER = DATABASE + "/colls/{container}"
DOCUMENT = CONTAINER + "/docs/{document}"


@dataclass(frozen=True, slots=True)
class Route:
    """`endpoint` is a method of `ItemEndpoints` or `ResourceEndpoints`; `resource_type` is what the signature names."""

    method: str
    path: str
    resource_type: str
    endpoint: str


ROUTES = (
    Route("GET", "/", "", "read_account"),
    Route("GET", "/dbs", "dbs", "list_databases"),
    Route("POST", "/dbs", "dbs", "create_database"),
    Route("GET", DATABASE, "dbs", "read_database"),
    Route("DELETE", DATABASE, "dbs", "delete_database"),
    Route("GET", DATABASE + "/colls", "colls", "list_containers"),
    Route("POST", DATABASE + "/colls", "colls", "create_container"),
    Route("GET", CONTAINER, "colls", "read_container"),
    Route("PUT", CONTAINER, "colls", "replace_container"),
    Route("DELETE", CONTAINER, "colls", "delete_container"),
    Route("GET", CONTAINER + "/pkranges", "pkranges", "list_ranges"),
    Route("GET", CONTAINER + "/docs", "docs", "read_feed"),
    Route("POST", CONTAINER + "/docs", "docs", "create"),
    Route("GET", DOCUMENT, "docs", "read"),
    Route("PUT", DOCUMENT, "docs", "replace"),
    Route("PATCH", DOCUMENT, "docs", "patch"),
    Route("DELETE", DOCUMENT, "docs", "delete"),
    Route("POST", CONTAINER + "/operations/{partitionkeydelete}", "colls", "delete_partition"),
    Route("GET", "/offers", "offers", "list_offers"),
    Route("POST", "/offers", "offers", "query_offers"),
    Route("GET", "/offers/{offer}", "offers", "read_offer"),
    Route("PUT", "/offers/{offer}", "offers", "replace_offer"),
)

UNSUPPORTED = {
    "users": "Users",
    "permissions": "Permissions",
    "sprocs": "Stored procedures",
    "triggers": "Triggers",
    "udfs": "User-defined functions",
    "conflicts": "The conflict feed",
    "attachments": "Attachments",
    "clientencryptionkeys": "Client encryption keys",
}
"""Resource types of Cosmos DB that are refused: path segment -> what to call it."""

QUERY_OF_FEED = {"create_database": "query_databases", "create_container": "query_containers", "create": "query"}
READING_DOCUMENTS = frozenset({"read", "query", "read_feed", "change_feed"})
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def _shape(method: str, segments: tuple[str, ...]) -> tuple[str, tuple[str, ...], bool]:
    """Method, the fixed segments (every other one), and whether the path ends in a name."""
    return method, segments[::2], len(segments) % 2 == 0


def _segments(path: str) -> tuple[str, ...]:
    return tuple(path.strip("/").split("/"))


_BY_SHAPE: Mapping[tuple[str, tuple[str, ...], bool], Route] = {
    _shape(route.method, _segments(route.path)): route for route in ROUTES
}
_KNOWN_PATHS = frozenset((fixed, named) for _, fixed, named in _BY_SHAPE)


def route_of(request: Request) -> Route:
    """Raises: `NotFound` for no address of Cosmos DB, `MethodNotAllowed` for what is not offered there."""
    shape = _shape(request.method, request.segments)
    found = _BY_SHAPE.get(shape)
    if found is not None:
        return found
    for segment in request.segments[2::2]:
        if segment in UNSUPPORTED:
            raise MethodNotAllowed(f"{UNSUPPORTED[segment]} are not supported by this account.")
    if shape[1:] in _KNOWN_PATHS:
        raise MethodNotAllowed(f"The method {request.method} is not allowed on this resource.")
    raise NotFound("Resource Not Found: no such address.")


def operation_of(route: Route, request: Request) -> str:
    """The endpoint that answers: one address takes several operations apart by their headers."""
    if route.endpoint == "read_feed":
        return "change_feed" if "a-im" in request.headers else "read_feed"
    if request.method != "POST":
        return route.endpoint
    if request.flag("x-ms-cosmos-is-query-plan-request") or request.flag("x-ms-documentdb-isquery"):
        return QUERY_OF_FEED.get(route.endpoint, route.endpoint)
    if route.endpoint == "create":
        if request.flag("x-ms-cosmos-is-batch-request"):
            return "batch"
        if request.flag("x-ms-documentdb-is-upsert"):
            return "upsert"
    return route.endpoint


def changes_something(method: str, operation: str) -> bool:
    """Whether the read-only key is not enough."""
    return method in CHANGING and not operation.startswith("query")


def reads_documents(operation: str, request: Request) -> bool:
    """Whether a replica answers, not the gateway alone."""
    return operation in READING_DOCUMENTS and not request.flag("x-ms-cosmos-is-query-plan-request")


def signed(route: Route, request: Request) -> Signed:
    """What the client must have signed: names as they are, resource ids in lower case."""
    segments = request.segments
    if route.endpoint == "delete_partition":
        segments = segments[:4]
    elif len(segments) % 2:
        segments = segments[:-1]
    if len(segments) >= 2 and (segments[0] != "dbs" or rids.addresses_by_rid(segments[1])):
        return Signed(request.method, route.resource_type, segments[-1].lower())
    return Signed(request.method, route.resource_type, "/".join(segments))
