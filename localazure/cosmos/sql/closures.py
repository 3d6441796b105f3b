"""Closures over the environment that several kinds of expressions are made of.

Owns: reading slots and properties, the values of several parts at once, and the operators that need not evaluate all
of their operands. Refuses to know: syntax trees (`expressions`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from localazure.cosmos.sql import operators
from localazure.cosmos.sql.held import held
from localazure.cosmos.sql.scope import Environment, Evaluate
from localazure.cosmos.sql.values import UNDEFINED, Value, whole

_FEW: Final = 32
"""Parts of one expression that fit, whatever each is. They are not counted: that takes longer than making them."""


def from_slot(slot: int) -> Evaluate:
    return lambda env: env[slot]


def property_of_slot(slot: int, name: str) -> Evaluate:
    def read(env: Environment) -> Value:
        value = env[slot]
        return value.get(name, UNDEFINED) if type(value) is dict else UNDEFINED

    return read


def property_of(source: Evaluate, name: str) -> Evaluate:
    def read(env: Environment) -> Value:
        value = source(env)
        return value.get(name, UNDEFINED) if type(value) is dict else UNDEFINED

    return read


def indexed(source: Evaluate, index: Evaluate) -> Evaluate:
    def read(env: Environment) -> Value:
        value, at = source(env), index(env)
        if type(value) is dict and type(at) is str:
            return value.get(at, UNDEFINED)
        if type(at) is float and whole(at) == at:
            at = int(at)
        if type(value) is list and type(at) is int and 0 <= at < len(value):
            return value[at]
        return UNDEFINED

    return read


def together(parts: Sequence[Evaluate]) -> Callable[[Environment], list[Value]]:
    """The values of all parts of one expression, in their order."""
    if len(parts) <= _FEW:
        return lambda env: [part(env) for part in parts]
    return lambda env: list(held(part(env) for part in parts))


def object_of(properties: Sequence[tuple[str, Evaluate]]) -> Evaluate:
    """An object of these names and values, in their order; what is undefined is left out."""
    names, values = [name for name, _ in properties], together([value for _, value in properties])
    return lambda env: {name: value for name, value in zip(names, values(env), strict=True) if value is not UNDEFINED}


def _all(tests: list[Evaluate]) -> Evaluate:
    """AND over all tests: false at the first false, undefined if one is no boolean."""

    def every(env: Environment) -> Value:
        result: Value = True
        for test in tests:
            found = test(env)
            if found is False:
                return False
            if found is not True:
                result = UNDEFINED
        return result

    return every


def _any(tests: list[Evaluate]) -> Evaluate:
    """OR over all tests: true at the first true, undefined if one is no boolean."""

    def some(env: Environment) -> Value:
        result: Value = False
        for test in tests:
            found = test(env)
            if found is True:
                return True
            if found is not False:
                result = UNDEFINED
        return result

    return some


def _first_defined(values: list[Evaluate]) -> Evaluate:
    def first(env: Environment) -> Value:
        for evaluate in values:
            value = evaluate(env)
            if value is not UNDEFINED:
                return value
        return UNDEFINED

    return first


def negated(test: Evaluate) -> Evaluate:
    return lambda env: operators.logical_not(test(env))


# Operators that need not evaluate all of their operands, each with what it makes of a whole chain.
CHAINED: Final = {"AND": _all, "OR": _any, "??": _first_defined}
