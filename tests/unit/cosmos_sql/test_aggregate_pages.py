"""The aggregate functions, page by page: (documents, expression, expected), U for undefined.

Each key is the last part of the page's address, learn.microsoft.com/azure/cosmos-db/nosql/query/<key>.
"""

from __future__ import annotations

from typing import Any

import pytest

from localazure.cosmos.sql import evaluate

U = object()
PRICES = [{"price": 10}, {"price": 20.5}, {"price": 30}, {"name": "no price"}]
MIXED = [{"v": None}, {"v": True}, {"v": 7}, {"v": "seven"}, {}]

PAGES: dict[str, list[tuple[list[dict[str, Any]], str, Any]]] = {
    "count": [
        (PRICES, "COUNT(1)", 4),
        (PRICES, "COUNT(c.price)", 3),
        (PRICES, "COUNT(c.nowhere)", 0),
        (MIXED, "COUNT(c.v)", 4),
        (PRICES, "COUNT(1 / 4)", 4),
        ([], "COUNT(1)", 0),
    ],
    "countif": [(PRICES, "COUNTIF(c.price > 15)", 2), (PRICES, "COUNTIF(c.price)", 0)],
    "sum": [
        (PRICES, "SUM(c.price)", 60.5),
        (MIXED, "SUM(c.v)", U),
        ([{"v": 1}, {"v": None}], "SUM(c.v)", U),
        ([], "SUM(c.v)", 0),
        (PRICES, "SUM(c.price * 2)", 121),
    ],
    "average": [
        (PRICES, "AVG(c.price)", 60.5 / 3),
        ([{"v": 1}, {"v": "2"}], "AVG(c.v)", U),
        ([], "AVG(c.v)", U),
        ([{"v": 1}, {"v": 2}], "AVG(c.v)", 1.5),
    ],
    "max": [
        (PRICES, "MAX(c.price)", 30),
        (MIXED, "MAX(c.v)", "seven"),
        (MIXED[:3], "MAX(c.v)", 7),
        (MIXED[:2], "MAX(c.v)", True),
        ([{"v": [1]}, {"v": 2}], "MAX(c.v)", U),
        ([], "MAX(c.v)", U),
    ],
    "min": [
        (PRICES, "MIN(c.price)", 10),
        (MIXED, "MIN(c.v)", None),
        (MIXED[1:], "MIN(c.v)", True),
        ([], "MIN(c.v)", U),
    ],
}


@pytest.mark.parametrize(
    ("documents", "expression", "expected"),
    [pytest.param(*case, id=f"{page}-{at}") for page, cases in PAGES.items() for at, case in enumerate(cases)],
)
def test_an_aggregate_gives_what_its_page_says(documents: list[Any], expression: str, expected: Any) -> None:
    found = evaluate(f"SELECT VALUE {expression} FROM c", documents)
    assert found == ([] if expected is U else [expected])
    assert evaluate(f"SELECT {expression} AS x FROM c", documents) == [{} if expected is U else {"x": expected}]


def test_aggregates_combine_with_each_other_and_with_constants() -> None:
    assert evaluate("SELECT VALUE {n: COUNT(1), mean: SUM(c.price) / COUNT(c.price), k: 'all'} FROM c", PRICES) == [
        {"n": 4, "mean": 60.5 / 3, "k": "all"}
    ]


def test_sums_are_added_as_doubles_are() -> None:
    assert evaluate("SELECT VALUE SUM(c.v) FROM c", [{"v": 0.1}] * 10) == [
        0.9999999999999999
    ]  # not 1.0, as sum() says since 3.12
