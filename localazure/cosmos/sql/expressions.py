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
from localazure.cosmos.sql.closures import (
    CHAINED,
    from_slot,
    indexed,
    negated,
    object_of,
    property_of,
    property_of_slot,
    together,
)
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
from localazure.cosmos.sql.values import UNDEFINED, Value, same

Operation: TypeAlias = Callable[[Value, Value], Value]
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
                return property_of_slot(scope.resolve(node.source), name)
            return property_of(self.compile(node.source, scope), name)
        return indexed(self.compile(node.source, scope), self.compile(node.index, scope))

    def _unary(self, node: Unary, scope: Scope) -> Evaluate:
        operation = operators.UNARY[node.operator]
        operand = self.compile(node.operand, scope)
        return lambda env: operation(operand(env))

    def _binary(self, node: Binary, scope: Scope) -> Evaluate:
        if node.operator in CHAINED:
            return CHAINED[node.operator]([self.compile(operand, scope) for operand in chain(node, node.operator)])
        right = self.compile(node.right, scope)
        operation = operators.BINARY[node.operator]
        if not self._is_plain(node.left, scope):
            left = self.compile(node.left, scope)
            return lambda env: operation(left(env), right(env))
        first, steps = self._steps(node.left, scope)
        steps.append((operation, right))

        def one_after_another(env: Environment) -> Value:
            value = first(env)
            for apply, operand in steps:
                value = apply(value, operand(env))
            return value

        return one_after_another

    def _is_plain(self, node: Expression, scope: Scope) -> bool:
        """Whether it is an operation of two operands that are both evaluated. Among groups it may be a group's key."""
        return isinstance(node, Binary) and node.operator not in CHAINED and scope.grouping is None

    def _steps(self, node: Expression, scope: Scope) -> tuple[Evaluate, list[tuple[Operation, Evaluate]]]:
        """What begins a long chain like `1 + 2 - 3 ...`, and what follows; without recursion, which would not reach."""
        steps: list[tuple[Operation, Evaluate]] = []
        while self._is_plain(node, scope):
            assert isinstance(node, Binary)
            steps.append((operators.BINARY[node.operator], self.compile(node.right, scope)))
            node = node.left
        return self.compile(node, scope), steps[::-1]

    def _between(self, node: Between, scope: Scope) -> Evaluate:
        subject, low, high = (self.compile(part, scope) for part in (node.subject, node.low, node.high))

        def within(env: Environment) -> Value:
            return operators.between(subject(env), low(env), high(env))

        return negated(within) if node.negated else within

    def _in(self, node: In, scope: Scope) -> Evaluate:
        subject = self.compile(node.subject, scope)
        items = [self.compile(item, scope) for item in node.items]

        def contained(env: Environment) -> Value:
            value = subject(env)
            if value is UNDEFINED:
                return UNDEFINED
            return any(same(value, other) for item in items if (other := item(env)) is not UNDEFINED)

        return negated(contained) if node.negated else contained

    def _like(self, node: Like, scope: Scope) -> Evaluate:
        subject, pattern = self.compile(node.subject, scope), self.compile(node.pattern, scope)
        escape = self.compile(node.escape, scope) if node.escape is not None else lambda env: None

        def matches(env: Environment) -> Value:
            return operators.like(subject(env), pattern(env), escape(env))

        return negated(matches) if node.negated else matches

    def _conditional(self, node: Conditional, scope: Scope) -> Evaluate:
        condition, then, otherwise = (self.compile(part, scope) for part in (node.condition, node.then, node.otherwise))
        return lambda env: then(env) if condition(env) is True else otherwise(env)

    def _array(self, node: ArrayOf, scope: Scope) -> Evaluate:
        """An undefined item keeps its place, and is written as null."""
        return together([self.compile(item, scope) for item in node.items])

    def _object(self, node: ObjectOf, scope: Scope) -> Evaluate:
        return object_of([(name, self.compile(value, scope)) for name, value in node.properties])

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
