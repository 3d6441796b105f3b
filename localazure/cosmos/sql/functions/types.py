"""Type checking functions: true or false, also for undefined.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/is-defined and its neighbours is-null, is-number, is-string,
is-bool, is-array, is-object, is-primitive, is-integer, is-finite-number
"""

from __future__ import annotations

from typing import Final

from localazure.cosmos.sql.functions.signature import Function
from localazure.cosmos.sql.values import UNDEFINED, Value, is_number, whole

_SMALLEST_INTEGER: Final = -(2**63)
_LARGEST_INTEGER: Final = 2**63 - 1


def is_primitive(value: Value) -> bool:
    """A string, boolean, number or null."""
    return value is not UNDEFINED and type(value) not in (list, dict)


def is_integer(value: Value) -> bool:
    """A number without a fraction within 64 bits."""
    found = whole(value)
    return found is not None and found == value and _SMALLEST_INTEGER <= found <= _LARGEST_INTEGER


FUNCTIONS: Final = {
    "IS_ARRAY": Function(1, 1, lambda value: type(value) is list, defined=False),
    "IS_BOOL": Function(1, 1, lambda value: type(value) is bool, defined=False),
    "IS_DEFINED": Function(1, 1, lambda value: value is not UNDEFINED, defined=False),
    "IS_FINITE_NUMBER": Function(1, 1, lambda value: whole(value) is not None, defined=False),
    "IS_INTEGER": Function(1, 1, is_integer, defined=False),
    "IS_NULL": Function(1, 1, lambda value: value is None, defined=False),
    "IS_NUMBER": Function(1, 1, is_number, defined=False),
    "IS_OBJECT": Function(1, 1, lambda value: type(value) is dict, defined=False),
    "IS_PRIMITIVE": Function(1, 1, is_primitive, defined=False),
    "IS_STRING": Function(1, 1, lambda value: type(value) is str, defined=False),
}
