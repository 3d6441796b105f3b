"""Query text -> syntax tree, by recursive descent with binding powers.

Owns: the clauses. Refuses to know: what names mean.

How: one walk over the tokens, without backtracking (`reader`); expressions by precedence climbing
(`expression_parser`). Why no generated parser: docs/decisions/0003-query-parser.md.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/select, /from, /join, /group-by, /order-by, /offset-limit,
/subquery
"""

from __future__ import annotations

from localazure.cosmos.sql import limits
from localazure.cosmos.sql.expression_parser import ExpressionReader
from localazure.cosmos.sql.tokens import SOFT_KEYWORDS, tokenize
from localazure.cosmos.sql.tree import (
    Expression,
    Identifier,
    Literal,
    Member,
    OrderItem,
    Parameter,
    Query,
    SelectItem,
    Source,
    Span,
)


def parse(text: str) -> Query:
    """The syntax tree of one query.

    Raises: SqlRefused, with the place of the first token that fits no rule.
    """
    limits.check_length(text)
    reader = _QueryReader(tokenize(text))
    query = reader.query()
    reader.expect("end")
    limits.check_counts(query)
    return query


class _QueryReader(ExpressionReader):
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


def _last_name(path: Expression) -> str | None:
    """The alias that FROM gives a path without one: its last name."""
    if isinstance(path, Identifier):
        return path.name
    if isinstance(path, Member) and isinstance(path.index, Literal) and isinstance(path.index.value, str):
        return path.index.value
    return None
