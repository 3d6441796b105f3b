"""Array and set functions.

Owns: their meaning; a wrong type gives undefined. Refuses to know: evaluation.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/array-concat and its neighbours array-contains,
array-contains-all, array-contains-any, array-length, array-slice, choose, objecttoarray, setdifference, setequal,
setintersect, setunion
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from localazure.cosmos.sql.aggregates import AGGREGATES, Accumulator
from localazure.cosmos.sql.functions.signature import Function
from localazure.cosmos.sql.limits import check_size
from localazure.cosmos.sql.operators import add
from localazure.cosmos.sql.values import UNDEFINED, Value, identity_key, is_number, number, same, whole


def array_concat(*arrays: Value) -> Value:
    if not all(type(array) is list for array in arrays):
        return UNDEFINED
    check_size(sum(map(len, arrays)))
    return [item for array in arrays for item in array]


def array_contains(array: Value, sought: Value, partial: Value = False) -> Value:
    """With `partial` an object is found by a part of its properties."""
    if type(array) is not list or type(partial) is not bool or sought is UNDEFINED:
        return UNDEFINED
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
    """AND over ARRAY_CONTAINS of each."""
    found = [array_contains(array, value) for value in sought]
    return False if False in found else UNDEFINED if UNDEFINED in found else True


def array_contains_any(array: Value, *sought: Value) -> Value:
    """OR over ARRAY_CONTAINS of each."""
    found = [array_contains(array, value) for value in sought]
    return True if True in found else UNDEFINED if UNDEFINED in found else False


def array_length(array: Value) -> Value:
    return len(array) if type(array) is list else UNDEFINED


def array_slice(array: Value, start: Value, length: Value = None) -> Value:
    """From zero-based `start` (negative: from the end), `length` items or all that follow."""
    first = whole(start)
    count = len(array) if length is None and type(array) is list else whole(length)
    if type(array) is not list or first is None or count is None:
        return UNDEFINED
    begin = first if first >= 0 else max(len(array) + first, 0)
    return array[begin : begin + max(count, 0)]


def choose(position: Value, *values: Value) -> Value:
    """The value at one-based `position`; undefined outside."""
    at = whole(position)
    return values[at - 1] if at is not None and at == position and 1 <= at <= len(values) else UNDEFINED


def object_to_array(value: Value, key_name: Value = "k", value_name: Value = "v") -> Value:
    if type(value) is not dict or type(key_name) is not str or type(value_name) is not str:
        return UNDEFINED
    return [{key_name: name, value_name: held} for name, held in value.items()]


def _distinct(values: list[Value]) -> list[Value]:
    """Each value once, where it came first."""
    return list({identity_key(value): value for value in values}.values())


def set_intersect(first: Value, second: Value) -> Value:
    """In the order of `second`, as the page has it."""
    if type(first) is not list or type(second) is not list:
        return UNDEFINED
    common = {identity_key(value) for value in first}
    return _distinct([value for value in second if identity_key(value) in common])


def set_difference(first: Value, second: Value) -> Value:
    if type(first) is not list or type(second) is not list:
        return UNDEFINED
    taken = {identity_key(value) for value in second}
    return _distinct([value for value in first if identity_key(value) not in taken])


def set_equal(first: Value, second: Value) -> Value:
    if type(first) is not list or type(second) is not list:
        return UNDEFINED
    return set(map(identity_key, first)) == set(map(identity_key, second))


def set_union(first: Value, second: Value) -> Value:
    if type(first) is not list or type(second) is not list:
        return UNDEFINED
    return _distinct(first + second)


def _folded(accumulator: type[Accumulator]) -> Callable[[Value], Value]:
    """An aggregate over the items of one array; undefined ones are skipped, an empty array gives undefined."""

    def fold(array: Value) -> Value:
        if type(array) is not list or not array:
            return UNDEFINED
        state = accumulator()
        for item in array:
            state.add(item)
        return state.result()

    return fold


def array_median(array: Value) -> Value:
    """Of numbers only; undefined items are skipped."""
    items = [item for item in array if item is not UNDEFINED] if type(array) is list else []
    if not items or not all(map(is_number, items)):
        return UNDEFINED
    items.sort()
    low, high = items[(len(items) - 1) // 2], items[len(items) // 2]
    return number(low if low == high else add(low, high) / 2)


FUNCTIONS: Final = {
    "ARRAY_AVG": Function(1, 1, _folded(AGGREGATES["AVG"])),
    "ARRAY_CONCAT": Function(2, None, array_concat),
    "ARRAY_CONTAINS": Function(2, 3, array_contains, defined=False),
    "ARRAY_CONTAINS_ALL": Function(2, None, array_contains_all, defined=False),
    "ARRAY_CONTAINS_ANY": Function(2, None, array_contains_any, defined=False),
    "ARRAY_LENGTH": Function(1, 1, array_length),
    "ARRAY_MAX": Function(1, 1, _folded(AGGREGATES["MAX"])),
    "ARRAY_MEDIAN": Function(1, 1, array_median),
    "ARRAY_MIN": Function(1, 1, _folded(AGGREGATES["MIN"])),
    "ARRAY_SLICE": Function(2, 3, array_slice),
    "ARRAY_SUM": Function(1, 1, _folded(AGGREGATES["SUM"])),
    "CHOOSE": Function(2, None, choose, defined=False),
    "OBJECTTOARRAY": Function(1, 3, object_to_array),
    "SETDIFFERENCE": Function(2, 2, set_difference),
    "SETEQUAL": Function(2, 2, set_equal),
    "SETINTERSECT": Function(2, 2, set_intersect),
    "SETUNION": Function(2, 2, set_union),
}
