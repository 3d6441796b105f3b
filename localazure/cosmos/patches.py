"""Partial updates: the six patch operations on a JSON document.

Owns: their meaning and limits. Refuses to know: rows, HTTP, the language of conditions.

How: paths are JSON pointers; `-` behind an array means its end. The document given is not changed; a patch that
cannot be applied raises, and nothing of it is kept.

Source: learn.microsoft.com/azure/cosmos-db/partial-document-update, RFC 6901 (pointers)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from localazure.cosmos.drafts import SYSTEM_PROPERTIES
from localazure.cosmos.errors import BadRequest
from localazure.cosmos.sql.values import double, number
from localazure.cosmos.texts import is_whole

MOST_OPERATIONS = 10
Pointer = tuple[str, ...]


def apply(document: Mapping[str, Any], operations: Any, key_paths: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """The patched document. Raises: `BadRequest`."""
    if not isinstance(operations, list) or not operations:
        raise BadRequest("The patch has no operations.")
    if len(operations) > MOST_OPERATIONS:
        raise BadRequest(f"The number of patch operations can't exceed '{MOST_OPERATIONS}'.")
    patched = copy.deepcopy(dict(document))
    for operation in operations:
        _apply_one(patched, operation, key_paths)
    return patched


def _apply_one(document: dict[str, Any], operation: Any, key_paths: Sequence[tuple[str, ...]]) -> None:
    if not isinstance(operation, dict):
        raise BadRequest("A patch operation is not an object.")
    act = _ACTS.get(str(operation.get("op")).lower())
    if act is None:
        raise BadRequest(f"The patch operation {operation.get('op')!r} is not one of {', '.join(sorted(_ACTS))}.")
    path = _pointer(operation.get("path"))
    _check_may_change(path, key_paths)
    act(document, path, operation, key_paths)


def _check_may_change(path: Pointer, key_paths: Sequence[tuple[str, ...]]) -> None:
    if path[0] in SYSTEM_PROPERTIES or path == ("id",):
        raise BadRequest(f"Cannot patch the system property '/{'/'.join(path)}'.")
    if any(key[: len(path)] == path for key in key_paths):
        raise BadRequest(f"Cannot patch the partition key path '/{'/'.join(path)}'.")


def _pointer(text: Any) -> Pointer:
    if not isinstance(text, str) or not text.startswith("/") or text == "/":
        raise BadRequest(f"The patch path {text!r} does not name a property.")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def _add(document: Any, path: Pointer, operation: Mapping[str, Any], _: Any) -> None:
    """A property is set; an element is inserted before the one at its index, or at the end."""
    _put(document, path, _value(operation), insert=True)


def _set(document: Any, path: Pointer, operation: Mapping[str, Any], _: Any) -> None:
    """A property is set; an element at an index is replaced, at the end added."""
    _put(document, path, _value(operation), insert=False)


def _replace(document: Any, path: Pointer, operation: Mapping[str, Any], _: Any) -> None:
    owner, last = _owner(document, path)
    _get(owner, last, path)
    owner[_key(owner, last, path)] = _value(operation)


def _remove(document: Any, path: Pointer, _: Mapping[str, Any], __: Any) -> None:
    owner, last = _owner(document, path)
    _get(owner, last, path)
    del owner[_key(owner, last, path)]


def _increment(document: Any, path: Pointer, operation: Mapping[str, Any], _: Any) -> None:
    """As doubles are added; a missing property is taken for 0."""
    step = _value(operation)
    owner, last = _owner(document, path)
    if isinstance(owner, dict) and last not in owner:
        current: Any = 0
    else:
        current = _get(owner, last, path)
    if not _is_number(step) or not _is_number(current):
        raise BadRequest(f"The patch operation incr at '/{'/'.join(path)}' needs numbers.")
    owner[_key(owner, last, path)] = number(double(current) + double(step))


def _move(document: Any, path: Pointer, operation: Mapping[str, Any], key_paths: Sequence[tuple[str, ...]]) -> None:
    source = _pointer(operation.get("from"))
    _check_may_change(source, key_paths)
    if path[: len(source)] == source and path != source:
        raise BadRequest("A patch cannot move a value into itself.")
    owner, last = _owner(document, source)
    value = _get(owner, last, source)
    del owner[_key(owner, last, source)]
    _put(document, path, value, insert=True)


_ACTS: Mapping[str, Callable[[Any, Pointer, Mapping[str, Any], Sequence[tuple[str, ...]]], None]] = {
    "add": _add,
    "set": _set,
    "replace": _replace,
    "remove": _remove,
    "incr": _increment,
    "move": _move,
}


def _put(document: Any, path: Pointer, value: Any, *, insert: bool) -> None:
    owner, last = _owner(document, path)
    if isinstance(owner, dict):
        owner[last] = value
        return
    if last == "-" or last == str(len(owner)):
        owner.append(value)
    elif insert:
        owner.insert(_index(owner, last, path), value)
    else:
        owner[_index(owner, last, path)] = value


def _owner(document: Any, path: Pointer) -> tuple[Any, str]:
    """The object or array that the last step of `path` is in."""
    for position, step in enumerate(path[:-1]):
        document = _get(document, step, path[: position + 1])
    if not isinstance(document, dict | list):
        raise BadRequest(f"The patch path '/{'/'.join(path)}' leads into a value that is no object or array.")
    return document, path[-1]


def _get(owner: Any, step: str, path: Pointer) -> Any:
    if isinstance(owner, dict) and step in owner:
        return owner[step]
    if isinstance(owner, list):
        return owner[_index(owner, step, path)]
    raise BadRequest(f"The patch path '/{'/'.join(path)}' does not exist.")


def _key(owner: Any, step: str, path: Pointer) -> str | int:
    return _index(owner, step, path) if isinstance(owner, list) else step


def _index(owner: list[Any], step: str, path: Pointer) -> int:
    if not is_whole(step) or int(step) >= len(owner):
        raise BadRequest(f"The patch path '/{'/'.join(path)}' names no element of its array.")
    return int(step)


def _value(operation: Mapping[str, Any]) -> Any:
    if "value" not in operation:
        raise BadRequest(f"The patch operation {operation.get('op')!r} has no value.")
    return operation["value"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
