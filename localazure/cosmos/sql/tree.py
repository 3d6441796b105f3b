"""The syntax tree: frozen data, compared without regard to where it stood in the text.

Owns: the shapes. Refuses to know: how they are read (`parser`), what they mean (`compiler`).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec


class Span(msgspec.Struct, frozen=True, eq=False):
    """Characters `start`..`end` of the query text, `end` exclusive. All equal: a place never tells two trees apart."""

    start: int
    end: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span)

    def __hash__(self) -> int:
        return 0


class Literal(msgspec.Struct, frozen=True):
    value: Any
    span: Span


class Parameter(msgspec.Struct, frozen=True):
    name: str
    span: Span


class Identifier(msgspec.Struct, frozen=True):
    """An alias of FROM or JOIN, or the container itself."""

    name: str
    span: Span


class Member(msgspec.Struct, frozen=True):
    """`source.name`, `source["name"]` or `source[index]`."""

    source: Expression
    index: Expression
    span: Span


class Unary(msgspec.Struct, frozen=True):
    operator: str
    operand: Expression
    span: Span


class Binary(msgspec.Struct, frozen=True, eq=False):
    """Long chains lean to the left; equality walks along them, since recursion would not reach their end."""

    operator: str
    left: Expression
    right: Expression
    span: Span

    def __eq__(self, other: object) -> bool:
        one: object = self
        while isinstance(one, Binary) and isinstance(other, Binary):
            if one.operator != other.operator or one.right != other.right:
                return False
            one, other = one.left, other.left
        return not isinstance(one, Binary) and not isinstance(other, Binary) and one == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.operator, self.right))


class Between(msgspec.Struct, frozen=True):
    subject: Expression
    low: Expression
    high: Expression
    negated: bool
    span: Span


class In(msgspec.Struct, frozen=True):
    subject: Expression
    items: tuple[Expression, ...]
    negated: bool
    span: Span


class Like(msgspec.Struct, frozen=True):
    subject: Expression
    pattern: Expression
    escape: Expression | None
    negated: bool
    span: Span


class Conditional(msgspec.Struct, frozen=True):
    condition: Expression
    then: Expression
    otherwise: Expression
    span: Span


class Call(msgspec.Struct, frozen=True):
    """A function call; `name` as written, upper-case for built-in ones; `user_defined` for `udf.name(...)`."""

    name: str
    arguments: tuple[Expression, ...]
    user_defined: bool
    span: Span


class ArrayOf(msgspec.Struct, frozen=True):
    items: tuple[Expression, ...]
    span: Span


class ObjectOf(msgspec.Struct, frozen=True):
    properties: tuple[tuple[str, Expression], ...]
    span: Span


class Subquery(msgspec.Struct, frozen=True):
    """`kind`: "scalar" for `(SELECT ...)`, "EXISTS" or "ARRAY"."""

    kind: str
    query: Query
    span: Span


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


class SelectItem(msgspec.Struct, frozen=True):
    expression: Expression
    alias: str | None
    span: Span
    alias_span: Span | None = None


class Source(msgspec.Struct, frozen=True):
    """One input of FROM: `alias` (None: unnamed), the collection it draws from, and whether it iterates (`x IN ...`).

    `origin` is an expression (a path of the container or of an earlier alias) or a query in parentheses.
    """

    alias: str | None
    origin: Expression | Query
    iterates: bool
    span: Span


class OrderItem(msgspec.Struct, frozen=True):
    expression: Expression
    descending: bool
    span: Span


class Query(msgspec.Struct, frozen=True):
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
    span: Span
