"""`OPENROWSET(BULK ..., FORMAT = 'DELTA') WITH (...) AS x`, found on tokens: sqlglot's T-SQL grammar has no such thing.

Owns: what an OPENROWSET of this lab may say, and its replacement by a plain table name that a parser understands. The
replacement keeps every line break, so that a complaint about the rest names the line of the file.
Refuses to know: what is in the tables, and what the query around them asks.

Source: learn.microsoft.com/sql/t-sql/functions/openrowset-bulk-transact-sql
Known gaps: a rowset without WITH is refused, as Synapse would then guess the column types from the files, which change;
so is one whose options come in another order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import Token, TokenType
from sqlglot.dialects.tsql import TSQL
from sqlglot.errors import TokenError

DATA_SOURCE = "read_store"
"""The external data source that the views name; here, the folder of tables."""
BYTEWISE = "Latin1_General_100_BIN2_UTF8"
"""The one collation under which T-SQL compares text as DuckDB does, by the bytes of UTF-8."""

THE_FORM = f"(BULK 'folder/', DATA_SOURCE = '{DATA_SOURCE}', FORMAT = 'DELTA') WITH (column type, ...)"
_COLUMN = r"\[?{name}\w+)\]? {type}\w+(?: \( \w+(?: , \w+)? \))?)(?: COLLATE {collation}\w+))?"
_ANY = _COLUMN.format(name="(?:", type="(?:", collation="(?:")
COLUMN = re.compile(_COLUMN.format(name="(?P<name>", type="(?P<type>", collation="(?P<collation>"), re.IGNORECASE)
FORM = re.compile(
    rf"OPENROWSET \( BULK '/?(?P<table>\w+)/?' , DATA_SOURCE = '{DATA_SOURCE}' , FORMAT = 'DELTA' \)"
    rf" WITH \( (?P<columns>){_ANY}(?: , {_ANY})* \)",
    re.IGNORECASE,
)
"""Of its words, one blank between each and the next."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a text is refused, and where: `rule` is the short name that the table in sql/README.md lists."""

    file: str
    line: int
    rule: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.reason}"


class OutsideSubset(ValueError):
    """T-SQL whose meaning could differ between the two engines, or that only one of them knows."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    """In T-SQL's words, upper case, without spaces: "DECIMAL(18,2)"."""
    line: int


@dataclass(frozen=True, slots=True)
class Rowset:
    """One OPENROWSET: the table folder it reads, the columns it declares, and the name that stands in for it."""

    table: str
    columns: tuple[Column, ...]
    placeholder: str


def tokens_of(text: str, file: str) -> list[Token]:
    """Raises: `OutsideSubset` for text that is no T-SQL at all, such as an unclosed string."""
    try:
        return TSQL().tokenize(text)
    except TokenError as error:
        raise OutsideSubset([Finding(file, 1, "syntax", str(error))]) from None


def take_rowsets(text: str, file: str) -> tuple[str, tuple[Rowset, ...]]:
    """The text with each OPENROWSET replaced by a table name, and what each of them said.

    Raises: `OutsideSubset` for an OPENROWSET that reads anything but one Delta table of the read store.
    """
    rowsets: list[Rowset] = []
    pieces: list[str] = []
    tokens, done = tokens_of(text, file), 0
    words = [_word(token) for token in tokens]
    for at, token in enumerate(tokens):
        if words[at].upper() != "OPENROWSET":
            continue
        form = FORM.match(" ".join(words[at:]))
        if form is None:
            raise OutsideSubset([Finding(file, token.line, "rowset", f"the one form of OPENROWSET here is {THE_FORM}")])
        columns = [
            _column(column, tokens[at + form.string.count(" ", 0, column.start())].line, file)
            for column in COLUMN.finditer(form.string, form.start("columns"), form.end())
        ]
        rowsets.append(Rowset(form["table"], tuple(columns), f"rowset_{len(rowsets)}"))
        end = tokens[at + form[0].count(" ")].end + 1
        pieces += [text[done : token.start], rowsets[-1].placeholder, "\n" * text.count("\n", token.start, end)]
        done = end
    return "".join([*pieces, text[done:]]), tuple(rowsets)


def _word(token: Token) -> str:
    """The token without blanks, so that words can be told apart by them; a string in its quotes, a name in brackets."""
    text = token.text.replace(" ", "\0")
    return {TokenType.STRING: f"'{text}'", TokenType.IDENTIFIER: f"[{text}]"}.get(token.token_type, text)


def _column(form: re.Match[str], line: int, file: str) -> Column:
    declared = form["type"].replace(" ", "").upper()
    if form["collation"] != (BYTEWISE if declared.startswith("VARCHAR") else None):
        reason = f"text is VARCHAR(n) COLLATE {BYTEWISE}, other types have none"
        raise OutsideSubset([Finding(file, line, "collation", reason)])
    return Column(form["name"], declared, line)
