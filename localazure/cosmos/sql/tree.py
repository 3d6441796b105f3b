"""The syntax tree: frozen data, compared without regard to where it stood in the text.

Owns: the shapes. Refuses to know: how they are read (`parser`), what they mean (`compiler`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias


class Span(NamedTuple):
    """Characters `start`..`end` of the query text, `end` exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Identifier:
    """An alias of FROM or JOIN, or the container itself."""

    name: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Member:
    """`source.name`, `source["name"]` or `source[index]`."""

    source: Expression
    index: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Expression
    right: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Between:
    subject: Expression
    low: Expression
    high: Expression
    negated: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class In:
    subject: Expression
    items: tuple[Expression, ...]
    negated: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Like:
    subject: Expression
    pattern: Expression
    escape: Expression | None
    negated: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Conditional:
    condition: Expression
    then: Expression
    otherwise: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; `name` as written, upper-case for built-in ones; `user_defined` for `udf.name(...)`."""

    name: str
    arguments: tuple[Expression, ...]
    user_defined: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ArrayOf:
    items: tuple[Expression, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ObjectOf:
    properties: tuple[tuple[str, Expression], ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Subquery:
    """`kind`: "scalar" for `(SELECT ...)`, "EXISTS" or "ARRAY"."""

    kind: str
    query: Query
    span: Span = field(compare=False, repr=False)


Expression: TypeAlias = (
    Literal
    | Parameter
    | Identifier
    | Member
    | Unary
    | Binary
    | Between
    | In
    | Like
    | Conditional
    | Call
    | ArrayOf
    | ObjectOf
    | Subquery
)


def chain(node: Expression, operator: str) -> list[Expression]:
    """The operands that `operator` joins at the top of `node`, left to right; without recursion for long chains."""
    operands: list[Expression] = []
    while isinstance(node, Binary) and node.operator == operator:
        operands.append(node.right)
        node = node.left
    return [node, *reversed(operands)]


@dataclass(frozen=True, slots=True)
class SelectItem:
    expression: Expression
    alias: str | None
    span: Span = field(compare=False, repr=False)
    alias_span: Span | None = field(compare=False, repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Source:
    """One input of FROM: `alias` (None: unnamed), the collection it draws from, and whether it iterates (`x IN ...`).

    `origin` is an expression (a path of the container or of an earlier alias) or a query in parentheses.
    """

    alias: str | None
    origin: Expression | Query
    iterates: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class OrderItem:
    expression: Expression
    descending: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Query:
    """`star`: SELECT *; `value`: SELECT VALUE, one item; else a list of items."""

    distinct: bool
    top: Expression | None
    star: bool
    value: bool
    items: tuple[SelectItem, ...]
    sources: tuple[Source, ...]
    where: Expression | None
    group_by: tuple[Expression, ...]
    order_by: tuple[OrderItem, ...]
    offset: Expression | None
    limit: Expression | None
    span: Span = field(compare=False, repr=False)
