"""Indexing policies: what a container's may say. They change no charge here; ORDER BY asks them (`sql.ordering`).

Owns: their shape, defaults and refusals. Refuses to know: queries, where they are kept.

Source: learn.microsoft.com/azure/cosmos-db/index-policy
Known gap: spatial indexes are kept and do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localazure.cosmos.errors import BadRequest
from localazure.cosmos.partitioning import split_path

ROOT = "/*"
DEFAULT_POLICY: Mapping[str, Any] = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": ROOT}],
    "excludedPaths": [{"path": '/"_etag"/?'}],
}
LEAST_COMPOSITE_PATHS, MOST_COMPOSITE_PATHS = 2, 8
UNSUPPORTED = ("vectorIndexes", "fullTextIndexes")


def policy_of(wanted: Any) -> dict[str, Any]:
    """A policy with the defaults filled in. Raises: `BadRequest` for one that Cosmos DB refuses."""
    if wanted is None:
        wanted = {}
    if not isinstance(wanted, dict):
        raise BadRequest("The indexing policy is not an object.")
    for name in UNSUPPORTED:
        if wanted.get(name):
            raise BadRequest(f"{name} of an indexing policy are not supported by this account.")
    policy = {**DEFAULT_POLICY, **{name: value for name, value in wanted.items() if value is not None}}
    mode = str(policy["indexingMode"]).lower()
    if mode not in ("consistent", "none", "lazy"):
        raise BadRequest(f"The indexing mode {policy['indexingMode']!r} is not one of consistent and none.")
    if not isinstance(policy["automatic"], bool):
        raise BadRequest(f"The property automatic of the indexing policy is {policy['automatic']!r}, no boolean.")
    policy["indexingMode"] = mode
    if mode == "none" and "includedPaths" not in wanted:
        policy |= {"includedPaths": [], "excludedPaths": []}
    elif ROOT in _paths(policy["excludedPaths"], "excludedPaths") and "includedPaths" not in wanted:
        policy["includedPaths"] = []
    _check_paths(policy)
    for index in _list(policy.get("compositeIndexes", []), "compositeIndexes"):
        _check_composite(index)
    for index in _list(policy.get("spatialIndexes", []), "spatialIndexes"):
        _path(index, "spatialIndexes")
        _list(index.get("types", []), "types")
    return policy


def _check_paths(policy: Mapping[str, Any]) -> None:
    included = _paths(policy["includedPaths"], "includedPaths")
    excluded = _paths(policy["excludedPaths"], "excludedPaths")
    for path in [*included, *excluded]:
        if not path.endswith(("/?", ROOT)):
            raise BadRequest(f"The indexing path {path!r} ends with neither /? nor /*.")
        split_path(path[:-2])
    both = sorted(set(included) & set(excluded))
    if both or len(set(included)) < len(included) or len(set(excluded)) < len(excluded):
        raise BadRequest(f"The indexing policy is invalid: it names a path twice {both or ''}.")
    if policy["indexingMode"] != "none" and ROOT not in included and ROOT not in excluded:
        raise BadRequest(f"The indexing policy is invalid: the root path {ROOT} is neither included nor excluded.")


def _check_composite(index: Any) -> None:
    paths = _list(index, "compositeIndexes")
    if not LEAST_COMPOSITE_PATHS <= len(paths) <= MOST_COMPOSITE_PATHS:
        raise BadRequest(
            f"A composite index has {len(paths)} paths; it must have {LEAST_COMPOSITE_PATHS} to {MOST_COMPOSITE_PATHS}."
        )
    for entry in paths:
        split_path(_path(entry, "compositeIndexes"))
        order = entry.get("order", "ascending")
        if not isinstance(order, str) or order.lower() not in ("ascending", "descending"):
            raise BadRequest(f"The order {order!r} of a composite index is not one of ascending and descending.")


def _paths(entries: Any, what: str) -> list[str]:
    return [_path(entry, what) for entry in _list(entries, what)]


def _path(entry: Any, what: str) -> str:
    path = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(path, str) or not path.startswith("/"):
        raise BadRequest(f"An entry of {what} in the indexing policy has no path: {str(entry)[:80]}.")
    return path


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest(f"{what} of the indexing policy is not a list.")
    return value
