# ruff: noqa: E501 (a query stays on its line, as one would paste it)
"""Keywords and parameters, page by page: (documents, query, expected).

Each key is the last part of the page's address, learn.microsoft.com/azure/cosmos-db/nosql/query/<key>; the pages' own
examples are among the cases, their data shortened.
"""

from __future__ import annotations

import pytest

from tests.unit.cosmos_sql.documented import PRODUCTS, Case, assert_gives, each_case

PAGES: dict[str, list[Case]] = {
    "keywords": [
        (PRODUCTS, "SELECT VALUE p.price FROM p WHERE p.price BETWEEN 17.25 AND 25.50", [17.25, 20]),
        (
            PRODUCTS,
            "SELECT (p.price BETWEEN 0 AND 10) AS low, p.price FROM p WHERE IS_DEFINED(p.price)",
            [
                {"low": False, "price": 17.25},
                {"low": True, "price": 7.5},
                {"low": False, "price": 20},
                {"price": "fifteen"},
                {"price": None},
            ],
        ),
        (PRODUCTS, "SELECT VALUE p.name FROM p WHERE p.price NOT BETWEEN 0 AND 10", ["Road bike", "Screwdriver set"]),
        (PRODUCTS, "SELECT DISTINCT VALUE p.category FROM p", ["Bikes", "Accessories", "Tools"]),
        (
            PRODUCTS,
            "SELECT DISTINCT p.category FROM p",
            [{"category": "Bikes"}, {"category": "Accessories"}, {"category": "Tools"}, {}],
        ),
        (
            [{"v": {"a": 1, "b": 2}}, {"v": {"b": 2, "a": 1}}, {"v": 1}, {"v": True}],
            "SELECT DISTINCT VALUE c.v FROM c",
            [{"a": 1, "b": 2}, 1, True],
        ),
        (PRODUCTS, 'SELECT VALUE p.name FROM p WHERE p.name LIKE "%driver%"', ["Screwdriver set"]),
        (PRODUCTS, 'SELECT VALUE p.name FROM p WHERE p.name LIKE "%glove"', ["Winter glove", "Left glove"]),
        (PRODUCTS, 'SELECT VALUE p.name FROM p WHERE p.name LIKE "Road%"', ["Road bike"]),
        (PRODUCTS, 'SELECT VALUE p.name FROM p WHERE p.category NOT LIKE "%o%"', ["Road bike"]),
        (PRODUCTS, 'SELECT VALUE p.name FROM p WHERE p.description LIKE "%20^%%" ESCAPE "^"', ["Road bike"]),
        (
            [],
            'SELECT VALUE ["20-30%" LIKE "20-30[%]", "_n" LIKE "[_]n", "xn" LIKE "[_]n", "[" LIKE "[ [ ]", "]" LIKE "]"]',
            [[True, True, False, True, True]],
        ),
        (
            [],
            'SELECT VALUE ["SOtPS" LIKE "SO[t-z]PS", "SOaPS" LIKE "SO[^abc]PS", "SOdPS" LIKE "SO[^abc]PS", "a.c" LIKE "a_c", "ab\\nc" LIKE "ab%"]',
            [[True, False, True, True, True]],
        ),
        ([], "SELECT [1 LIKE 'a', 'a' LIKE 1] AS x, 1 LIKE 'a' AS y", [{"x": [None, None]}]),
        (
            PRODUCTS,
            'SELECT VALUE p.name FROM p WHERE p.category IN ("Accessories", "Clothing")',
            ["Winter glove", "Left glove"],
        ),
        (PRODUCTS, 'SELECT VALUE p.name FROM p WHERE p.category NOT IN ("Accessories", "Bikes")', ["Screwdriver set"]),
        (PRODUCTS, "SELECT VALUE p.name FROM p WHERE p.price IN (7.5, '20', null)", ["Winter glove", "Gift"]),
        (PRODUCTS, "SELECT TOP 2 VALUE p.name FROM p", ["Road bike", "Winter glove"]),
        (PRODUCTS, "SELECT TOP 1 VALUE p.price FROM p WHERE IS_NUMBER(p.price) ORDER BY p.price ASC", [7.5]),
        (PRODUCTS, "SELECT TOP 0 * FROM p", []),
    ],
    "parameterized-queries": [
        (PRODUCTS, "SELECT VALUE p.name FROM p WHERE (NOT p.onSale) AND (p.price BETWEEN 0 AND @upper)", []),
        (PRODUCTS, "SELECT VALUE p.name FROM p WHERE p.price BETWEEN 0 AND @upper", ["Road bike", "Winter glove"]),
        (PRODUCTS, "SELECT TOP @pageSize VALUE p.name FROM p", ["Road bike"]),
        (PRODUCTS, "SELECT VALUE p.name FROM p WHERE ARRAY_CONTAINS(@list, p.price)", ["Winter glove"]),
        (PRODUCTS, "SELECT VALUE p[@property] FROM p WHERE p.price = 20", ["Tools"]),
        (
            [],
            "SELECT @list, IS_DEFINED(@nothing) AS given, @pageSize = @pageSize AS same",
            [{"$1": [7.5, "x"], "given": False, "same": True}],
        ),
    ],
}
PARAMETERS = {"@upper": 17.25, "@pageSize": 1, "@list": [7.5, "x"], "@property": "category"}


@pytest.mark.parametrize("case", each_case(PAGES))
def test_a_keyword_gives_what_its_page_says(case: Case) -> None:
    assert_gives(case, PARAMETERS)
