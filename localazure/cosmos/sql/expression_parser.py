"""The expressions of the grammar, by binding powers.

Owns: operators and their precedence, literals, calls, object and array constructors. Refuses to know: clauses
(`parser`, which reads the queries inside parentheses).

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/scalar-expressions, /constants, /logical-operators,
/ternary-coalesce-operators, /keywords (IN, BETWEEN, LIKE)
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from typing import Final

from localazure.cosmos.sql.reader import TokenReader
from localazure.cosmos.sql.rules import specified_twice
from localazure.cosmos.sql.tokens import SOFT_KEYWORDS
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
    Query,
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


class ExpressionReader(TokenReader):
    """Reads expressions; a subclass reads queries."""

    @abstractmethod
    def query(self) -> Query:
        """The query that begins here."""

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
        counts = Counter(name for name, _ in properties)
        for name, value in properties:
            if counts[name] > 1:
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
