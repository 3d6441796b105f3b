"""A syntax tree -> a compiled query.

Owns: what FROM binds, in which scope each name stands, and what SELECT builds. Refuses to know: text, documents, pages.

How: FROM becomes nested loops that set slots of the environment, everything else closures over it; `execution` runs
them.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/select, /from, /join, /where, /group-by, /order-by, /subquery
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeAlias

import msgspec

from localazure.cosmos.sql import rules
from localazure.cosmos.sql.closures import from_slot, object_of
from localazure.cosmos.sql.errors import SqlRefused
from localazure.cosmos.sql.execution import CompiledQuery, Rows, Select
from localazure.cosmos.sql.expressions import ExpressionCompiler
from localazure.cosmos.sql.held import held
from localazure.cosmos.sql.scope import (
    DOCUMENTS,
    SORTS_UNDEFINED,
    WATCH,
    Environment,
    Evaluate,
    Grouping,
    Scope,
    Slots,
)
from localazure.cosmos.sql.tree import Expression, Identifier, Member, Query, Source, Subquery
from localazure.cosmos.sql.values import UNDEFINED, Value

Step: TypeAlias = tuple[int, Callable[[Environment], Iterable[Value]]]


def compile_query(tree: Query) -> CompiledQuery:
    """Raises: SqlRefused for a name that is unknown and a rule between clauses that is broken."""
    slots = Slots()
    select = _QueryCompiler().select(tree, Scope(slots), container=True)
    folded = select.grouping is not None
    whole_document = _is_whole_document(tree)
    streaming = bool(tree.sources) and not (
        folded or select.order or select.distinct or rules.folds_the_container(tree)
    )
    return CompiledQuery(
        tree,
        select,
        slots,
        streaming=streaming,
        ordered=bool(select.order) and not folded,
        keyed=(bool(tree.group_by) or select.distinct) and not select.order,
        whole_document=streaming and whole_document,
        computes=rules.computes(tree),
        reads=rules.properties_read(
            msgspec.structs.replace(tree, star=False, items=()) if streaming and whole_document else tree
        ),
    )


def _is_whole_document(tree: Query) -> bool:
    if not rules.is_the_container(tree):
        return False
    if tree.star:
        return True
    return tree.value and tree.items[0].expression == Identifier(str(tree.sources[0].alias), tree.span)


class _QueryCompiler:
    def __init__(self) -> None:
        self._expressions = ExpressionCompiler(self._subquery)

    def select(self, tree: Query, scope: Scope, *, container: bool) -> Select:
        """`container`: whether the first name of FROM may be the container."""
        rules.check(tree)
        rows = self._rows(tree.sources, scope, container=container)
        where = self._expressions.compile(tree.where, scope) if tree.where is not None else None
        order = tuple((self._expressions.compile(item.expression, scope), item.descending) for item in tree.order_by)
        grouping = self._grouping(tree, scope)
        scope.grouping = grouping
        project = self._projection(tree, scope)
        top, offset, limit = (
            self._expressions.compile(count, scope) if count is not None else None
            for count in (tree.top, tree.offset, tree.limit)
        )
        sorts_undefined = from_slot(scope.slots.parameter(SORTS_UNDEFINED))
        slots = tuple(scope.bound)
        multiplies = len(tree.sources) > 1 or any(isinstance(source.origin, Query) for source in tree.sources)
        return Select(
            slots, rows, multiplies, where, project, grouping, order, sorts_undefined, tree.distinct, top, offset, limit
        )

    def _grouping(self, tree: Query, scope: Scope) -> Grouping | None:
        if not tree.group_by and not rules.aggregates_of(tree):
            return None
        grouping = Grouping()
        for key in tree.group_by:
            slot = scope.slots.new()
            grouping.keys.append((key, slot, self._expressions.compile(key, scope)))
            grouping.slot_of_key.setdefault(key, slot)
        return grouping

    # FROM

    def _rows(self, sources: tuple[Source, ...], scope: Scope, *, container: bool) -> Rows:
        if not sources:
            return lambda env: (None,)
        steps = [self._step(source, scope, container=container and at == 0) for at, source in enumerate(sources)]
        if len(steps) == 1:
            return _single(steps[0])
        return lambda env: _nested(env, steps, 0)

    def _step(self, source: Source, scope: Scope, *, container: bool) -> Step:
        if isinstance(source.origin, Query):
            values = self._derived(source.origin, scope, container=container)
        else:
            values = self._path(source.origin, scope, container=container)
        if source.iterates:
            values = _items_of(values)
        slot = scope.bind(source.alias, source) if source.alias is not None else scope.slots.new()
        scope.bound.append(slot)
        return slot, values

    def _derived(self, tree: Query, scope: Scope, *, container: bool) -> Callable[[Environment], Iterable[Value]]:
        select = self.select(tree, Scope(scope.slots, scope), container=container)
        return select.results

    def _path(self, path: Expression, scope: Scope, *, container: bool) -> Callable[[Environment], Iterable[Value]]:
        root = path
        while isinstance(root, Member):
            root = root.source
        assert isinstance(root, Identifier)
        if not container or scope.find(root.name) is not None:
            evaluate = self._expressions.compile(path, scope)
            return lambda env: () if (value := evaluate(env)) is UNDEFINED else (value,)
        if path is root:
            return lambda env: env[DOCUMENTS]
        inner = Scope(scope.slots, scope)
        slot = inner.bind(root.name, root)
        below = self._expressions.compile(path, inner)
        return lambda env: _below(env, slot, below)

    # SELECT

    def _projection(self, tree: Query, scope: Scope) -> Evaluate:
        if tree.star:
            return from_slot(scope.bound[0])
        if tree.value:
            return self._expressions.compile(tree.items[0].expression, scope)
        names = rules.result_names(tree)
        values = [self._expressions.compile(item.expression, scope) for item in tree.items]
        return object_of(list(zip(names, values, strict=True)))

    def _subquery(self, node: Subquery, scope: Scope) -> Evaluate:
        select = self.select(node.query, Scope(scope.slots, scope), container=False)
        if node.kind == "EXISTS":
            return lambda env: next(select.results(env), UNDEFINED) is not UNDEFINED
        if node.kind == "ARRAY":
            return lambda env: list(held(select.results(env)))

        def single(env: Environment) -> Value:
            found = list(islice(select.results(env), 2))
            if len(found) > 1:
                raise SqlRefused(
                    "SC2212",
                    "The cardinality of a scalar subquery result set cannot be greater than one.",
                    node.span.start,
                    node.span.end,
                )
            return found[0] if found else UNDEFINED

        return single


def _single(step: Step) -> Rows:
    slot, values = step

    def rows(env: Environment) -> Iterator[None]:
        for value in values(env):
            env[slot] = value
            yield None

    return rows


def _nested(env: Environment, steps: list[Step], at: int) -> Iterator[None]:
    slot, values = steps[at]
    last = at + 1 == len(steps)
    for value in values(env):
        env[slot] = value
        if last:
            yield None
        else:
            yield from _nested(env, steps, at + 1)


def _items_of(values: Callable[[Environment], Iterable[Value]]) -> Callable[[Environment], Iterator[Value]]:
    def items(env: Environment) -> Iterator[Value]:
        tick = env[WATCH].tick
        for value in values(env):
            if type(value) is list:
                for item in value:
                    tick()
                    yield item

    return items


def _below(env: Environment, slot: int, path: Evaluate) -> Iterator[Value]:
    for document in env[DOCUMENTS]:
        env[slot] = document
        value = path(env)
        if value is not UNDEFINED:
            yield value
