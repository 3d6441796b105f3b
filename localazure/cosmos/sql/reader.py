"""The tokens of a query and how far they have been read: what both halves of the parser stand on.

Owns: looking at and taking tokens, the words of a syntax error, the nesting limit. Refuses to know: the grammar.
"""

from __future__ import annotations

from localazure.cosmos.sql import limits
from localazure.cosmos.sql.errors import SqlRefused
from localazure.cosmos.sql.tokens import SOFT_KEYWORDS, Token
from localazure.cosmos.sql.tree import Span


class TokenReader:
    """Raises everywhere: SqlRefused, at the token that fits no rule."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._token = tokens[0]
        self._depth = 0

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
