"""Generated queries, valid and broken: each is answered or refused, none is an error of the server.

Queries grow from the dialect's own grammar and are then, half of them, damaged: a token dropped, doubled, swapped,
replaced, or the text cut. They go through `answer_query`, headers and all, over documents of every type.

By default 2,500 of them; `CHAOS_QUERIES=100000` runs the long form.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from localazure.cosmos.queries import KeyRange, Prefilter, QueryRefused, Scope, Stored, answer_query
from localazure.cosmos.sql.aggregates import AGGREGATES
from localazure.cosmos.sql.functions import CLOCK_FUNCTIONS, FUNCTIONS

QUERIES = int(os.environ.get("CHAOS_QUERIES", "2500"))
BLOCKS = 10
SEEDS_PER_BLOCK = 1_000_000
PATHS = ["", ".a", ".b", ".tags", ".o.p", "['a']", '["order"]', ".tags[0]", ".tags[2].k", ".id", ".pk", ".nowhere.x"]
LITERALS = [
    *("0", "1", "-1", "2.5", "7", "0xFF", ".5", "9223372036854775808", "'x'", '"é"', "'\\u0041'", "''", "'y'"),
    *(
        "'\ud800'",
        "null",
        "true",
        "false",
        "undefined",
        "[]",
        "{}",
        "[1, 'a', null]",
        "{a: 1}",
        "@p",
        "@list",
        "'2020-02-29'",
        "1e308",
        "9" * 320,
        "9007199254740993",
        "'^(a|b?)+$'",
    ),
]
ESCAPE = " ESCAPE '!'"
OPERATORS = ["+", "-", "*", "/", "%", "||", "=", "!=", "<>", "<", ">", "<=", ">=", "AND", "OR", "??"]
OPERATORS += ["&", "|", "^", "<<", ">>", ">>>"]
STRAYS = [
    "(",
    ")",
    ",",
    "]",
    "}",
    ":",
    "?",
    "SELECT",
    "FROM",
    "VALUE",
    "ORDER BY",
    "GROUP",
    "--",
    "'",
    '"',
    ";",
    "\\",
    "\0",
]
STRAYS += ["@", "\ud800", "😀", "*", "NOT", "IN", "LIKE", "BETWEEN", "JOIN", "TOP", "9" * 400, "udf.f(1)", "ST_AREA(c)"]
DOCUMENTS = [
    {"id": "1", "pk": "a", "a": 1, "b": "x", "tags": ["x", "y", {"k": 1}], "o": {"p": None}},
    {"id": "2", "pk": "a", "a": "1", "b": 2.5, "tags": "none", "order": True},
    {"id": "3", "pk": "b", "a": None, "b": [1, [2, {"z": 1e300}]], "tags": []},
    {"id": "4", "pk": "b", "a": {"p": "deep"}, "b": -0.0, "tags": [[1], [2]], "o": {"p": 2**62}},
    {"id": "5", "pk": "c"},
    {"id": "6", "pk": "a", "a": 10**400, "b": 2**64, "tags": [-(10**400), 1e308, 2**53 + 1], "o": {"p": 0.1}},
]
# Written as it stands, because no JSON writer of ours writes such numbers.
ODD = '{"id": "7", "pk": "c", "a": 1e400, "tags": [%s], "half": "\\ud800"}' % ("9" * 5000)
TEXTS = [*((document["pk"], json.dumps(document)) for document in DOCUMENTS), ("c", ODD)]


class Generator:
    """Texts of the dialect, of bounded depth."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, options: Sequence[str]) -> str:
        return self._random.choice(options)

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def some(self, make: Any, most: int, *, least: int = 1) -> str:
        return ", ".join(make() for _ in range(self._random.randint(least, most)))

    def expression(self, depth: int = 3, names: Sequence[str] = ("c",)) -> str:
        if depth <= 0:
            return self.leaf(names)
        below = lambda: self.expression(depth - 1, names)  # noqa: E731
        forms = [
            lambda: self.leaf(names),
            lambda: self.leaf(names),
            lambda: f"{below()} {self.pick(OPERATORS)} {below()}",
            lambda: f"{below()} {self.pick(OPERATORS)} {below()}",
            lambda: f"({below()})",
            lambda: f"{self.pick(['NOT', '-', '+', '~'])} {below()}",
            lambda: f"{below()} ? {below()} : {below()}",
            lambda: f"{below()} {self.pick(['', 'NOT '])}IN ({self.some(below, 3)})",
            lambda: f"{below()} {self.pick(['', 'NOT '])}BETWEEN {below()} AND {below()}",
            lambda: f"{below()} LIKE {self.pick(LITERALS)}{self.pick(['', ESCAPE])}",
            lambda: self.call(below),
            lambda: self.call(below),
            lambda: f"[{self.some(below, 3, least=0)}]",
            lambda: "{" + ", ".join(f"k{at}: {below()}" for at in range(self._random.randint(0, 3))) + "}",
            lambda: f"{below()}[{below()}]",
            lambda: self.subquery(depth - 1, names),
        ]
        return self._random.choice(forms)()

    def leaf(self, names: Sequence[str]) -> str:
        if self.chance(0.02):
            return self.pick(["nope.a", "COUNT(1)", "1e400", "NaN", "Infinity", "udf.f(1)", "ST_AREA(c)"])
        return self.pick(LITERALS) if self.chance(0.4) else self.pick(names) + self.pick(PATHS)

    def call(self, below: Any) -> str:
        name, function = self._random.choice([*FUNCTIONS.items(), *CLOCK_FUNCTIONS.items()])
        most = function.most if function.most is not None else function.least + 1
        count = self._random.randint(function.least, most) + self.chance(0.02)
        return f"{name}({', '.join(below() for _ in range(count))})"

    def subquery(self, depth: int, names: Sequence[str]) -> str:
        inner = f"s{depth}"
        body = f"FROM {inner} IN {self.pick(names)}{self.pick(PATHS)}"
        within = lambda: self.expression(depth - 1, [*names, inner])  # noqa: E731
        if self.chance(0.4):
            value = f"{self.pick(list(AGGREGATES))}({within()})"
            return f"(SELECT VALUE {value} {body} WHERE {within()})"
        return f"{self.pick(['EXISTS', 'ARRAY'])}(SELECT {self.pick(['', 'DISTINCT '])}VALUE {within()} {body})"

    def query(self, depth: int = 3) -> str:
        names = ["c"]
        joins = ""
        for at in range(2):
            if self.chance(0.2):
                origin = self.pick(["c.tags", "c.o", f"(SELECT VALUE {self.expression(1)})"])
                joins += f" JOIN t{at} IN {origin}" if self.chance(0.7) else f" JOIN {origin} AS t{at}"
                names.append(f"t{at}")
        make = lambda: self.expression(depth, names)  # noqa: E731
        where = f" WHERE {make()}" if self.chance(0.5) else ""
        origins = ["c", "root c", "c AS c", "(SELECT * FROM c) c", "(SELECT DISTINCT VALUE x FROM x) c"]
        source = f" FROM {self.pick(origins)}{joins}{where}"
        if self.chance(0.02):
            source = f" FROM ({self.query(depth - 1) if depth > 1 else 'SELECT * FROM c'})"
            make = lambda: self.pick(LITERALS)  # noqa: E731
        if self.chance(0.2):
            return self.folded(make, source)
        item = lambda: f"{make()} AS n{self._random.randrange(1000)}"  # noqa: E731
        head = self.pick(["VALUE " + make(), self.some(item, 3), "*" if not joins else make()])
        order = f" ORDER BY c{self.pick(PATHS)}{self.pick(['', ' ASC', ' DESC'])}" if self.chance(0.25) else ""
        cut = self.pick(["", "", "", " OFFSET 0 LIMIT 3", " OFFSET @n LIMIT @n"])
        top = self.pick(["", "TOP 2 ", "TOP @n "]) if not cut else ""
        return f"SELECT {self.pick(['', '', 'DISTINCT '])}{top}{head}{source}{order}{cut}"

    def folded(self, make: Any, source: str) -> str:
        aggregate = lambda: f"{self.pick(list(AGGREGATES))}({make()})"  # noqa: E731
        if self.chance(0.5):
            return f"SELECT VALUE {aggregate()}{source}"
        key = make()
        return f"SELECT {key} AS k, {aggregate()} AS n{source} GROUP BY {key}"

    def damaged(self, text: str) -> str:
        tokens = text.split(" ")
        for _ in range(self._random.randint(1, 3)):
            at = self._random.randrange(len(tokens))
            action = self._random.randrange(5)
            if action == 0 and len(tokens) > 1:
                del tokens[at]
            elif action == 1:
                tokens.insert(at, tokens[at])
            elif action == 2:
                tokens.insert(at, self.pick(STRAYS))
            elif action == 3:
                tokens[at] = self.pick(STRAYS)
            else:
                tokens[at] = tokens[at][: self._random.randint(0, len(tokens[at]))]
        return " ".join(tokens)

    def request(self) -> tuple[dict[str, str], bytes]:
        text = self.query()
        if self.chance(1 / 2):
            text = self.damaged(text)
        value = self._random.choice([1, "x", None, [1], {"a": 1}, "\udfff", 2**64, 1e308, 10**330])
        parameters = [{"name": "@p", "value": value}]
        parameters += [{"name": "@n", "value": self._random.choice([0, 1, 2, 3, 4, -1, "2"])}]
        parameters += [{"name": "@list", "value": [1, "x", None]}]
        headers = {"x-ms-max-item-count": self.pick(["-1", "1", "2", "100"])}
        target = self._random.randrange(4)
        if target == 0:
            headers["x-ms-documentdb-partitionkey"] = '["a"]'
        elif target == 1:
            headers["x-ms-documentdb-partitionkeyrangeid"] = self.pick(["0", "1"])
        elif target == 2:
            headers["x-ms-documentdb-query-enablecrosspartition"] = "True"
        if self.chance(0.2):
            headers["x-ms-cosmos-is-query-plan-request"] = "True"
            headers["x-ms-cosmos-supported-query-features"] = "Aggregate, Distinct, OrderBy, Top, OffsetAndLimit"
        body = json.dumps({"query": text, "parameters": parameters})
        return headers, body.encode("utf-8", "surrogatepass")


class TwoRanges:
    """A container in memory: keys up to "a" in the first range, the others in the second."""

    rid = "AAAA"
    partition_key_paths: Sequence[str] = ("/pk",)
    indexing_policy: Mapping[str, Any] = {"includedPaths": [{"path": "/*"}]}

    def ranges(self) -> Sequence[KeyRange]:
        return [KeyRange("0", "", "05"), KeyRange("1", "05", "FF")]

    def effective_key(self, values: Sequence[Any]) -> str:
        return "03" if values[0] == "a" else "09"

    def scan(self, scope: Scope, after: str | None, prefilter: Prefilter | None) -> Iterator[Stored]:
        for at, (pk, text) in enumerate(TEXTS):
            key = self.effective_key([pk])
            within = key == scope.minimum if scope.partition_key is not None else scope.minimum <= key < scope.maximum
            if within and (after is None or at > int(after)):
                yield Stored(str(at), text)


def outcome(headers: dict[str, str], body: bytes) -> str:
    """Every page of the query: "answered", or the refusal's status. Anything else is raised."""
    for _ in range(40):
        try:
            answer = answer_query(TwoRanges(), headers, body)
        except QueryRefused as refusal:
            return str(refusal.status)
        json.loads(answer.body, parse_int=float)
        token = answer.headers.get("x-ms-continuation")
        if token is None:
            return "answered"
        headers = {**headers, "x-ms-continuation": token}
    raise AssertionError("the pages have no end")


@pytest.mark.chaos
@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_generated_query_is_answered_or_refused_as_the_service_does(block: int) -> None:
    count = QUERIES // BLOCKS
    seen: dict[str, int] = {}
    for number in range(count):
        headers, body = Generator(block * SEEDS_PER_BLOCK + number).request()
        try:
            kind = outcome(headers, body)
        except Exception as error:
            raise AssertionError(
                f"{type(error).__name__}: {error}\n{headers}\n{body.decode(errors='replace')}"
            ) from error
        seen[kind] = seen.get(kind, 0) + 1
    assert set(seen) <= {"answered", "400"}
    assert min(seen.get("answered", 0), seen.get("400", 0)) > count // 10, f"the mixture says little: {seen}"
