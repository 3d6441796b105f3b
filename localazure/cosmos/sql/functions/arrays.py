"""Array and set functions.

Owns: their meaning; a wrong type gives undefined. Refuses to know: evaluation.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/array-concat and its neighbours array-contains,
array-contains-all, array-contains-any, array-length, array-slice, choose, objecttoarray, setintersect, setunion
"""

from __future__ import annotations

from typing import Final

from localazure.cosmos.sql.functions.signature import Function
from localazure.cosmos.sql.values import UNDEFINED, Value, identity_key, is_number, same


def array_concat(*arrays: Value) -> Value:
    if not all(type(array) is list for array in arrays):
        return UNDEFINED
    return [item for array in arrays for item in array]


def array_contains(array: Value, sought: Value, partial: Value = False) -> Value:
    """With `partial` an object is found by a part of its properties. An undefined value is contained in no array."""
    if type(array) is not list or type(partial) is not bool:
        return UNDEFINED
    if sought is UNDEFINED:
        return False
    if partial and type(sought) is dict:
        return any(_holds(item, sought) for item in array)
    return any(same(item, sought) for item in array)


def _holds(item: Value, part: dict[str, Value]) -> bool:
    if type(item) is not dict:
        return False
    return all(
        name in item and (_holds(item[name], value) if type(value) is dict else same(item[name], value))
        for name, value in part.items()
    )


def array_contains_all(array: Value, *sought: Value) -> Value:
    if type(array) is not list:
        return UNDEFINED
    return all(array_contains(array, value) for value in sought)


def array_contains_any(array: Value, *sought: Value) -> Value:
    if type(array) is not list:
        return UNDEFINED
    return any(array_contains(array, value) for value in sought)


def array_length(array: Value) -> Value:
    return len(array) if type(array) is list else UNDEFINED


def array_slice(array: Value, start: Value, length: Value = None) -> Value:
    """From zero-based `start` (negative: from the end), `length` items or all that follow."""
    if type(array) is not list or not is_number(start) or not (length is None or is_number(length)):
        return UNDEFINED
    begin = int(start) if start >= 0 else max(len(array) + int(start), 0)
    if length is None:
        return array[begin:]
    return array[begin : begin + int(length)] if length > 0 else []


def choose(position: Value, *values: Value) -> Value:
    """The value at one-based `position`; undefined outside."""
    if not is_number(position) or position != int(position) or not 1 <= position <= len(values):
        return UNDEFINED
    return values[int(position) - 1]


def object_to_array(value: Value, key_name: Value = "k", value_name: Value = "v") -> Value:
    if type(value) is not dict or type(key_name) is not str or type(value_name) is not str:
        return UNDEFINED
    return [{key_name: name, value_name: held} for name, held in value.items()]


def _distinct(values: list[Value]) -> list[Value]:
    return list({identity_key(value): value for value in reversed(values)}.values())[::-1]


def set_intersect(first: Value, second: Value) -> Value:
    if type(first) is not list or type(second) is not list:
        return UNDEFINED
    common = {identity_key(value) for value in second}
    return _distinct([value for value in first if identity_key(value) in common])


def set_union(first: Value, second: Value) -> Value:
    if type(first) is not list or type(second) is not list:
        return UNDEFINED
    return _distinct(first + second)


def set_difference(first: Value, second: Value) -> Value:
    if type(first) is not list or type(second) is not list:
        return UNDEFINED
    excluded = {identity_key(value) for value in second}
    return _distinct([value for value in first if identity_key(value) not in excluded])


def set_equal(first: Value, second: Value) -> Value:
    if type(first) is not list or type(second) is not list:
        return UNDEFINED
    return {identity_key(value) for value in first} == {identity_key(value) for value in second}


FUNCTIONS: Final = {
    "ARRAY_CONCAT": Function(2, None, array_concat),
    "ARRAY_CONTAINS": Function(2, 3, array_contains, defined=False),
    "ARRAY_CONTAINS_ALL": Function(2, None, array_contains_all, defined=False),
    "ARRAY_CONTAINS_ANY": Function(2, None, array_contains_any, defined=False),
    "ARRAY_LENGTH": Function(1, 1, array_length),
    "ARRAY_SLICE": Function(2, 3, array_slice),
    "CHOOSE": Function(2, None, choose, defined=False),
    "OBJECTTOARRAY": Function(1, 3, object_to_array),
    "SETDIFFERENCE": Function(2, 2, set_difference),
    "SETEQUAL": Function(2, 2, set_equal),
    "SETINTERSECT": Function(2, 2, set_intersect),
    "SETUNION": Function(2, 2, set_union),
}
