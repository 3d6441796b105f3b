"""The values of the language: JSON's, and `undefined`, which is not null.

Owns: types, their order, equality and comparison. Refuses to know: syntax, functions.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/equality-comparison-operators,
learn.microsoft.com/azure/cosmos-db/nosql/query/order-by (order of types)
"""

from __future__ import annotations

from typing import Any, Final


class Undefined:
    """The absence of a value: what a missing property, a type error and a division by zero give. One instance."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined()
Value = Any  # JSON as `json.loads` gives it, or UNDEFINED
