"""Names in scope while a query is compiled, and the slots their values will stand in.

Owns: which alias means what, SELECT's rules for groups. Refuses to know: evaluation.

How: one flat list of slots per execution (the environment) holds every alias, parameter, group key and aggregate
result, also those of subqueries; a scope maps names to slots and knows the scope around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from localazure.cosmos.sql.aggregates import Accumulator
from localazure.cosmos.sql.errors import SqlRefused
from localazure.cosmos.sql.tree import Expression, Identifier
from localazure.cosmos.sql.values import UNDEFINED, Value

Environment: TypeAlias = list[Any]
Evaluate: TypeAlias = Callable[[Environment], Value]

# The first two slots: the iterator over all documents, and the `Watch` over the run.
DOCUMENTS: Final = 0
WATCH: Final = 1
# The slot of the time an execution began, in nanoseconds since 1970: no parameter can have this name.
STARTED: Final = "started"
# The slot that says whether documents without the path of a single ORDER BY are results.
SORTS_UNDEFINED: Final = "sorts undefined"


@dataclass(slots=True)
class Slots:
    """How many slots the environment needs, and which of them hold parameters."""

    count: int = 2
    parameters: dict[str, int] = field(default_factory=dict)

    def new(self) -> int:
        self.count += 1
        return self.count - 1

    def parameter(self, name: str) -> int:
        if name not in self.parameters:
            self.parameters[name] = self.new()
        return self.parameters[name]

    def environment(self, parameters: dict[str, Value]) -> Environment:
        values: Environment = [UNDEFINED] * self.count
        for name, slot in self.parameters.items():
            values[slot] = parameters.get(name, UNDEFINED)
        return values


@dataclass(slots=True)
class Grouping:
    """The aggregates and group keys of one SELECT: what its rows are folded into."""

    keys: list[tuple[Expression, int, Evaluate]] = field(default_factory=list)
    aggregates: list[tuple[int, type[Accumulator], Evaluate]] = field(default_factory=list)

    slot_of_key: dict[Expression, int] = field(default_factory=dict)

    def slot_of(self, expression: Expression) -> int | None:
        return self.slot_of_key.get(expression)


@dataclass(slots=True)
class Scope:
    """One SELECT: its aliases, and the scope its subquery stands in (None at the top).

    `bound`: the slots its FROM fills, those without an alias too.
    """

    slots: Slots
    parent: Scope | None = None
    aliases: dict[str, int] = field(default_factory=dict)
    grouping: Grouping | None = None
    bound: list[int] = field(default_factory=list)

    def bind(self, alias: str, node: Any) -> int:
        """A new slot for `alias`. Raises: SqlRefused SC2011 when this FROM has it already."""
        if alias in self.aliases:
            raise SqlRefused(
                "SC2011",
                f"The input alias '{alias}' is specified more than once in the FROM clause.",
                node.span.start,
                node.span.end,
            )
        self.aliases[alias] = self.slots.new()
        return self.aliases[alias]

    def find(self, name: str) -> int | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.aliases:
                return scope.aliases[name]
            scope = scope.parent
        return None

    def resolve(self, node: Identifier) -> int:
        """The slot of an alias. Raises: SqlRefused SC2001."""
        slot = self.find(node.name)
        if slot is None:
            raise SqlRefused(
                "SC2001", f"Identifier '{node.name}' could not be resolved.", node.span.start, node.span.end
            )
        return slot
