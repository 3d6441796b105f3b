"""The aggregate functions as accumulators: values in, one result out.

Owns: what COUNT, SUM, MIN, MAX and AVG do with undefined, null and mixed types. Refuses to know: groups, documents.

How: undefined arguments are skipped. SUM and AVG over anything but numbers are undefined; MIN and MAX over arrays or
objects are undefined; AVG, MIN and MAX of nothing are undefined, COUNT and SUM of nothing are 0.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/count, /sum, /min, /max, /average,
github.com/Azure/azure-cosmos-dotnet-v3 (tests, Query/OfflineEngine/AggregateProjectionTransformer.cs)
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from localazure.cosmos.sql.values import UNDEFINED, Value, double, number, order_key, rank


class Accumulator(Protocol):
    def add(self, value: Value) -> None: ...

    def result(self) -> Value: ...


class Count:
    def __init__(self) -> None:
        self._count = 0

    def add(self, value: Value) -> None:
        if value is not UNDEFINED:
            self._count += 1

    def result(self) -> Value:
        return self._count


class CountIf:
    def __init__(self) -> None:
        self._count = 0

    def add(self, value: Value) -> None:
        if value is True:
            self._count += 1

    def result(self) -> Value:
        return self._count


class Sum:
    """Added in the order of arrival, as doubles are."""

    def __init__(self) -> None:
        self._total = 0.0
        self._count = 0
        self._defined = True

    def add(self, value: Value) -> None:
        if type(value) is int or type(value) is float:
            self._total += double(value)
            self._count += 1
        elif value is not UNDEFINED:
            self._defined = False

    def total(self) -> Value:
        return number(self._total) if self._defined else UNDEFINED

    def result(self) -> Value:
        return self.total()


class Average(Sum):
    def result(self) -> Value:
        total = self.total()
        if total is UNDEFINED or self._count == 0:
            return UNDEFINED
        return number(total / self._count)


class Extreme:
    """MIN (`sign` 1) or MAX (`sign` -1)."""

    sign = 1

    def __init__(self) -> None:
        self._value: Value = UNDEFINED
        self._key: Any = None
        self._comparable = True

    def add(self, value: Value) -> None:
        if value is UNDEFINED:
            return
        if rank(value) > 5:
            self._comparable = False
            return
        key = order_key(value)
        if self._key is None or (key < self._key if self.sign > 0 else key > self._key):
            self._value, self._key = value, key

    def result(self) -> Value:
        return self._value if self._comparable else UNDEFINED


class Minimum(Extreme):
    sign = 1


class Maximum(Extreme):
    sign = -1


AGGREGATES: Final[dict[str, type[Accumulator]]] = {
    "COUNT": Count,
    "COUNTIF": CountIf,
    "SUM": Sum,
    "AVG": Average,
    "MIN": Minimum,
    "MAX": Maximum,
}
