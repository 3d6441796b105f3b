"""The prefilter never loses a document: whatever the evaluator selects, SQLite lets through."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localazure.cosmos.sql import compile_query, parse, prefilter

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=4),
    st.sampled_from(["1", "0", "true", "null", "[1]", "a\0b", "a", ""]),
    st.sampled_from([0, 1, 0.1, 0.3, 1e22, 123456789012345680, 5e-324, -0.0]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from(["b", "c"]), SCALARS))
DOCUMENTS = st.fixed_dictionaries(
    {"id": st.sampled_from(["x", "y", "1"])}, optional={"a": VALUES, "o": st.fixed_dictionaries({"b": VALUES})}
)
PATHS = st.sampled_from(["c.a", "c.o.b", "c['a']", "c.id"])
OPERATORS = st.sampled_from(["=", "<", ">", "<=", ">=", "!="])
DATABASE = sqlite3.connect(":memory:")


def let_through(condition: Any, document: dict[str, Any]) -> bool:
    text, arguments = condition
    row = DATABASE.execute(
        f"SELECT {text} FROM (SELECT ? AS id, ? AS body)", (*arguments, document["id"], json.dumps(document))
    ).fetchone()
    return bool(row[0])


@settings(max_examples=400)
@given(
    st.lists(DOCUMENTS, min_size=1, max_size=4), st.lists(st.tuples(PATHS, OPERATORS, SCALARS), min_size=1, max_size=3)
)
def test_a_document_the_query_selects_is_let_through(documents: list[Any], tests: list[tuple[str, str, Any]]) -> None:
    where = " AND ".join(f"{path} {operator} @v{at}" for at, (path, operator, _) in enumerate(tests))
    parameters = {f"@v{at}": value for at, (_, _, value) in enumerate(tests)}
    query = parse(f"SELECT * FROM c WHERE {where}")
    condition = prefilter.of(query, parameters)
    execution = compile_query(query).start(parameters)
    for document in documents:
        if condition is not None and any(True for _ in execution.outputs(document)):
            assert let_through(condition, document)


@settings(max_examples=100)
@given(DOCUMENTS, st.lists(SCALARS, min_size=1, max_size=3))
def test_a_document_found_in_a_list_is_let_through(document: Any, items: list[Any]) -> None:
    parameters = {f"@v{at}": value for at, value in enumerate(items)}
    query = parse(f"SELECT * FROM c WHERE c.a IN ({', '.join(parameters)}) AND true")
    condition = prefilter.of(query, parameters)
    if condition is not None and list(compile_query(query).start(parameters).outputs(document)):
        assert let_through(condition, document)


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        ("c.id = 'x'", ("id IN (?)", ("x",))),
        ("c.a.b = 'x' AND c.id = 'y'", ('id IN (?) AND json_extract(body, \'$."a"."b"\') IN (?)', ("y", "x"))),
        ("c.kind IN ('a', 'b')", ("json_extract(body, '$.\"kind\"') IN (?, ?)", ("a", "b"))),
        ("10 < c.n", ("json_extract(body, '$.\"n\"') >= ?", (10 - 1e-8,))),
        ("c.n >= 10", ("json_extract(body, '$.\"n\"') >= ?", (10 - 1e-8,))),
        ("c.n <= 10", ("json_extract(body, '$.\"n\"') <= ?", (10 + 1e-8,))),
        ("c.n < -10", ("json_extract(body, '$.\"n\"') <= ?", (-10 + 1e-8,))),
        ("10 >= c.n", ("json_extract(body, '$.\"n\"') <= ?", (10 + 1e-8,))),
        ("10 = c.n", ("json_extract(body, '$.\"n\"') BETWEEN ? AND ?", (10 - 1e-8, 10 + 1e-8))),
        ("c.pk = 'settled'", None),
        ("c.a = null", None),
        ("c.a = true", None),
        ("c.a > 'text'", None),
        ("c.a = 'x' OR c.b = 'y'", None),
        ("NOT (c.a = 'x')", None),
        ("c.a NOT IN ('x')", None),
        ("c[\"it's\"] = 'x'", None),
        ("t = 'x'", None),
        ("c.a = @missing", None),
    ],
)
def test_only_what_sqlite_means_alike_is_handed_on(where: str, condition: Any) -> None:
    tree = parse(f"SELECT c.id FROM c JOIN t IN c.tags WHERE {where}")
    assert prefilter.of(tree, {}, ["/pk"]) == condition


@pytest.mark.parametrize(
    ("test", "near", "far"),
    [
        ("<= 10", 10, 10.1),
        ("< 10", 9, 10.1),
        (">= 10", 10, 9.9),
        ("> 10", 11, 9.9),
        ("= 10", 10, 9.9),
        ("= 'x'", "x", "y"),
    ],
)
def test_what_a_comparison_cannot_select_is_left_out(test: str, near: Any, far: Any) -> None:
    condition = prefilter.of(parse(f"SELECT * FROM c WHERE c.a {test}"), {})
    assert let_through(condition, {"id": "1", "a": near})
    assert not let_through(condition, {"id": "1", "a": far})


def test_the_path_of_an_iterated_array_is_not_the_item_s() -> None:
    assert prefilter.of(parse("SELECT * FROM t IN c.tags WHERE t.a = 'x'"), {}) is None
