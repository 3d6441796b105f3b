# ruff: noqa: E501 (a query stays on its line, as one would paste it)
"""Subqueries, and paths into documents, page by page: (documents, query, expected).

Each key is the last part of the page's address, learn.microsoft.com/azure/cosmos-db/nosql/query/<key>; the pages' own
examples are among the cases, their data shortened.
"""

from __future__ import annotations

import pytest

from tests.unit.cosmos_sql.documented import Case, assert_gives, each_case

SURFBOARD = [
    {
        "name": "Teapo rainbow surfboard",
        "manufacturer": {"name": "AdventureWorks"},
        "releaseDate": None,
        "metadata": {
            "sku": "72109",
            "colors": ["cruise", "picton-blue"],
            "sizes": {"small": {"inches": 76, "feet": 6.33333}, "large": {"inches": 92, "feet": 7.66667}},
        },
    }
]
COAT = [
    {
        "name": "Snow coat",
        "inventory": [
            {"location": "Redmond, WA", "quantity": 50},
            {"location": "Seattle, WA", "quantity": 30},
            {"location": "Washington, DC", "quantity": 25},
        ],
    }
]
BIKE = [
    {
        "name": "Unobtani road bike",
        "accessories": [
            {"name": "Front/rear tire", "type": "tire", "quantityOnHand": 5},
            {"name": "9-speed chain", "type": "chains", "quantityOnHand": 25},
            {"name": "Clip-in pedals", "type": "pedals", "quantityOnHand": 15},
        ],
    },
    {"name": "Bare frame", "accessories": []},
]
GLOVES = [
    {"id": "a", "name": "Winter glove"},
    {"id": "b", "name": "Socks"},
    {"id": "c"},
]
SHIPMENTS = [
    {"id": "s1", "weight": {"units": "kg", "quantity": 2}},
    {"id": "s2", "weight": {"units": "mg", "quantity": 500}},
    {"id": "s3", "weight": {"units": "stone", "quantity": 1}},
]

PAGES: dict[str, list[Case]] = {
    "subquery": [
        ([], "SELECT (SELECT VALUE 1) AS a, (SELECT VALUE 2) AS b", [{"a": 1, "b": 2}]),
        (
            GLOVES,
            "SELECT (SELECT VALUE Concat('ID-', p.id)) AS internalId FROM products p",
            [{"internalId": "ID-a"}, {"internalId": "ID-b"}, {"internalId": "ID-c"}],
        ),
        (
            GLOVES,
            'SELECT p.id, (SELECT p.name WHERE CONTAINS(p.name, "glove")).name FROM products p',
            [{"id": "a", "name": "Winter glove"}, {"id": "b"}, {"id": "c"}],
        ),
        (
            COAT,
            "SELECT p.name, (SELECT VALUE COUNT(1) FROM i IN p.inventory) AS locationCount FROM products p",
            [{"name": "Snow coat", "locationCount": 3}],
        ),
        (
            COAT,
            'SELECT (SELECT VALUE COUNT(1) FROM i IN p.inventory WHERE ENDSWITH(i.location, "WA")) AS n FROM products p',
            [{"n": 2}],
        ),
        (
            COAT,
            "SELECT (SELECT COUNT(1) AS n, SUM(i.quantity) AS total FROM i IN p.inventory) AS data FROM products p",
            [{"data": {"n": 3, "total": 105}}],
        ),
        (
            COAT,
            "SELECT p.name, (SELECT VALUE AVG(q.quantity) FROM q IN p.inventory WHERE q.quantity > 10) AS average FROM products p WHERE (SELECT VALUE COUNT(1) FROM i IN p.inventory WHERE i.quantity > 10) >= 1",
            [{"name": "Snow coat", "average": 35}],
        ),
        (
            COAT,
            "SELECT p.name, d.average FROM products p JOIN (SELECT COUNT(1) AS n, AVG(i.quantity) as average FROM i IN p.inventory WHERE i.quantity > 10) AS d WHERE d.n >= 1",
            [{"name": "Snow coat", "average": 35}],
        ),
        (
            COAT,
            "SELECT VALUE COUNT(1) FROM products p JOIN (SELECT VALUE i FROM i IN p.inventory WHERE i.quantity BETWEEN 26 AND 50) JOIN (SELECT VALUE j FROM j IN p.inventory WHERE NOT (j.quantity = 30))",
            [4],
        ),
        (
            SHIPMENTS,
            "SELECT s.id, (s.weight.quantity * m.multiplier) AS grams, m.unit AS unit FROM shipments s JOIN m IN (SELECT VALUE [{unit: 'mg', multiplier: 0.001}, {unit: 'kg', multiplier: 1000}]) WHERE s.weight.units = m.unit",
            [{"id": "s1", "grams": 2000, "unit": "kg"}, {"id": "s2", "grams": 0.5, "unit": "mg"}],
        ),
        ([], "SELECT EXISTS (SELECT VALUE undefined)", [{"$1": False}]),
        ([], "SELECT undefined", [{}]),
        ([], "SELECT VALUE undefined", []),
        ([], "SELECT EXISTS (SELECT undefined)", [{"$1": True}]),
        (
            BIKE,
            'SELECT VALUE p.name FROM products p WHERE EXISTS (SELECT VALUE a FROM a IN p.accessories WHERE a.type = "chains" AND a.quantityOnHand >= 10)',
            ["Unobtani road bike"],
        ),
        (
            BIKE,
            'SELECT p.name, EXISTS (SELECT VALUE a FROM a IN p.accessories WHERE a.type = "chains") AS chains FROM products p',
            [{"name": "Unobtani road bike", "chains": True}, {"name": "Bare frame", "chains": False}],
        ),
        (
            BIKE,
            "SELECT p.name, ARRAY (SELECT VALUE a.name FROM a IN p.accessories WHERE a.quantityOnHand > 10) AS many FROM products p",
            [
                {"name": "Unobtani road bike", "many": ["9-speed chain", "Clip-in pedals"]},
                {"name": "Bare frame", "many": []},
            ],
        ),
        (BIKE, "SELECT VALUE n FROM p JOIN (SELECT VALUE ARRAY_LENGTH(p.accessories)) n WHERE n > 0", [3]),
        (BIKE, "SELECT VALUE (SELECT TOP 1 VALUE a.type FROM a IN p.accessories) FROM p", ["tire"]),
        (
            BIKE,
            "SELECT VALUE ARRAY(SELECT DISTINCT VALUE a.quantityOnHand > 10 FROM a IN p.accessories) FROM p",
            [[False, True], []],
        ),
    ],
    "working-with-json": [
        (
            SURFBOARD,
            "SELECT p.manufacturer.name, p.metadata.sku, p.metadata.sizes.small.inches AS size FROM products p",
            [{"name": "AdventureWorks", "sku": "72109", "size": 76}],
        ),
        (
            SURFBOARD,
            'SELECT p.metadata.colors FROM products p WHERE p.metadata.colors[0] NOT LIKE "%orange%"',
            [{"colors": ["cruise", "picton-blue"]}],
        ),
        (
            SURFBOARD,
            "SELECT c AS color FROM products p JOIN c IN p.metadata.colors",
            [{"color": "cruise"}, {"color": "picton-blue"}],
        ),
        (
            SURFBOARD,
            'SELECT VALUE p.name FROM products p WHERE EXISTS (SELECT VALUE c FROM c IN p.metadata.colors WHERE c LIKE "%picton%")',
            ["Teapo rainbow surfboard"],
        ),
        (
            SURFBOARD,
            "SELECT IS_NULL(p.releaseDate) AS a, IS_DEFINED(p.releaseDate) AS b, IS_NULL(p.retirementDate) AS c, IS_DEFINED(p.retirementDate) AS d FROM products p",
            [{"a": True, "b": True, "c": False, "d": False}],
        ),
        (
            SURFBOARD,
            'SELECT p.manufacturer.name AS a, p["manufacturer"]["name"] AS b, p.manufacturer["name"] AS c FROM products p',
            [{"a": "AdventureWorks", "b": "AdventureWorks", "c": "AdventureWorks"}],
        ),
        (
            SURFBOARD,
            'SELECT {"productName": p.name} AS product FROM products p',
            [{"product": {"productName": "Teapo rainbow surfboard"}}],
        ),
        (
            SURFBOARD,
            'SELECT VALUE {"Model number => ": p.metadata.sku, "gone": p.nowhere} FROM products p',
            [{"Model number => ": "72109"}],
        ),
    ],
}


@pytest.mark.parametrize("case", each_case(PAGES))
def test_a_subquery_or_a_path_gives_what_its_page_says(case: Case) -> None:
    assert_gives(case)
