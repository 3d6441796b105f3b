"""Compiled queries and their runs: documents in, results out.

Owns: the order in which the clauses act on rows. Refuses to know: syntax trees beyond their shape, pages, partitions.

How: FROM's nested loops set slots of the environment, everything else is a closure over it (`compiler` made both). A
query of the "streaming" shape answers document by document (`Execution.outputs`); the others read everything first
(`Execution.ordered`, `Execution.results`).

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/select, /group-by, /order-by, /offset-limit
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from localazure.cosmos.sql import rules
from localazure.cosmos.sql.aggregates import Accumulator
from localazure.cosmos.sql.held import Held
from localazure.cosmos.sql.scope import (
    DOCUMENTS,
    SORTS_UNDEFINED,
    STARTED,
    WATCH,
    Environment,
    Evaluate,
    Grouping,
    Slots,
)
from localazure.cosmos.sql.tree import Query
from localazure.cosmos.sql.values import UNDEFINED, Value, identity_key, order_key
from localazure.cosmos.sql.watch import Watch

Rows: TypeAlias = Callable[[Environment], Iterable[None]]


class OrderedRow(NamedTuple):
    """A row of an ORDER BY: the values it is sorted by, which document and which of its rows it is, what FROM bound."""

    keys: tuple[Value, ...]
    document: int
    row: int
    bound: list[Value]


@dataclass(frozen=True, slots=True)
class Select:
    """One compiled SELECT, of the query itself or of a subquery. `multiplies`: FROM may make more than is stored."""

    slots: tuple[int, ...]
    rows: Rows
    multiplies: bool
    where: Evaluate | None
    project: Evaluate
    grouping: Grouping | None
    order: tuple[tuple[Evaluate, bool], ...]
    sorts_undefined: Evaluate
    distinct: bool
    top: Evaluate | None
    offset: Evaluate | None
    limit: Evaluate | None

    def kept(self, env: Environment) -> Iterator[None]:
        """One step for each row that WHERE keeps; the row is in the environment until the next step."""
        where = self.where
        for _ in self.rows(env):
            if where is None or where(env) is True:
                yield None

    def unsorted(self, env: Environment) -> Iterator[Value]:
        """The defined results before ORDER BY, DISTINCT and the counts."""
        if self.grouping is not None:
            for _, result in self._folded(env, self.grouping):
                yield result
            return
        project = self.project
        for _ in self.kept(env):
            value = project(env)
            if value is not UNDEFINED:
                yield value

    def keyed(self, env: Environment) -> Iterator[tuple[list[Value], Value]]:
        """The results of DISTINCT or GROUP BY before the counts, each with the values that no other has."""
        if self.grouping is not None and not self.distinct:
            return self._folded(env, self.grouping)
        return (([value], value) for value in _distinct(self.unsorted(env)))

    def _folded(self, env: Environment, grouping: Grouping) -> Iterator[tuple[list[Value], Value]]:
        """The groups' results, each with the values of its keys."""
        makers = [make for _, make, _ in grouping.aggregates]
        groups: dict[Any, tuple[list[Value], list[Accumulator]]] = {}
        if not grouping.keys:
            groups[None] = ([], [make() for make in makers])
            self._fold_all(env, grouping, groups[None][1])
        else:
            self._fold_by_key(env, grouping, groups)
        for values, accumulators in groups.values():
            for (_, slot, _), value in zip(grouping.keys, values, strict=True):
                env[slot] = value
            for (slot, _, _), accumulator in zip(grouping.aggregates, accumulators, strict=True):
                env[slot] = accumulator.result()
            result = self.project(env)
            if result is not UNDEFINED:
                yield values, result

    def _fold_all(self, env: Environment, grouping: Grouping, accumulators: list[Accumulator]) -> None:
        pairs = [
            (state.add, argument) for state, (_, _, argument) in zip(accumulators, grouping.aggregates, strict=True)
        ]
        for _ in self.kept(env):
            for add, argument in pairs:
                add(argument(env))

    def _fold_by_key(self, env: Environment, grouping: Grouping, groups: dict[Any, Any]) -> None:
        keys = [evaluate for _, _, evaluate in grouping.keys]
        only = keys[0] if len(keys) == 1 else None
        arguments = [argument for _, _, argument in grouping.aggregates]
        held = Held()
        for _ in self.kept(env):
            values = [only(env)] if only is not None else [key(env) for key in keys]
            identity = identity_key(values[0]) if only is not None else tuple(map(identity_key, values))
            group = groups.get(identity)
            if group is None:
                group = groups[identity] = (values, [make() for _, make, _ in grouping.aggregates])
                held.add(values)
                for argument in arguments:
                    held.add_key(argument(env))  # MIN or MAX will keep about as much
            for accumulator, argument in zip(group[1], arguments, strict=True):
                accumulator.add(argument(env))

    def results(self, env: Environment) -> Iterator[Value]:
        """Everything this SELECT gives, in order."""
        values: Iterator[Value] = (
            (value for _, value in self.projected(env, self.sorted(env, lambda: 0)))
            if self.order
            else self.unsorted(env)
        )
        if self.distinct:
            values = _distinct(values)
        return self.counted(env, values)

    def counted(self, env: Environment, values: Iterator[Any]) -> Iterator[Any]:
        """`values` cut by TOP or by OFFSET and LIMIT."""
        skip, most = self.bounds(env)
        for at, value in enumerate(values):
            if most is not None and at >= skip + most:
                return
            if at >= skip:
                yield value

    def bounds(self, env: Environment) -> tuple[int, int | None]:
        """How many results to skip, and the most to give after that."""
        skip = rules.count(self.offset(env), "OFFSET") if self.offset is not None else 0
        if self.top is not None:
            return skip, rules.count(self.top(env), "TOP")
        return skip, rules.count(self.limit(env), "LIMIT") if self.limit is not None else None

    def sorted(self, env: Environment, document: Callable[[], int]) -> list[OrderedRow]:
        """All rows by ORDER BY; ties as they came, the other way round when the first key descends."""
        found: list[OrderedRow] = []
        keys = [evaluate for evaluate, _ in self.order]
        held = Held() if self.multiplies else None
        last, row = -1, 0
        sorts_undefined = len(keys) != 1 or self.sorts_undefined(env)
        for _ in self.kept(env):
            at = document()
            row = row + 1 if at == last else 0
            last = at
            found_keys = tuple([key(env) for key in keys])
            if sorts_undefined or found_keys[0] is not UNDEFINED:
                found.append(OrderedRow(found_keys, at, row, [env[slot] for slot in self.slots]))
                if held is not None:
                    held.add(found[-1])
        if self.order and self.order[0][1]:
            found.reverse()
        for at, (_, descending) in reversed(list(enumerate(self.order))):
            if descending:
                found.reverse()
            found.sort(key=lambda result, at=at: order_key(result.keys[at]))  # type: ignore[misc]
            if descending:
                found.reverse()
        return found

    def projected(self, env: Environment, rows: Iterable[OrderedRow]) -> Iterator[tuple[OrderedRow, Value]]:
        """The defined results of sorted rows: projected only when they are asked for."""
        for row in rows:
            for slot, value in zip(self.slots, row.bound, strict=True):
                env[slot] = value
            result = self.project(env)
            if result is not UNDEFINED:
                yield row, result


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A query ready to run any number of times, over any documents, with any parameters.

    `streaming`: each document gives its results by itself. `ordered`: sorted by ORDER BY, without folding. `keyed`: by
    DISTINCT or GROUP BY no two results are the same, and no ORDER BY sorts them.
    `whole_document`: the result of a row is the document itself. `computes`: results may hold computed numbers.
    `reads`: the only properties of a document it looks at (for `whole_document`: that WHERE looks at); None: any.
    """

    tree: Query
    select: Select
    slots: Slots
    streaming: bool
    ordered: bool
    keyed: bool
    whole_document: bool
    computes: bool
    reads: frozenset[str] | None

    def start(
        self, parameters: Mapping[str, Value], *, sorts_undefined: bool = False, watch: Watch | None = None
    ) -> Execution:
        """`sorts_undefined`: whether an ORDER BY over one path keeps documents that lack it. `watch`: ends the run."""
        slots = {**parameters, STARTED: time.time_ns(), SORTS_UNDEFINED: sorts_undefined}
        environment = self.slots.environment(slots)
        environment[WATCH] = watch or Watch()
        return Execution(self, environment)


class Execution:
    """One run of a query with its parameters; not for two threads at a time.

    Raises, while running: SqlRefused, OutOfTime.
    """

    def __init__(self, query: CompiledQuery, env: Environment) -> None:
        self._select = query.select
        self._is_row = query.streaming and rules.is_the_container(query.tree)
        self._env = env
        self._at = -1

    def bounds(self) -> tuple[int, int | None]:
        return self._select.bounds(self._env)

    @property
    def directions(self) -> list[bool]:
        """For each item of ORDER BY whether it descends."""
        return [descending for _, descending in self._select.order]

    def outputs(self, document: Value) -> Iterable[Value]:
        """What one document of a streaming query gives, one by one, before TOP, OFFSET and LIMIT."""
        select, env = self._select, self._env
        if not self._is_row:
            self._feed((document,))
            return select.unsorted(env)
        env[select.slots[0]] = document
        if select.where is not None and select.where(env) is not True:
            return []
        value = select.project(env)
        return [] if value is UNDEFINED else [value]

    def ordered(self, documents: Iterable[Value]) -> list[OrderedRow]:
        """All rows by ORDER BY, before TOP, OFFSET and LIMIT."""
        self._feed(documents)
        return self._select.sorted(self._env, lambda: self._at)

    def projected(self, rows: Iterable[OrderedRow]) -> Iterator[tuple[OrderedRow, Value]]:
        """The defined results of sorted rows, made when they are asked for."""
        return self._select.projected(self._env, rows)

    def keyed(self, documents: Iterable[Value]) -> Iterator[tuple[list[Value], Value]]:
        """The results of a keyed query before TOP, OFFSET and LIMIT, each with the values that no other has."""
        self._feed(documents)
        return self._select.keyed(self._env)

    def results(self, documents: Iterable[Value]) -> Iterator[Value]:
        """Everything the query gives over all documents."""
        self._feed(documents)
        return self._select.results(self._env)

    def _feed(self, documents: Iterable[Value]) -> None:
        self._env[DOCUMENTS] = self._numbered(documents)

    def _numbered(self, documents: Iterable[Value]) -> Iterator[Value]:
        for self._at, document in enumerate(documents):
            yield document


def _distinct(values: Iterator[Value]) -> Iterator[Value]:
    seen: set[Any] = set()
    held = Held()
    for value in values:
        key = identity_key(value)
        if key not in seen:
            seen.add(key)
            held.add_key(key)
            yield value
