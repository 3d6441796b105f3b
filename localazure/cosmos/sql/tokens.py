"""The text of a query cut into tokens, each with its place.

Owns: what a token is, strings and numbers as written. Refuses to know: the grammar (`parser`).

How: one regular expression, one pass. A character that starts no token is refused as the service words it.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/constants (string escapes, numbers),
learn.microsoft.com/azure/cosmos-db/nosql/query/keywords
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from localazure.cosmos.sql.errors import SqlRefused

# fmt: off
KEYWORDS: Final = frozenset((
    "AND", "ARRAY", "AS", "ASC", "BETWEEN", "BY", "DESC", "DISTINCT", "ESCAPE", "EXISTS", "FALSE", "FROM", "GROUP",
    "IN", "JOIN", "LIKE", "LIMIT", "NOT", "NULL", "OFFSET", "OR", "ORDER", "SELECT", "TOP", "TRUE", "UDF",
    "UNDEFINED", "VALUE", "WHERE",
))
# fmt: on
# Keywords that came later and may still name an alias or a property; the others need `c["value"]`.
SOFT_KEYWORDS: Final = frozenset(("ESCAPE", "LIMIT", "OFFSET"))

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|--[^\r\n]*)
    | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<word>[^\W\d]\w*)
    | (?P<parameter>@[^\W\d]\w*)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<sign>>>>|<<|>>|<=|>=|<>|!=|\?\?|\|\||[-+*/%&|^~=<>?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\", "/": "/"}
_STRAY: Final = re.compile(r"""["'].*|.""", re.DOTALL)


class Token(NamedTuple):
    """`kind`: number, string, parameter, name, end, an upper-case keyword, or the sign itself."""

    kind: str
    text: str
    start: int
    end: int
    value: Any = None


def tokenize(text: str) -> list[Token]:
    """The tokens of `text`, closed by one of kind `end`.

    Raises: SqlRefused SC1010 (invalid token), SC1012 (string without an end).
    """
    tokens: list[Token] = []
    position = 0
    length = len(text)
    while position < length:
        match = _TOKEN.match(text, position)
        if match is None:
            raise _invalid(text, position)
        end = match.end()
        kind = match.lastgroup
        if kind != "space":
            tokens.append(_token(str(kind), match.group(), position, end))
        position = end
    tokens.append(Token("end", "", length, length))
    return tokens


def _token(kind: str, text: str, start: int, end: int) -> Token:
    if kind == "word":
        upper = text.upper()
        return Token(upper if upper in KEYWORDS else "name", text, start, end)
    if kind == "sign":
        return Token("!=" if text == "<>" else text, text, start, end)
    if kind == "number":
        return Token("number", text, start, end, _number(text))
    if kind == "string":
        return Token("string", text, start, end, _string(text, start, end))
    return Token(kind, text, start, end)


def _number(text: str) -> int | float:
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    if text.isascii() and text.isdigit():
        whole = int(text) if len(text) < 400 else None
        if whole is not None and whole < 1 << 63:
            return whole
    return float(text)


def _string(text: str, start: int, end: int) -> str:
    inner = text[1:-1]
    if "\\" not in inner:
        return inner

    def plain(match: re.Match[str]) -> str:
        escape = match.group(1)
        if escape[0] == "u" and len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPED:
            raise SqlRefused("SC1012", f"Syntax error, invalid string literal token '{text}'.", start, end)
        return _ESCAPED[escape]

    unescaped = _ESCAPE.sub(plain, inner)
    return unescaped.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _invalid(text: str, position: int) -> SqlRefused:
    found = _STRAY.match(text, position)
    stray = found.group() if found else text[position]
    end = position + len(stray)
    if stray[0] in "\"'":
        return SqlRefused("SC1012", f"Syntax error, invalid string literal token '{stray}'.", position, end)
    return SqlRefused("SC1010", f"Syntax error, invalid token '{stray}'.", position, end)
