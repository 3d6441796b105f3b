"""How a built-in function is declared: its argument counts and its meaning over values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localazure.cosmos.sql.closures import together
from localazure.cosmos.sql.scope import Environment, Evaluate
from localazure.cosmos.sql.values import UNDEFINED, Value


@dataclass(frozen=True, slots=True)
class Function:
    """`apply` gets the values of the arguments; with `defined` (the rule) it is asked only when none is undefined.

    `least`..`most` arguments (`most` None: any number).
    """

    least: int
    most: int | None
    apply: Callable[..., Value]
    defined: bool = True

    def bind(self, arguments: list[Evaluate]) -> Evaluate:
        apply = self.apply
        if len(arguments) == 1:
            only = arguments[0]
            if not self.defined:
                return lambda env: apply(only(env))
            return lambda env: UNDEFINED if (value := only(env)) is UNDEFINED else apply(value)
        values_of = together(arguments)
        if not self.defined:
            return lambda env: apply(*values_of(env))

        def call(env: Environment) -> Value:
            values = values_of(env)
            return UNDEFINED if UNDEFINED in values else apply(*values)

        return call
