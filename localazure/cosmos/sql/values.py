"""The values of the language: JSON's, and `undefined`, which is not null.

Owns: types and their order, equality, comparison, the keys that ORDER BY sorts by and that GROUP BY and DISTINCT
compare by. Refuses to know: syntax, functions.

How: documents are what a JSON decoder gives (dict, list, str, int, float, bool, None); `type(x)` decides, never
`isinstance`, so that true is not 1. Equality across types is false and order across types is undefined, as in the
service's own reference evaluator; so `c.x != null` keeps every document whose x is defined and not null. That deviates
from the page on equality, which has "undefined" for both; in a WHERE the two differ for `!=` and NOT only.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/equality-comparison-operators,
learn.microsoft.com/azure/cosmos-db/nosql/query/order-by (order of types),
github.com/Azure/azure-cosmos-dotnet-v3 (tests, Query/OfflineEngine/ScalarExpressionEvaluator.cs)
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, Final


class Undefined:
    """The absence of a value: what a missing property or an operand of the wrong type gives. One instance."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined()
Value = Any  # JSON as a decoder gives it, or UNDEFINED

_RANK: Final[dict[type, int]] = {Undefined: 0, type(None): 1, bool: 2, int: 4, float: 4, str: 5, list: 6, dict: 7}
_LARGEST_EXACT: Final = 2**53
_LARGEST_INTEGER: Final = 2**63
_LONGEST_PLACE: Final = 200  # characters
_MOST_DIGITS: Final = 400  # more than the largest double has


def rank(value: Value) -> int:
    """The place of the value's type: undefined, null, boolean, number, string, array, object."""
    return _RANK[type(value)]


def is_number(value: Value) -> bool:
    return type(value) is int or type(value) is float


def number(value: float) -> float:
    """A number as a double has it, without a fraction where it is whole and within 64 bits. It may be NaN or infinite.

    So equal numbers are one key and one text, however they are written.
    """
    if type(value) is int and -_LARGEST_EXACT <= value <= _LARGEST_EXACT:
        return value
    value = double(value)
    return int(value) if -_LARGEST_INTEGER < value < _LARGEST_INTEGER and value == int(value) else value


def double(value: float) -> float:
    """The nearest double: infinite for an integer beyond them all, which JSON may hold and Cosmos DB does not."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def whole(value: Value) -> int | None:
    """The number without its fraction; None for anything but a finite number."""
    return int(value) if is_number(value) and math.isfinite(double(value)) else None


def read_json(text: str | bytes) -> Value:
    """What JSON text holds, every number as `number` has it. Raises: ValueError, RecursionError."""
    return json.loads(text, parse_int=_integer, parse_constant=_refuse_constant)


def _integer(digits: str) -> float:
    return number(int(digits) if len(digits) < _MOST_DIGITS else float(digits))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def is_finite(value: Value) -> bool:
    """Whether JSON can hold the value: no NaN and no infinity in it, at any depth."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    if kind is list:
        return all(map(is_finite, value))
    if kind is dict:
        return all(map(is_finite, value.values()))
    return True


def same(left: Value, right: Value) -> bool:
    """Whether two defined values are equal, deep and without mixing types."""
    kind = type(left)
    if kind is type(right):
        if kind is list:
            return len(left) == len(right) and all(map(same, left, right))
        if kind is dict:
            return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
        return bool(left == right)
    return is_number(left) and is_number(right) and bool(left == right)


def equal(left: Value, right: Value) -> Value:
    """`=`: true, false, or undefined when a side is."""
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    return same(left, right)


def less(left: Value, right: Value) -> Value:
    """`<`: undefined across types, between arrays and between objects."""
    place = _RANK[type(left)]
    if place == 0 or place > 5 or place != _RANK[type(right)]:
        return UNDEFINED
    if place == 1:
        return False
    return bool(left < right)


def at_most(left: Value, right: Value) -> Value:
    """`<=`, as `less`."""
    place = _RANK[type(left)]
    if place == 0 or place > 5 or place != _RANK[type(right)]:
        return UNDEFINED
    if place == 1:
        return True
    return bool(left <= right)


def order_key(value: Value) -> tuple[Any, ...]:
    """What ORDER BY, MIN and MAX sort by: comparable between any two values."""
    place = _RANK[type(value)]
    if place <= 1:
        return (place,)
    if place <= 5:
        return (place, value)
    return (place, canonical(value))


def identity_key(value: Value) -> Any:
    """What GROUP BY and DISTINCT compare by: hashable, equal exactly when the values are the same."""
    kind = type(value)
    if kind is str or value is None or value is UNDEFINED:
        return value
    if kind is int or kind is float:
        return (4, value)
    return (_RANK[kind], canonical(value))


def place_key(value: Value) -> tuple[Any, ...]:
    """What results of DISTINCT and GROUP BY are put in order by: `order_key` in JSON's types, and of bounded size."""
    place = _RANK[type(value)]
    if place <= 1:
        return (place,)
    if place <= 4:
        return (place, value)
    text = value if place == 5 else canonical(value)
    if len(text) <= _LONGEST_PLACE:
        return (place, text, "")
    return (place, text[:_LONGEST_PLACE], hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def canonical(value: Value) -> str:
    """One text per value, whatever the order of its properties and the way its numbers are written."""
    return json.dumps(as_json(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def as_json(value: Value) -> Value:
    """The value as it is written: undefined items of arrays as null, numbers as `number` has them.

    Integers within 64 bits stay as they are.
    """
    kind = type(value)
    if kind is float or (kind is int and not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER):
        return number(value)
    if kind is list:
        return [None if item is UNDEFINED else as_json(item) for item in value]
    if kind is dict:
        return {name: as_json(item) for name, item in value.items()}
    return value
