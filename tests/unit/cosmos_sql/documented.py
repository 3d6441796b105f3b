"""Documents that several pages of the query language are tried on, and how a case of a page is tried."""

from __future__ import annotations

from typing import Any

import pytest

from localazure.cosmos.sql import evaluate

Case = tuple[list[dict[str, Any]], str, list[Any]]
"""Documents, query, expected."""

PRODUCTS = [
    {"name": "Road bike", "price": 17.25, "category": "Bikes", "description": "now 20% off"},
    {"name": "Winter glove", "price": 7.5, "category": "Accessories", "description": "warm"},
    {"name": "Screwdriver set", "price": 20, "category": "Tools", "description": "20 pieces"},
    {"name": "Left glove", "price": "fifteen", "category": "Accessories"},
    {"name": "Gift", "price": None},
    {"name": "Nameless price"},
]


def each_case(pages: dict[str, list[Case]]) -> list[Any]:
    """For `parametrize`: the cases under their page's name and number."""
    return [pytest.param(case, id=f"{page}-{at}") for page, cases in pages.items() for at, case in enumerate(cases)]


def assert_gives(case: Case, parameters: dict[str, Any] | None = None) -> None:
    documents, query, expected = case
    found = evaluate(query, documents, parameters or {})
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]
