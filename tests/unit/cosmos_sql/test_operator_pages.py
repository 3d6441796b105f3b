# ruff: noqa: E501 (a query stays on its line, as one would paste it)
"""Operators and constants, page by page: (expression, expected), U for undefined.

Each key is the last part of the page's address, learn.microsoft.com/azure/cosmos-db/nosql/query/<key>.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from localazure.cosmos.sql import NonFiniteResult, evaluate
from localazure.cosmos.sql.support import ROWS

U = object()
ITEM = {
    "n": 5,
    "s": "text",
    "t": True,
    "f": False,
    "none": None,
    "a": [1, 2],
    "o": {"x": 1},
    "price": 24.5,
    "onSale": True,
}

PAGES: dict[str, list[tuple[str, Any]]] = {
    "equality-comparison-operators": [
        ("1 = 1.0", True), ("c.n = c.n", True), ("c.gone = c.gone", U), ("c.gone = null", U),
        ("null = null", True), ("undefined = undefined", U), ("'a' = 'A'", False),
        ("c.none != null", False), ("c.gone != null", U), ("1 <> 2", True),
        ("[1, {a: 2}] = [1, {a: 2}]", True), ("[1, true] = [1, 1]", False), ("{a: 1, b: 2} = {b: 2, a: 1}", True),
        ("{a: 1} = {a: 1, b: null}", False), ("c.a != [1, 2]", False),
        ("1 < 2", True), ("'a' < 'b'", True), ("'a' < 'B'", False), ("false < true", True), ("null <= null", True),
        ("null < null", False), ("1 < 'a'", U), ("'1' >= 1", U), ("null < 1", U), ("[1] < [2]", U), ("{a: 1} >= {a: 1}", U),
        ("c.gone < 1", U), ("true > 0", U), ("2 >= 2", True), ("c.n BETWEEN 1 AND 'x'", U), ("c.n BETWEEN 6 AND 'x'", False),
        ("c.n IN (1, 'x', 5)", True), ("c.gone IN (1)", U), ("c.n NOT IN (c.gone)", True), ("1 IN (true)", False),
        ("'\U0001f600' > '\uffff'", True),
    ],
    "logical-operators": [
        ("NOT true", False), ("NOT false", True), ("NOT c.gone", U), ("NOT 1", U), ("NOT null", U),
        ("true OR false AND false", True), ("NOT true OR true", True), ("NOT c.n = 4", True), ("NOT c.n IN (5)", False),
        ("c.t AND c.n", U), ("c.f AND c.n", False), ("c.n AND c.f", False), ("c.n OR c.t", True), ("c.s OR c.f", U),
        ("not c.f and c.t", True),
    ],
    "arithmetic-operators": [
        ("1 + 2", 3), ("c.n - 7", -2), ("2 * 3 + 4 * 5", 26), ("7 / 2", 3.5), ("6 / 3", 2), ("7 % 3", 1), ("-7 % 3", -1),
        ("-c.n", -5), ("+c.n", 5), ("- - 2", 2), ("10 - 2 - 3", 5), ("2 * (3 + 4)", 14), ("'a' + 'b'", U), ("'1' * 2", U),
        ("true + 1", U), ("null + 1", U), ("c.gone + 1", U), ("-c.s", U), ("0.1 + 0.2", 0.30000000000000004),
        ("9007199254740993 + 1", 9007199254740994), ("1.0 + 1", 2), ("1e2", 100), ("0x1F", 31), (".5 + .25", 0.75),
    ],
    "bitwise-operators": [
        ("100 >> 2", 25), ("100 << 2", 400), ("100 >>> 0", 100), ("100 & 1000", 96), ("100 | 1000", 1004), ("100 ^ 1000", 908),
        ("~5", -6), ("-1 >>> 0", 4294967295), ("-1 >>> 28", 15), ("1 << 31", -2147483648), ("1 << 32", 1), ("2147483648 | 0", -2147483648),
        ("6442450944 | 0", -2147483648), ("5.9 | 0", 5), ("-5.9 | 0", -5), ("'1' | 0", U), ("1 | 2 = 3", True), ("Infinity | 3", 3),
    ],
    "ternary-coalesce-operators": [
        ("c.onSale ? (c.price * 0.85) : c.price", 20.825), ("c.onCloseout ? 1 : c.onSale ? 2 : 3", 2), ("c.n ? 'yes' : 'no'", "no"),
        ("c.gone ? 1 : 2", 2), ("c.collapsible ?? false", False), ("c.none ?? 1", None), ("c.gone ?? c.nowhere ?? 3", 3),
        ("c.gone ?? undefined", U), ("true ? c.gone : 1", U), ("c.n > 3 ? 'a' : 'b'", "a"),
    ],
    "constants": [
        ("null", None), ("undefined", U), ("TRUE", True), ("-1.5e-3", -0.0015), ("'it\\'s'", "it's"), ('"say \\"hi\\""', 'say "hi"'),
        ("'\\u00e9\\n\\t\\/\\\\'", "é\n\t/\\"), ("'\\ud83d\\ude00'", "\U0001f600"), ("''", ""), ("[]", []), ("{}", {}),
        ("[1, 'a', null, [true]]", [1, "a", None, [True]]), ("{a: 1, 'b c': {d: []}, \"order\": 2}", {"a": 1, "b c": {"d": []}, "order": 2}),
        ("[undefined, 1]", [None, 1]), ("{a: undefined}", {}), ("12345678901234567890", 1.2345678901234567e19), ("9223372036854775807", 9223372036854775807),
        ("'no -- comment'", "no -- comment"), ("1 -- a comment\n", 1),
    ],
    "scalar-expressions": [
        ("c.o.x", 1), ("c['o']['x']", 1), ("c.a[1]", 2), ("c.a[1.0]", 2), ("c.a[2]", U), ("c.a[-1]", U), ("c.a[0.5]", U), ("c.a['0']", U),
        ("c.s[0]", U), ("c.o[0]", U), ("c.n.x", U), ("c.none.x", U), ("c.gone.x.y", U), ("c.a.length", U), ("{a: 5}.a", 5), ("[7, 8][1]", 8),
        ("c[c.s]", U), ("'a' || 'b' || 'c'", "abc"), ("'a' || 1", U), ("c.s || c.gone", U), ("c.LIMIT ?? c.offset ?? 'soft'", "soft"),
    ],
}  # fmt: skip

# Where we deviate from the page on equality: it has undefined for = and != across types, we false and true, as the
# service's own reference evaluator has. So `c.x != null` finds what is neither null nor missing, as users rely on.
# (expression, ours, the items that WHERE keeps by it are those of the page)
DEVIATING = [
    ('0 = "true"', False, True),
    ("true = 1", False, True),
    ("c.n = null", False, True),
    ("c.n != null", True, False),
    ("c.s != 5", True, False),
    ("NOT (c.s = 5)", True, False),
]


def value_of(expression: str) -> Any:
    found = evaluate(f"SELECT VALUE {expression} FROM c", [ITEM])
    return found[0] if found else U


@pytest.mark.parametrize(
    ("expression", "expected"),
    [pytest.param(*case, id=f"{page}: {case[0]}") for page, cases in PAGES.items() for case in cases],
)
def test_an_operator_gives_what_its_page_says(expression: str, expected: Any) -> None:
    found = value_of(expression)
    assert found is U if expected is U else (found == expected and type(found) is type(expected))


@pytest.mark.parametrize(("expression", "ours", "alike"), DEVIATING)
def test_equality_across_types_deviates_from_its_page_and_the_support_table_says_so(
    expression: str, ours: bool, alike: bool
) -> None:
    assert value_of(expression) is ours
    assert evaluate(f"SELECT VALUE 1 FROM c WHERE {expression}", [ITEM]) == ([] if alike else [1])
    row = next(row for row in ROWS if row.operation == "undefined apart from null")
    assert "deviating from its page" in row.note


TRUTH = {"true": True, "false": False, "undefined": None}
ORDER = ["undefined", "null", "false", "true", "-1", "2.5", "'A'", "'a'", "[]", "{}"]


@pytest.mark.parametrize(("left", "right"), list(itertools.product(TRUTH, TRUTH)))
def test_and_and_or_follow_the_truth_tables_of_their_page(left: str, right: str) -> None:
    """Three-valued: learn.microsoft.com/azure/cosmos-db/nosql/query/logical-operators, the two tables."""
    values = (TRUTH[left], TRUTH[right])
    conjunction = False if False in values else U if None in values else True
    disjunction = True if True in values else U if None in values else False
    assert value_of(f"{left} AND {right}") is conjunction
    assert value_of(f"{left} OR {right}") is disjunction


@pytest.mark.parametrize(("left", "right"), list(itertools.product(ORDER, ORDER)))
def test_order_across_types_is_undefined_and_within_a_type_exactly_one_of_three(left: str, right: str) -> None:
    less, equal, greater = (value_of(f"{left} {operator} {right}") for operator in ("<", "=", ">"))
    kinds = {"undefined": 0, "null": 1, "false": 2, "true": 2, "-1": 3, "2.5": 3, "'A'": 4, "'a'": 4, "[]": 5, "{}": 6}
    if "undefined" in (left, right):
        assert less is equal is greater is U
    elif kinds[left] != kinds[right]:
        assert (less, equal, greater) == (U, False, U)
    elif kinds[left] >= 5:
        assert (less, equal, greater) == (U, True, U)
    else:
        assert sorted((less, equal, greater)) == [False, False, True]


@pytest.mark.parametrize("expression", ["1 / 0", "0 / 0", "1 % 0", "[1, 2 / 0]", "{a: NaN}", "-Infinity", "1e308 * 10"])
def test_a_result_that_is_no_finite_number_refuses_the_query(expression: str) -> None:
    with pytest.raises(NonFiniteResult):
        value_of(expression)


@pytest.mark.parametrize("pattern", ["%a%a%a%a%a%a%a%b", "%_%_%_%_%_%_%b", "%[a-c]%[a-c]%[a-c]%[a-c]%[a-c]%b"])
def test_no_pattern_of_like_takes_long(pattern: str) -> None:
    text = "a" * 5_000
    assert value_of(f"'{text}' LIKE '{pattern}'") is False
    assert value_of(f"'{text}b' LIKE '{pattern}'") is True


def test_infinity_may_be_used_on_the_way() -> None:
    assert value_of("1 / 0 > 5") is True
    assert value_of("(1 / 0) = Infinity ? 'infinite' : 'finite'") == "infinite"
