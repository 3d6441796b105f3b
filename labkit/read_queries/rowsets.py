"""`OPENROWSET(BULK ..., FORMAT = 'DELTA') WITH (...) AS x`, found on tokens: sqlglot's T-SQL grammar has no such thing.

Owns: what an OPENROWSET of this lab may say, and its replacement by a plain table name that a parser understands. The
replacement keeps every line break, so that a complaint about the rest names the line of the file.
Refuses to know: what is in the tables, and what the query around them asks.

Source: learn.microsoft.com/sql/t-sql/functions/openrowset-bulk-transact-sql
Known gaps: a rowset without WITH is refused, as Synapse would then guess the column types from the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import Token, TokenType
from sqlglot.dialects.tsql import TSQL
from sqlglot.errors import TokenError

DATA_SOURCE = "read_store"
"""The external data source that the views name; here, the folder of tables."""
BYTEWISE = "Latin1_General_100_BIN2_UTF8"
"""The one collation under which T-SQL compares text as DuckDB does, by the bytes of UTF-8."""


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
    reader = _Reader(tokens_of(text, file), file)
    done = 0
    while reader.skip_to("OPENROWSET"):
        start = reader.peek().start
        rowset = _rowset(reader, f"rowset_{len(rowsets)}")
        end = reader.previous_end
        rowsets.append(rowset)
        pieces += [text[done:start], rowset.placeholder, "\n" * text.count("\n", start, end)]
        done = end
    return "".join([*pieces, text[done:]]), tuple(rowsets)


def _rowset(reader: _Reader, placeholder: str) -> Rowset:
    line = reader.peek().line
    reader.expect("OPENROWSET", "(", "BULK")
    table = reader.string()
    options: dict[str, str] = {}
    while reader.accept(","):
        name = reader.next().text.upper()
        reader.expect("=")
        options[name] = reader.string()
    reader.expect(")")
    if options != {"DATA_SOURCE": DATA_SOURCE, "FORMAT": "DELTA"}:
        reader.refuse(line, f"OPENROWSET reads DATA_SOURCE = '{DATA_SOURCE}', FORMAT = 'DELTA', and nothing else")
    folder = table.strip("/")
    if not folder.replace("_", "").isalnum():
        reader.refuse(line, f"BULK '{table}' is not the name of one table folder")
    if not reader.accept("WITH"):
        reader.refuse(line, "OPENROWSET needs WITH (column type, ...): types guessed from files change with the files")
    reader.expect("(")
    columns = [_column(reader)]
    while reader.accept(","):
        columns.append(_column(reader))
    reader.expect(")")
    return Rowset(folder, tuple(columns), placeholder)


def _column(reader: _Reader) -> Column:
    name, kind = reader.next(), reader.next()
    declared = kind.text.upper()
    if reader.accept("("):
        arguments = [reader.next().text]
        while reader.accept(","):
            arguments.append(reader.next().text)
        reader.expect(")")
        declared += f"({','.join(arguments)})"
    collation = reader.next().text if reader.accept("COLLATE") else None
    if declared.startswith("VARCHAR") != (collation == BYTEWISE):
        reader.refuse(name.line, f"text is VARCHAR(n) COLLATE {BYTEWISE}, other types have none", "collation")
    return Column(name.text, declared, name.line)


class _Reader:
    """A place in a list of tokens."""

    def __init__(self, tokens: Sequence[Token], file: str) -> None:
        self._tokens = tokens
        self._file = file
        self._at = 0

    def skip_to(self, word: str) -> bool:
        """Move on to the next unquoted `word`; False if there is none left."""
        for at, token in enumerate(self._tokens[self._at :], self._at):
            if token.token_type == TokenType.VAR and token.text.upper() == word:
                self._at = at
                return True
        return False

    def peek(self) -> Token:
        if self._at == len(self._tokens):
            self.refuse(self._tokens[-1].line, "the text ends in the middle of an OPENROWSET")
        return self._tokens[self._at]

    def next(self) -> Token:
        token = self.peek()
        self._at += 1
        return token

    @property
    def previous_end(self) -> int:
        return self._tokens[self._at - 1].end + 1

    def accept(self, word: str) -> bool:
        if self._at < len(self._tokens) and self.peek().text.upper() == word:
            self._at += 1
            return True
        return False

    def expect(self, *words: str) -> None:
        for word in words:
            if not self.accept(word):
                self.refuse(self.peek().line, f"OPENROWSET: {word} expected, not {self.peek().text}")

    def string(self) -> str:
        if self.peek().token_type != TokenType.STRING:
            self.refuse(self.peek().line, f"OPENROWSET: a string expected, not {self.peek().text}")
        return self.next().text

    def refuse(self, line: int, reason: str, rule: str = "rowset") -> None:
        raise OutsideSubset([Finding(self._file, line, rule, reason)])
