"""From a request's JSON to a document that may be stored, and back.

Owns: reading JSON strictly, what a document must have (id, key, a bounded size and depth), its stored text. Refuses
to know: rows, HTTP.

How: numbers are stored as doubles, so an integer beyond 2**53 comes back as the double next to it.

Source: learn.microsoft.com/azure/cosmos-db/concepts-limits#per-item-limits (2 MB as UTF-8, 128 levels, id of 1,023
bytes)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from localazure.cosmos import uniques
from localazure.cosmos.documents import Address, Draft
from localazure.cosmos.errors import BadRequest, PartitionKeyMismatch, TooLarge
from localazure.cosmos.partitioning import KeyDefinition, KeyValues, canonical
from localazure.cosmos.resources import Container
from localazure.cosmos.sql.values import number
from localazure.cosmos.texts import is_unicode

MOST_ITEM_BYTES = 2 * 1024 * 1024
MOST_LEVELS = 128
LEVELS_AROUND = 8
"""More than any request has around a document: `[{"resourceBody": {"operations": [{"value": ...` of a batch."""
MOST_ID_BYTES = 1023
FEWEST_DIGITS_OF_NO_DOUBLE = 16
FORBIDDEN_IN_IDS = frozenset("/\\?#")
SYSTEM_PROPERTIES = ("_rid", "_self", "_etag", "_attachments", "_ts", "_lsn")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> float:
    """Raises: `ValueError` for one that no double holds, as `json` does for NaN."""
    if len(digits) < FEWEST_DIGITS_OF_NO_DOUBLE:
        return int(digits)
    value = number(int(digits))
    if math.isinf(value):
        raise ValueError(f"{digits[:20]}... is beyond the numbers of JSON that are stored, which are doubles")
    return value


_READER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_integer)
_WRITER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_ESCAPING_WRITER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def read_json(body: bytes) -> Any:
    """Raises: `BadRequest` for what is not JSON in UTF-8, is nested too deeply to be kept, or holds no double.

    What is let in is far from where the interpreter's own recursion ends, so that it can be written and read again.
    """
    try:
        value = _READER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request body is not valid JSON: {str(error)[:200]}") from error
    _check_levels(value, body, MOST_LEVELS + LEVELS_AROUND)
    return value


def read_object(body: bytes) -> dict[str, Any]:
    """Raises: `BadRequest` for anything but a JSON object."""
    value = read_json(body)
    if not isinstance(value, dict):
        raise BadRequest("The request body is not a JSON object.")
    return value


def draft_of(container: Container, given: KeyValues | None, document: Any) -> Draft:
    """A document as it will be stored, in the logical partition that its own content names.

    `given` is the key of the request's header. Raises: `BadRequest`, `PartitionKeyMismatch`, `TooLarge`.
    """
    if not isinstance(document, dict):
        raise BadRequest("The document is not a JSON object.")
    if given is None:
        raise BadRequest("PartitionKey value must be supplied for this operation.")
    key = container.key
    values = key.of_document(document)
    text = canonical(values)
    if text != canonical(given):
        raise PartitionKeyMismatch(
            "PartitionKey extracted from document doesn't match the one specified in the header."
        )
    address = Address(key.effective_key(values), text, check_id(document.get("id")))
    held = uniques.texts(container.place.unique_keys, document)
    return Draft(address, stored_text(document), _time_to_live(document), held)


def address_of(key: KeyDefinition, given: KeyValues | None, id: str) -> Address:
    """Raises: `BadRequest` without a key, `PartitionKeyMismatch` for a part of one."""
    if given is None:
        raise BadRequest("PartitionKey value must be supplied for this operation.")
    key.check_full(given)
    return Address(key.effective_key(given), canonical(given), id)


def stored_text(document: Mapping[str, Any]) -> bytes:
    """The document's JSON without its closing brace and without system properties.

    Raises: `TooLarge`, `BadRequest` for what is nested too deeply or holds a number that JSON has not.
    """
    plain = {name: value for name, value in document.items() if name not in SYSTEM_PROPERTIES}
    try:
        try:
            text = _WRITER.encode(plain).encode("utf-8")
        except UnicodeEncodeError:
            text = _ESCAPING_WRITER.encode(plain).encode("ascii")
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The document cannot be stored: {error}") from error
    if len(text) > MOST_ITEM_BYTES:
        raise TooLarge(f"Request size is too large: the item has {len(text)} bytes, the most are {MOST_ITEM_BYTES}.")
    _check_levels(plain, text, MOST_LEVELS)
    return text[:-1]


def check_id(id: Any) -> str:
    """Raises: `BadRequest` for an id that Cosmos DB refuses."""
    if not isinstance(id, str) or not id:
        raise BadRequest("The input content is invalid because the required properties - 'id; ' - are missing.")
    if not is_unicode(id):
        raise BadRequest("The id is no text: it holds half of a surrogate pair.")
    if FORBIDDEN_IN_IDS & set(id):
        raise BadRequest(f"The id {id!r} contains one of / \\ ? #.")
    if len(id.encode()) > MOST_ID_BYTES:
        raise BadRequest(f"The id is longer than {MOST_ID_BYTES} bytes.")
    return id


def _time_to_live(document: Mapping[str, Any]) -> int | None:
    value = document.get("ttl")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not (value == -1 or 0 < value < 1 << 31):
        raise BadRequest(f"The input ttl {value!r} is invalid: it must be -1 or a positive number of seconds.")
    return value


def _check_levels(value: Any, text: bytes, most: int) -> None:
    """Of a JSON value and its text. Raises: `BadRequest`."""
    if text.count(b"{") + text.count(b"[") > most and _levels(value) > most:
        raise BadRequest(f"The request holds what is nested more than {most} levels deep.")


def _levels(value: Any) -> int:
    """How deeply a JSON value is nested; without recursion, for it may be deep."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        current, level = waiting.pop()
        deepest = max(deepest, level)
        inner = current.values() if isinstance(current, dict) else current
        waiting.extend((entry, level + 1) for entry in inner if isinstance(entry, dict | list))
    return deepest
