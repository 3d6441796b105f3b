"""Numbers that JSON can write and no double can hold: answered as doubles or refused, never a server error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from localazure.cosmos.queries import KeyRange, Prefilter, QueryRefused, Scope, Stored, answer_query
from localazure.cosmos.sql import evaluate
from localazure.cosmos.sql.aggregates import AGGREGATES
from localazure.cosmos.sql.functions import FUNCTIONS
from localazure.cosmos.sql.operators import BINARY, UNARY

BEYOND = "1" + "0" * 400
LONGER_THAN_PYTHON_READS = "9" * 5000
INTEGERS = ["9007199254740993", "18446744073709551616", BEYOND, "-" + BEYOND, LONGER_THAN_PYTHON_READS, "1e400"]


class Holding:
    """One document, whose `n` and `list` hold the number as it was written."""

    rid = "AAAA"
    partition_key_paths: Sequence[str] = ("/pk",)
    indexing_policy: Mapping[str, Any] = {"includedPaths": [{"path": "/*"}]}

    def __init__(self, digits: str) -> None:
        self.text = f'{{"id": "1", "pk": "a", "n": {digits}, "one": 1.5, "list": [{digits}, 1.5, 2], "text": ""}}'

    def ranges(self) -> Sequence[KeyRange]:
        return [KeyRange("0", "", "FF")]

    def effective_key(self, values: Sequence[Any]) -> str:
        return "05"

    def scan(self, scope: Scope, after: str | None, prefilter: Prefilter | None) -> Iterator[Stored]:
        if after is None:
            yield Stored("0", self.text)


def ask(container: Holding, query: str, parameter: str = "1", **headers: str) -> Any:
    """The results, or the status of the refusal."""
    body = f'{{"query": {json.dumps(query)}, "parameters": [{{"name": "@p", "value": {parameter}}}]}}'
    try:
        answer = answer_query(container, {"x-ms-documentdb-partitionkey": '["a"]', **headers}, body.encode())
    except QueryRefused as refusal:
        return refusal.status
    return json.loads(answer.body, parse_int=float)["Documents"]


def survives(container: Holding, expressions: list[str]) -> None:
    """All are evaluated before the answer is written, which may then refuse an infinite one."""
    found = ask(container, f"SELECT VALUE [{', '.join(expressions)}] FROM c")
    assert found == 400 or len(found[0]) == len(expressions)


@pytest.mark.parametrize("digits", INTEGERS)
def test_every_operator_survives_a_number_of_a_document(digits: str) -> None:
    pairs = ("c.n {} c.one", "c.one {} c.n", "c.n {} c.n", "c.n {} 7")
    survives(Holding(digits), [pair.format(operator) for operator in BINARY for pair in pairs])
    survives(Holding(digits), [f"{operator} c.n" for operator in UNARY])
    survives(Holding(digits), ["c.n IN (1, c.n)", "c.n BETWEEN 1 AND c.n", "{a: c.n}", "c.list[c.n]", "c.list"])
    for operator in ("=", "<", ">="):
        assert ask(Holding(digits), f"SELECT VALUE 1 FROM c WHERE c.n {operator} 1") in ([], [1])


@pytest.mark.parametrize("digits", INTEGERS)
def test_every_function_survives_a_number_of_a_document(digits: str) -> None:
    shapes = [["c.n"] * 9, ["c.list"] * 9, ["c.text", *["c.n"] * 8], ["'dd'", "c.n", "'2020-01-01'"]]
    calls = [
        f"{name}({', '.join(shape[: function.least])})"
        for name, function in FUNCTIONS.items()
        for shape in shapes
        if function.least <= len(shape)
    ]
    survives(Holding(digits), calls)


@pytest.mark.parametrize("digits", INTEGERS)
def test_every_fold_and_order_survives_a_number_of_a_document(digits: str) -> None:
    container = Holding(digits)
    survives(container, [f"(SELECT VALUE {name}(x) FROM x IN c.list)" for name in AGGREGATES])
    for query in ("SELECT c.n, COUNT(1) AS k FROM c GROUP BY c.n", "SELECT DISTINCT VALUE c.list FROM c"):
        found = ask(container, query)
        assert found == 400 or len(found) == 1
    assert ask(container, "SELECT VALUE c.one FROM c ORDER BY c.n") == [1.5]


def test_a_parameter_is_the_nearest_double() -> None:
    assert ask(Holding("9007199254740992"), "SELECT VALUE @p FROM c WHERE c.n = @p", "9007199254740993") == [2**53]
    assert ask(Holding("1"), "SELECT VALUE @p[0] FROM c", "[100000000000000000000000]") == [1e23]


@pytest.mark.parametrize("digits", [BEYOND, LONGER_THAN_PYTHON_READS, "1e400", f"[{BEYOND}]", "NaN"])
def test_a_parameter_or_a_key_beyond_all_doubles_is_no_valid_request(digits: str) -> None:
    assert ask(Holding("1"), "SELECT VALUE c.n < @p FROM c", digits) == 400
    assert ask(Holding("1"), "SELECT * FROM c", **{"x-ms-documentdb-partitionkey": f"[{digits}]"}) == 400


def test_equal_numbers_are_one_group_however_they_are_written() -> None:
    """The first three are one number; so are the fourth and the fifth."""
    written = "[1e16, 10000000000000000, 10000000000000000.0, 1e19, 10000000000000000000, 0.5]"
    container = Holding(written)
    for value in ("x", "[x]", "{a: [x]}"):
        found = ask(container, f"SELECT {value} AS v, COUNT(1) AS n FROM c JOIN x IN c.n GROUP BY {value}")
        assert sorted(row["n"] for row in found) == [1, 2, 3]
        assert len(ask(container, f"SELECT DISTINCT VALUE {value} FROM c JOIN x IN c.n")) == 3
    assert evaluate("SELECT VALUE SetUnion([[1e16]], [[10000000000000000]])", []) == [[[10**16]]]
