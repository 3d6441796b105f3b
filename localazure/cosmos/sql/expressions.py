"""Expressions compiled to closures over the environment.

Owns: what each kind of expression evaluates to. Refuses to know: clauses and rows (`compiler`), single operators and
functions (`operators`, `functions`).

How: one Python closure per node, specialised where most queries spend their time (`c.name`, comparison with a
constant). Constant parts are not folded: a parameter is as cheap as a literal.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/scalar-expressions
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from localazure.cosmos.sql import operators
from localazure.cosmos.sql.aggregates import AGGREGATES
from localazure.cosmos.sql.errors import SqlRefused
from localazure.cosmos.sql.functions import CLOCK_FUNCTIONS, WATCHED_FUNCTIONS, function_named
from localazure.cosmos.sql.scope import STARTED, WATCH, Environment, Evaluate, Grouping, Scope
from localazure.cosmos.sql.tree import (
    ArrayOf,
    Between,
    Binary,
    Call,
    Conditional,
    Expression,
    Identifier,
    In,
    Like,
    Literal,
    Member,
    ObjectOf,
    Parameter,
    Subquery,
    Unary,
    chain,
)
from localazure.cosmos.sql.values import UNDEFINED, Value, same, whole

CompileSubquery: TypeAlias = Callable[[Subquery, Scope], Evaluate]


class ExpressionCompiler:
    """Compiles the expressions of one query; subqueries go back to the query compiler."""

    def __init__(self, compile_subquery: CompileSubquery) -> None:
        self._compile_subquery = compile_subquery
        self._compilers: dict[type, Callable[..., Evaluate]] = {
            Literal: self._literal,
            Parameter: self._parameter,
            Identifier: self._identifier,
            Member: self._member,
            Unary: self._unary,
            Binary: self._binary,
            Between: self._between,
            In: self._in,
            Like: self._like,
            Conditional: self._conditional,
            Call: self._call,
            ArrayOf: self._array,
            ObjectOf: self._object,
            Subquery: self._subquery,
        }

    def compile(self, node: Expression, scope: Scope) -> Evaluate:
        if scope.grouping is not None:
            slot = scope.grouping.slot_of(node)
            if slot is not None:
                return from_slot(slot)
        return self._compilers[type(node)](node, scope)

    def _literal(self, node: Literal, scope: Scope) -> Evaluate:
        value = node.value
        return lambda env: value

    def _parameter(self, node: Parameter, scope: Scope) -> Evaluate:
        return from_slot(scope.slots.parameter(node.name))

    def _identifier(self, node: Identifier, scope: Scope) -> Evaluate:
        slot = scope.resolve(node)
        if scope.grouping is not None and node.name in scope.aliases:
            raise _not_grouped(node, scope.grouping)
        return from_slot(slot)

    def _member(self, node: Member, scope: Scope) -> Evaluate:
        if isinstance(node.index, Literal) and isinstance(node.index.value, str):
            name = node.index.value
            if isinstance(node.source, Identifier) and scope.grouping is None:
                return _property_of_slot(scope.resolve(node.source), name)
            return _property(self.compile(node.source, scope), name)
        return _indexed(self.compile(node.source, scope), self.compile(node.index, scope))

    def _unary(self, node: Unary, scope: Scope) -> Evaluate:
        operation = operators.UNARY[node.operator]
        operand = self.compile(node.operand, scope)
        return lambda env: operation(operand(env))

    def _binary(self, node: Binary, scope: Scope) -> Evaluate:
        if node.operator in ("AND", "OR"):
            tests = [self.compile(operand, scope) for operand in chain(node, node.operator)]
            return _all(tests) if node.operator == "AND" else _any(tests)
        left = self.compile(node.left, scope)
        right = self.compile(node.right, scope)
        if node.operator == "??":
            return lambda env: right(env) if (value := left(env)) is UNDEFINED else value
        operation = operators.BINARY[node.operator]
        return lambda env: operation(left(env), right(env))

    def _between(self, node: Between, scope: Scope) -> Evaluate:
        subject, low, high = (self.compile(part, scope) for part in (node.subject, node.low, node.high))

        def within(env: Environment) -> Value:
            return operators.between(subject(env), low(env), high(env))

        return _negated(within) if node.negated else within

    def _in(self, node: In, scope: Scope) -> Evaluate:
        subject = self.compile(node.subject, scope)
        items = [self.compile(item, scope) for item in node.items]

        def contained(env: Environment) -> Value:
            value = subject(env)
            if value is UNDEFINED:
                return UNDEFINED
            return any(same(value, other) for item in items if (other := item(env)) is not UNDEFINED)

        return _negated(contained) if node.negated else contained

    def _like(self, node: Like, scope: Scope) -> Evaluate:
        subject, pattern = self.compile(node.subject, scope), self.compile(node.pattern, scope)
        escape = self.compile(node.escape, scope) if node.escape is not None else lambda env: None

        def matches(env: Environment) -> Value:
            return operators.like(subject(env), pattern(env), escape(env))

        return _negated(matches) if node.negated else matches

    def _conditional(self, node: Conditional, scope: Scope) -> Evaluate:
        condition, then, otherwise = (self.compile(part, scope) for part in (node.condition, node.then, node.otherwise))
        return lambda env: then(env) if condition(env) is True else otherwise(env)

    def _array(self, node: ArrayOf, scope: Scope) -> Evaluate:
        """An undefined item keeps its place, and is written as null."""
        items = [self.compile(item, scope) for item in node.items]
        return lambda env: [item(env) for item in items]

    def _object(self, node: ObjectOf, scope: Scope) -> Evaluate:
        properties = [(name, self.compile(value, scope)) for name, value in node.properties]
        return lambda env: {name: value for name, item in properties if (value := item(env)) is not UNDEFINED}

    def _subquery(self, node: Subquery, scope: Scope) -> Evaluate:
        return self._compile_subquery(node, scope)

    def _call(self, node: Call, scope: Scope) -> Evaluate:
        if node.user_defined:
            raise SqlRefused(
                "SC2040", f"User-defined function '{node.name}' could not be resolved.", node.span.start, node.span.end
            )
        if node.name in AGGREGATES:
            return self._aggregate(node, scope)
        function = function_named(node.name, len(node.arguments), node.span)
        arguments = [self.compile(argument, scope) for argument in node.arguments]
        if node.name in CLOCK_FUNCTIONS:
            arguments.insert(0, lambda env: time.time_ns())
        elif node.name.removesuffix("STATIC") in CLOCK_FUNCTIONS:
            arguments.insert(0, from_slot(scope.slots.parameter(STARTED)))
        elif node.name in WATCHED_FUNCTIONS:
            arguments.insert(0, from_slot(WATCH))
        return function.bind(arguments)

    def _aggregate(self, node: Call, scope: Scope) -> Evaluate:
        if scope.grouping is None:
            raise SqlRefused(
                "SC2030", f"The aggregate function '{node.name}' is not allowed here.", node.span.start, node.span.end
            )
        if len(node.arguments) != 1:
            raise SqlRefused(
                "SC2050", f"The {node.name} function requires 1 argument(s).", node.span.start, node.span.end
            )
        row_scope = Scope(scope.slots, scope.parent, scope.aliases)
        argument = self.compile(node.arguments[0], row_scope)
        slot = scope.slots.new()
        scope.grouping.aggregates.append((slot, AGGREGATES[node.name], argument))
        return from_slot(slot)


def _not_grouped(node: Identifier, grouping: Grouping) -> SqlRefused:
    return SqlRefused(
        "SC2102",
        f"Property reference '{node.name}' is invalid in the select list because it is not contained in either an "
        "aggregate function or the GROUP BY clause.",
        node.span.start,
        node.span.end,
    )


def from_slot(slot: int) -> Evaluate:
    return lambda env: env[slot]


def _property_of_slot(slot: int, name: str) -> Evaluate:
    def read(env: Environment) -> Value:
        value = env[slot]
        return value.get(name, UNDEFINED) if type(value) is dict else UNDEFINED

    return read


def _property(source: Evaluate, name: str) -> Evaluate:
    def read(env: Environment) -> Value:
        value = source(env)
        return value.get(name, UNDEFINED) if type(value) is dict else UNDEFINED

    return read


def _indexed(source: Evaluate, index: Evaluate) -> Evaluate:
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


def _negated(test: Evaluate) -> Evaluate:
    return lambda env: operators.logical_not(test(env))
