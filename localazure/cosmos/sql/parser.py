"""Query text -> syntax tree, by recursive descent with binding powers.

Owns: the grammar, the words and place of a syntax error, the nesting limit. Refuses to know: what names mean.

How: `_Reader` walks the tokens once, without backtracking; operators by precedence climbing. Why no generated parser:
docs/decisions/0003-query-parser.md.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/select, /from, /join, /group-by, /order-by, /offset-limit,
/subquery, /ternary-coalesce-operators, /logical-operators, /like
"""

from __future__ import annotations

import math
from typing import Final

from localazure.cosmos.sql import limits
from localazure.cosmos.sql.errors import SqlRefused
from localazure.cosmos.sql.rules import specified_twice
from localazure.cosmos.sql.tokens import SOFT_KEYWORDS, Token, tokenize
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
    OrderItem,
    Parameter,
    Query,
    SelectItem,
    Source,
    Span,
    Subquery,
    Unary,
)
from localazure.cosmos.sql.values import UNDEFINED

_POWER: Final = {
    "??": 2,
    "OR": 3,
    "AND": 4,
    "=": 6,
    "!=": 6,
    "<": 6,
    ">": 6,
    "<=": 6,
    ">=": 6,
    "IN": 6,
    "BETWEEN": 6,
    "LIKE": 6,
    "|": 7,
    "^": 8,
    "&": 9,
    "<<": 10,
    ">>": 10,
    ">>>": 10,
    "+": 11,
    "-": 11,
    "||": 11,
    "*": 12,
    "/": 12,
    "%": 12,
}
_TERNARY_POWER: Final = 1
_NOT_POWER: Final = 5
_UNARY_POWER: Final = 13
_NUMBERS: Final = {"NaN": math.nan, "Infinity": math.inf}
_CONSTANTS: Final = {"NULL": None, "TRUE": True, "FALSE": False, "UNDEFINED": UNDEFINED}


def parse(text: str) -> Query:
    """The syntax tree of one query.

    Raises: SqlRefused, with the place of the first token that fits no rule.
    """
    limits.check_length(text)
    reader = _Reader(tokenize(text))
    query = reader.query()
    reader.expect("end")
    limits.check_counts(query)
    return query


class _Reader:
    """The tokens and how far they have been read."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._token = tokens[0]
        self._depth = 0

    # Tokens

    def expect(self, kind: str) -> Token:
        token = self._token
        if token.kind != kind:
            raise self._unexpected(token)
        if kind != "end":
            self._advance()
        return token

    def _advance(self) -> Token:
        token = self._token
        self._at += 1
        self._token = self._tokens[self._at]
        return token

    def _accept(self, kind: str) -> bool:
        if self._token.kind == kind:
            self._advance()
            return True
        return False

    def _peek(self) -> str:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)].kind

    def _unexpected(self, token: Token) -> SqlRefused:
        if token.kind == "end":
            last = self._tokens[-2] if len(self._tokens) > 1 else token
            return SqlRefused("SC1002", "Syntax error, unexpected end-of-file.", last.start, last.end)
        return SqlRefused("SC1001", f"Syntax error, incorrect syntax near '{token.text}'.", token.start, token.end)

    def _span(self, start: int) -> Span:
        return Span(start, self._tokens[self._at - 1].end)

    def _name(self) -> str:
        """A name that this dialect allows as alias or property."""
        token = self._token
        if token.kind == "name" or token.kind in SOFT_KEYWORDS:
            self._advance()
            return token.text
        raise self._unexpected(token)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > limits.DEEPEST_NESTING:
            raise limits.too_deep(self._token.start, self._token.end)

    # Clauses

    def query(self) -> Query:
        self._enter()
        start = self.expect("SELECT").start
        distinct = self._accept("DISTINCT")
        top = self._count() if self._accept("TOP") else None
        star, value, items = self._selection()
        sources = self._sources() if self._accept("FROM") else ()
        where = self.expression() if self._accept("WHERE") else None
        group_by = self._group_by()
        order_by = self._order_by()
        offset = limit = None
        if self._token.kind == "OFFSET":
            if top is not None:
                raise self._unexpected(self._token)
            self._advance()
            offset = self._count()
            self.expect("LIMIT")
            limit = self._count()
        self._depth -= 1
        return Query(
            distinct, top, star, value, items, sources, where, group_by, order_by, offset, limit, self._span(start)
        )

    def _count(self) -> Expression:
        token = self._token
        if token.kind == "parameter":
            self._advance()
            return Parameter(token.text, Span(token.start, token.end))
        if token.kind == "number" and isinstance(token.value, int):
            self._advance()
            return Literal(token.value, Span(token.start, token.end))
        raise self._unexpected(token)

    def _selection(self) -> tuple[bool, bool, tuple[SelectItem, ...]]:
        if self._accept("*"):
            return True, False, ()
        if self._token.kind == "VALUE" and self._peek() not in (",", ".", "FROM", "end", ")", "AS"):
            self._advance()
            return False, True, (self._item(),)
        items = [self._item()]
        while self._accept(","):
            items.append(self._item())
        return False, False, tuple(items)

    def _item(self) -> SelectItem:
        start = self._token.start
        expression = self.expression()
        if self._accept("AS") or self._token.kind == "name":
            place = Span(self._token.start, self._token.end)
            return SelectItem(expression, self._name(), self._span(start), place)
        return SelectItem(expression, None, self._span(start))

    def _group_by(self) -> tuple[Expression, ...]:
        if not self._accept("GROUP"):
            return ()
        self.expect("BY")
        keys = [self.expression()]
        while self._accept(","):
            keys.append(self.expression())
        return tuple(keys)

    def _order_by(self) -> tuple[OrderItem, ...]:
        if not self._accept("ORDER"):
            return ()
        self.expect("BY")
        items = [self._order_item()]
        while self._accept(","):
            items.append(self._order_item())
        return tuple(items)

    def _order_item(self) -> OrderItem:
        start = self._token.start
        expression = self.expression()
        descending = self._accept("DESC")
        if not descending:
            self._accept("ASC")
        return OrderItem(expression, descending, self._span(start))

    # FROM

    def _sources(self) -> tuple[Source, ...]:
        sources = [self._source()]
        while self._accept("JOIN"):
            sources.append(self._source())
        return tuple(sources)

    def _source(self) -> Source:
        start = self._token.start
        if self._token.kind in ("name", *SOFT_KEYWORDS) and self._peek() == "IN":
            alias = self._name()
            self._advance()
            return Source(alias, self._collection(), True, self._span(start))
        origin = self._collection()
        named: str | None = None
        if self._accept("AS") or self._token.kind == "name":
            named = self._name()
        elif not isinstance(origin, Query):
            named = _last_name(origin)
        return Source(named, origin, False, self._span(start))

    def _collection(self) -> Expression | Query:
        if self._token.kind == "(":
            self._advance()
            query = self.query()
            self.expect(")")
            return query
        token = self._token
        expression: Expression = Identifier(self._name(), Span(token.start, token.end))
        while self._token.kind in (".", "["):
            expression = self._member(expression, token.start)
        return expression

    # Expressions

    def expression(self, power: int = 0) -> Expression:
        self._enter()
        start = self._token.start
        left = self._prefix(start)
        while True:
            kind = self._token.kind
            if kind == "?" and power < _TERNARY_POWER:
                left = self._conditional(left, start)
            elif kind == "NOT" and self._peek() in ("IN", "BETWEEN", "LIKE") and power < _POWER["IN"]:
                self._advance()
                left = self._predicate(left, start, negated=True)
            elif _POWER.get(kind, 0) <= power:
                break
            elif kind in ("IN", "BETWEEN", "LIKE"):
                left = self._predicate(left, start, negated=False)
            else:
                self._advance()
                right = self.expression(_POWER[kind])
                left = Binary(kind, left, right, self._span(start))
        self._depth -= 1
        return left

    def _conditional(self, condition: Expression, start: int) -> Expression:
        self._advance()
        then = self.expression()
        self.expect(":")
        otherwise = self.expression()
        return Conditional(condition, then, otherwise, self._span(start))

    def _predicate(self, subject: Expression, start: int, *, negated: bool) -> Expression:
        kind = self._advance().kind
        if kind == "BETWEEN":
            low = self.expression(_POWER["BETWEEN"])
            self.expect("AND")
            high = self.expression(_POWER["BETWEEN"])
            return Between(subject, low, high, negated, self._span(start))
        if kind == "LIKE":
            pattern = self.expression(_POWER["LIKE"])
            escape = self.expression(_POWER["LIKE"]) if self._accept("ESCAPE") else None
            return Like(subject, pattern, escape, negated, self._span(start))
        self.expect("(")
        if self._token.kind == "SELECT":
            raise self._unexpected(self._token)
        items = self._list(")")
        if not items:
            raise self._unexpected(self._tokens[self._at - 1])
        return In(subject, items, negated, self._span(start))

    def _list(self, closing: str) -> tuple[Expression, ...]:
        """Expressions up to `closing`, which is read too."""
        items: list[Expression] = []
        if not self._accept(closing):
            items.append(self.expression())
            while self._accept(","):
                items.append(self.expression())
            self.expect(closing)
        return tuple(items)

    def _prefix(self, start: int) -> Expression:
        kind = self._token.kind
        if kind == "NOT":
            self._advance()
            return Unary("NOT", self.expression(_NOT_POWER), self._span(start))
        if kind in ("-", "+", "~"):
            self._advance()
            operand = self.expression(_UNARY_POWER)
            if kind == "-" and isinstance(operand, Literal) and type(operand.value) in (int, float):
                return Literal(-operand.value, self._span(start))
            return Unary(kind, operand, self._span(start))
        primary = self._primary(start)
        while self._token.kind in (".", "["):
            primary = self._member(primary, start)
        return primary

    def _member(self, source: Expression, start: int) -> Expression:
        if self._advance().kind == ".":
            token = self._token
            self._name()
            return Member(source, Literal(token.text, Span(token.start, token.end)), self._span(start))
        index = self.expression()
        self.expect("]")
        return Member(source, index, self._span(start))

    def _primary(self, start: int) -> Expression:
        token = self._token
        kind = token.kind
        span = Span(token.start, token.end)
        if kind in ("number", "string"):
            self._advance()
            return Literal(token.value, span)
        if kind == "parameter":
            self._advance()
            return Parameter(token.text, span)
        if kind == "(":
            return self._parenthesised(start)
        if kind == "[":
            self._advance()
            return ArrayOf(self._list("]"), self._span(start))
        if kind == "{":
            return self._object(start)
        if kind in ("EXISTS", "ARRAY") and self._peek() == "(":
            return self._quantified(kind, start)
        if kind == "UDF" and self._peek() == ".":
            self._advance()
            self._advance()
            return self._call(self._name(), start, user_defined=True)
        if kind in _CONSTANTS:
            self._advance()
            return Literal(_CONSTANTS[kind], span)
        name = self._function_or_alias()
        if self._token.kind == "(":
            return self._call(name, start, user_defined=False)
        return Literal(_NUMBERS[name], span) if name in _NUMBERS else Identifier(name, span)

    def _function_or_alias(self) -> str:
        token = self._token
        if token.kind in ("DESC", "ASC") or (token.kind != "name" and token.kind not in SOFT_KEYWORDS):
            raise self._unexpected(token)
        self._advance()
        return token.text

    def _parenthesised(self, start: int) -> Expression:
        self._advance()
        if self._token.kind == "SELECT":
            query = self.query()
            self.expect(")")
            return Subquery("scalar", query, self._span(start))
        inner = self.expression()
        self.expect(")")
        return inner

    def _quantified(self, kind: str, start: int) -> Expression:
        self._advance()
        self.expect("(")
        query = self.query()
        self.expect(")")
        return Subquery(kind, query, self._span(start))

    def _object(self, start: int) -> Expression:
        self._advance()
        properties: list[tuple[str, Expression]] = []
        if not self._accept("}"):
            properties.append(self._property())
            while self._accept(","):
                properties.append(self._property())
            self.expect("}")
        names = [name for name, _ in properties]
        for name, value in properties:
            if names.count(name) > 1:
                raise specified_twice(name, value.span)
        return ObjectOf(tuple(properties), self._span(start))

    def _property(self) -> tuple[str, Expression]:
        token = self._token
        if token.kind == "string":
            name = str(token.value)
        elif token.text.isidentifier():
            name = token.text
        else:
            raise self._unexpected(token)
        self._advance()
        self.expect(":")
        return name, self.expression()

    def _call(self, name: str, start: int, *, user_defined: bool) -> Expression:
        self.expect("(")
        arguments = self._list(")")
        return Call(name if user_defined else name.upper(), arguments, user_defined, self._span(start))


def _last_name(path: Expression) -> str | None:
    """The alias that FROM gives a path without one: its last name."""
    if isinstance(path, Identifier):
        return path.name
    if isinstance(path, Member) and isinstance(path.index, Literal) and isinstance(path.index.value, str):
        return path.index.value
    return None
