"""What a query request says: its body, its headers, and the refusal of what cannot be.

Owns: reading one request. Refuses to know: what the query means, documents.

Source: learn.microsoft.com/rest/api/cosmos-db/querying-cosmosdb-resources-using-the-rest-api, the refusals' words as an
account gives them
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from localazure.cosmos.queries import bad_request
from localazure.cosmos.sql import UNDEFINED, limits, values

DEFAULT_PAGE_ITEMS: Final = 1000


def is_true(headers: Mapping[str, str], name: str) -> bool:
    return headers.get(name, "").lower() == "true"


def _read_json(body: bytes) -> Any:
    """Half a surrogate pair is read as the replacement character, and a number as a double, as the service stores them.

    Raises: ValueError, RecursionError.
    """
    request = values.read_json(body)
    if b"\\u" in body:
        text = json.dumps(request, ensure_ascii=False)
        request = values.read_json(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    if not values.is_finite(request):
        raise ValueError("a number is beyond all doubles")
    return request


def read_body(body: bytes) -> tuple[str, dict[str, Any]]:
    """The text and the parameters by name; a parameter without a value is undefined."""
    try:
        request = _read_json(body)
    except (ValueError, RecursionError) as error:
        raise bad_request("The request payload is invalid. Ensure to provide a valid request payload.") from error
    if not isinstance(request, dict) or not isinstance(request.get("query"), str):
        raise bad_request("The request payload is invalid. Ensure to provide a valid request payload.")
    given = request.get("parameters") or []
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise bad_request("The request payload is invalid. Ensure to provide a valid request payload.")
    if len(given) > limits.MOST_PARAMETERS:
        raise bad_request(
            f"The query has {len(given)} parameters; the most a query may have is {limits.MOST_PARAMETERS}."
        )
    parameters: dict[str, Any] = {}
    for item in given:
        name = item.get("name")
        if not isinstance(name, str) or name[:1] != "@" or not name[1:].isidentifier():
            raise bad_request("Parameter names should be in the format of symbol '@' followed by a valid identifier.")
        if name in parameters:
            raise bad_request(f"Specified duplicate parameter name '{name}'.")
        parameters[name] = item.get("value", UNDEFINED)
    return request["query"], parameters


def item_limit(value: str | None) -> int | None:
    """The most items of a page; None: as many as 4 MB hold."""
    if value is None:
        return DEFAULT_PAGE_ITEMS
    try:
        wanted = int(value)
    except ValueError:
        wanted = -2
    if wanted < -1:
        raise bad_request(
            f"The input PageSize {value} is invalid. Ensure to pass a valid page size which must be a positive integer "
            "or -1 for a dynamic page size."
        )
    return None if wanted == -1 else wanted or DEFAULT_PAGE_ITEMS


def read_key(header: str, path_count: int) -> tuple[Any, ...]:
    """The header's JSON array; an empty object in it stands for undefined."""
    try:
        key = values.read_json(header)
    except (ValueError, RecursionError):
        key = None
    if not isinstance(key, list) or not 0 < len(key) <= path_count or not values.is_finite(key):
        raise bad_request(f"Partition key {header} is invalid.")
    return tuple(UNDEFINED if value == {} else value for value in key)
