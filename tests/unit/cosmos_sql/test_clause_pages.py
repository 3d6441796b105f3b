# ruff: noqa: E501 (a query stays on its line, as one would paste it)
"""The clauses, page by page: (documents, query, expected).

Each key is the last part of the page's address, learn.microsoft.com/azure/cosmos-db/nosql/query/<key>; the pages' own
examples are among the cases, their data shortened.
"""

from __future__ import annotations

from typing import Any

import pytest

from localazure.cosmos.sql import evaluate

PEOPLE = [
    {"id": "1", "name": {"first": "Kai", "last": "Carter"}, "team": "Field sales", "contact": ["555-0100", "x"]},
    {"id": "2", "name": {"first": "Ana", "last": "Bowman"}, "team": "Field sales", "contact": ["555-0101"]},
    {"id": "3", "name": {"first": "Tom", "last": "Carter"}, "team": "Support"},
]
EMPLOYMENT = [
    {"id": "6339549442", "name": "Cris Barros", "employment": {"weeklyHours": 40, "team": "Retail support"}},
    {"id": "5859346714", "name": "Eduarda Dias", "employment": {"team": "Retail support"}},
    {"id": "4968499169", "name": "Darweshi Mhina", "employment": {"weeklyHours": 32, "team": "Other"}},
    {"id": "1", "name": "Nobody"},
]
TRAINED = [
    {"team": "Cloud", "capabilities": {"softwareDevelopment": "python", "mediaTrained": True}},
    {"team": "Cloud", "capabilities": {"softwareDevelopment": "javascript", "mediaTrained": False}},
    {"team": "Cloud", "capabilities": {"softwareDevelopment": "c-sharp", "mediaTrained": True}},
    {"team": "Cloud", "capabilities": {"softwareDevelopment": "javascript", "mediaTrained": True}},
    {"team": "Cloud", "capabilities": {"softwareDevelopment": "javascript", "mediaTrained": True}},
    {"team": "Cloud", "capabilities": {"mediaTrained": True}},
    {"team": "Cloud", "capabilities": {"softwareDevelopment": "python", "mediaTrained": False}},
    {"team": "Other", "capabilities": {"softwareDevelopment": "cobol"}},
]
BAGS = [
    {
        "sku": "maresse-65503",
        "categoryName": "Sleeping Bags",
        "tags": [
            {"slug": "bag-shape-mummy", "name": "Bag Shape: Mummy"},
            {"slug": "bag-insulation-down-fill", "name": "Bag Insulation: Down Fill"},
        ],
    },
    {
        "sku": "vareno-65508",
        "categoryName": "Sleeping Bags",
        "tags": [
            {"slug": "bag-insulation-synthetic-fill", "name": "Bag Insulation: Synthetic Fill"},
            {"slug": "color-group-yellow", "name": "Color Group: Yellow"},
            {"slug": "bag-shape-mummy", "name": "Bag Shape: Mummy"},
        ],
    },
    {"sku": "none-1", "categoryName": "Sleeping Bags", "tags": "not an array"},
    {"sku": "none-2", "categoryName": "Sleeping Bags"},
]
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
PRODUCTS = [
    {"name": "Road bike", "price": 17.25, "category": "Bikes", "description": "now 20% off"},
    {"name": "Winter glove", "price": 7.5, "category": "Accessories", "description": "warm"},
    {"name": "Screwdriver set", "price": 20, "category": "Tools", "description": "20 pieces"},
    {"name": "Left glove", "price": "fifteen", "category": "Accessories"},
    {"name": "Gift", "price": None},
    {"name": "Nameless price"},
]
MIXED = [
    {"id": "string", "v": "a"},
    {"id": "true", "v": True},
    {"id": "number", "v": -5},
    {"id": "missing"},
    {"id": "null", "v": None},
    {"id": "false", "v": False},
    {"id": "float", "v": 0.5},
    {"id": "upper", "v": "A"},
]

PAGES: dict[str, list[tuple[list[dict[str, Any]], str, list[Any]]]] = {
    "select": [
        ([], 'SELECT "Cosmic", "Works"', [{"$1": "Cosmic", "$2": "Works"}]),
        (
            [],
            'SELECT {department: "Sales", team: "Field sales"}',
            [{"$1": {"department": "Sales", "team": "Field sales"}}],
        ),
        ([], 'SELECT VALUE {department: "Sales"}', [{"department": "Sales"}]),
        ([], 'SELECT VALUE "Cosmic Works"', ["Cosmic Works"]),
        (
            PEOPLE,
            'SELECT VALUE {name: e.name.first, team: e.team, phone: e.contact[0]} FROM employees e WHERE e.team != "x"',
            [
                {"name": "Kai", "team": "Field sales", "phone": "555-0100"},
                {"name": "Ana", "team": "Field sales", "phone": "555-0101"},
                {"name": "Tom", "team": "Support"},
            ],
        ),
        (PEOPLE, "SELECT * FROM e WHERE e.id = '3'", [PEOPLE[2]]),
        (PEOPLE, "SELECT e FROM e WHERE e.id = '3'", [{"e": PEOPLE[2]}]),
        (
            PEOPLE,
            "SELECT e.id AS a, 1, e.team t, 2 + 3 FROM e WHERE e.id = '2'",
            [{"a": "2", "$1": 1, "t": "Field sales", "$2": 5}],
        ),
        (PEOPLE, "SELECT e.contact FROM e", [{"contact": ["555-0100", "x"]}, {"contact": ["555-0101"]}, {}]),
        (PEOPLE, "SELECT VALUE e.contact[1] FROM e", ["x"]),
        (PEOPLE, "SELECT VALUE [e.id, e.contact[0]] FROM e WHERE e.id >= '2'", [["2", "555-0101"], ["3", None]]),
        (PEOPLE, 'select value E["name"]["last"] From c as E', ["Carter", "Bowman", "Carter"]),
    ],
    "from": [
        (PEOPLE, "SELECT e.id FROM employees e WHERE e.team = 'Support'", [{"id": "3"}]),
        (
            EMPLOYMENT,
            'SELECT * FROM employees.employment e WHERE e.team = "Retail support"',
            [{"weeklyHours": 40, "team": "Retail support"}, {"team": "Retail support"}],
        ),
        (
            EMPLOYMENT,
            "SELECT VALUE employment FROM employees.employment",
            [d["employment"] for d in EMPLOYMENT if "employment" in d],
        ),
        (EMPLOYMENT, 'SELECT VALUE weeklyHours FROM employees["employment"].weeklyHours', [40, 32]),
        (PEOPLE, "SELECT VALUE n FROM n IN c.contact", ["555-0100", "x", "555-0101"]),
        (PEOPLE, "SELECT VALUE n FROM c.contact[0] AS n", ["555-0100", "555-0101"]),
        (PEOPLE, "SELECT VALUE ROOT.id FROM ROOT", ["1", "2", "3"]),
        (PEOPLE, "SELECT VALUE r.id FROM (SELECT * FROM c WHERE c.team = 'Support') r", ["3"]),
        (PEOPLE, "SELECT VALUE 1 FROM c JOIN c.name JOIN c.nowhere", []),
        (PEOPLE, "SELECT VALUE name.first FROM c JOIN c.name", ["Kai", "Ana", "Tom"]),
    ],
    "join": [
        (
            BAGS,
            "SELECT p.sku, t.slug FROM products p JOIN t IN p.tags WHERE p.sku = 'maresse-65503'",
            [
                {"sku": "maresse-65503", "slug": "bag-shape-mummy"},
                {"sku": "maresse-65503", "slug": "bag-insulation-down-fill"},
            ],
        ),
        (
            BAGS,
            'SELECT p.sku, t.name AS tag FROM products p JOIN t IN p.tags WHERE STARTSWITH(t.slug, "color-group-")',
            [{"sku": "vareno-65508", "tag": "Color Group: Yellow"}],
        ),
        (
            BAGS,
            'SELECT p.sku FROM products p JOIN t IN p.tags WHERE p.categoryName = "Sleeping Bags" AND t.slug = "bag-shape-mummy"',
            [{"sku": "maresse-65503"}, {"sku": "vareno-65508"}],
        ),
        (
            BAGS,
            'SELECT VALUE p.sku FROM products p WHERE STARTSWITH(p.tags[0].slug, "color-") OR STARTSWITH(p.tags[1].slug, "color-")',
            ["vareno-65508"],
        ),
        (BAGS, "SELECT VALUE COUNT(1) FROM p JOIN a IN p.tags JOIN b IN p.tags", [4 + 9]),
        (BAGS, "SELECT VALUE [a.n, b] FROM (SELECT VALUE {n: 1}) a JOIN b IN (SELECT VALUE [7, 8])", [[1, 7], [1, 8]]),
    ],
    "where": [
        (PRODUCTS, "SELECT VALUE p.name FROM p WHERE p.price", []),
        (PRODUCTS, "SELECT VALUE p.name FROM p WHERE p.price > 10", ["Road bike", "Screwdriver set"]),
        (PRODUCTS, "SELECT VALUE p.name FROM p WHERE p.nowhere = p.nowhere", []),
        (PRODUCTS, "SELECT VALUE p.name FROM p WHERE NOT (p.price > 10)", ["Winter glove"]),
        (PRODUCTS, "SELECT VALUE p.name FROM p WHERE p.price = null", ["Gift"]),
        (
            PRODUCTS,
            "SELECT VALUE p.name FROM p WHERE p.price != null",
            ["Road bike", "Winter glove", "Screwdriver set", "Left glove"],
        ),
    ],
    "group-by": [
        (
            TRAINED,
            'SELECT e.capabilities.softwareDevelopment AS lang FROM employees e WHERE e.team = "Cloud" GROUP BY e.capabilities.softwareDevelopment',
            [{"lang": "python"}, {"lang": "javascript"}, {"lang": "c-sharp"}, {}],
        ),
        (
            TRAINED,
            'SELECT COUNT(1) AS n, e.capabilities.softwareDevelopment AS lang FROM employees e WHERE e.team = "Cloud" GROUP BY e.capabilities.softwareDevelopment',
            [{"n": 2, "lang": "python"}, {"n": 3, "lang": "javascript"}, {"n": 1, "lang": "c-sharp"}, {"n": 1}],
        ),
        (
            TRAINED,
            'SELECT COUNT(1) AS n, e.capabilities.softwareDevelopment AS lang, e.capabilities.mediaTrained AS ready FROM employees e WHERE e.team = "Cloud" GROUP BY e.capabilities.softwareDevelopment, e.capabilities.mediaTrained',
            [
                {"n": 1, "lang": "python", "ready": True},
                {"n": 1, "lang": "javascript", "ready": False},
                {"n": 1, "lang": "c-sharp", "ready": True},
                {"n": 2, "lang": "javascript", "ready": True},
                {"n": 1, "ready": True},
                {"n": 1, "lang": "python", "ready": False},
            ],
        ),
        (
            MIXED,
            "SELECT IS_DEFINED(c.v) AS d, COUNT(c.v) AS n, 'x' AS x FROM c GROUP BY IS_DEFINED(c.v)",
            [{"d": True, "n": 7, "x": "x"}, {"d": False, "n": 0, "x": "x"}],
        ),
        (
            [{"v": 1}, {"v": True}, {"v": 1.0}, {"v": "1"}, {"v": [1]}, {"v": [True]}],
            "SELECT VALUE COUNT(1) FROM c GROUP BY c.v",
            [2, 1, 1, 1, 1],
        ),
        (
            [{"a": 1, "b": 5}, {"a": 1, "b": 7}],
            "SELECT UPPER(c.a) u, SUM(c.b) / COUNT(1) + 1 AS m FROM c GROUP BY c.a, UPPER(c.a)",
            [{"m": 7}],
        ),
        (TRAINED, "SELECT e.team FROM e GROUP BY e.team OFFSET 1 LIMIT 5", [{"team": "Other"}]),
    ],
    "order-by": [
        (PEOPLE, "SELECT VALUE e.name.first FROM e ORDER BY e.name.last", ["Ana", "Kai", "Tom"]),
        (PEOPLE, "SELECT VALUE e.name.first FROM e ORDER BY e.name.last DESC", ["Tom", "Kai", "Ana"]),
        (PEOPLE, "SELECT VALUE e.name.first FROM e ORDER BY e.name.last DESC, e.name.first ASC", ["Kai", "Tom", "Ana"]),
        (
            MIXED,
            "SELECT VALUE c.id FROM c ORDER BY c.v",
            ["null", "false", "true", "number", "float", "upper", "string"],
        ),
        (
            MIXED,
            "SELECT VALUE c.id FROM c ORDER BY c.v DESC",
            ["string", "upper", "float", "number", "true", "false", "null"],
        ),
        (
            MIXED,
            "SELECT VALUE c.id FROM c WHERE c.id IN ('missing', 'null', 'true') ORDER BY c.v, c.id",
            ["missing", "null", "true"],
        ),
    ],
    "offset-limit": [
        (PEOPLE, "SELECT VALUE e.name.first FROM e ORDER BY e.name.first OFFSET 1 LIMIT 5", ["Kai", "Tom"]),
        (PEOPLE, "SELECT VALUE e.name.first FROM e ORDER BY e.name.first OFFSET 1 LIMIT 1", ["Kai"]),
        (PEOPLE, "SELECT VALUE e.id FROM e OFFSET 0 LIMIT 2", ["1", "2"]),
        (PEOPLE, "SELECT VALUE e.id FROM e OFFSET 5 LIMIT 2", []),
    ],
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


@pytest.mark.parametrize(
    ("documents", "query", "expected"),
    [pytest.param(*case, id=f"{page}-{at}") for page, cases in PAGES.items() for at, case in enumerate(cases)],
)
def test_a_clause_gives_what_its_page_says(documents: list[dict[str, Any]], query: str, expected: list[Any]) -> None:
    found = evaluate(query, documents, PARAMETERS)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


@pytest.mark.parametrize("terms", [1, 2, 900])
def test_a_group_key_of_many_terms_is_known_again_in_select(terms: int) -> None:
    key = " OR ".join(f"c.a = {term}" for term in range(terms))
    query = f"SELECT ({key}) AS found, COUNT(1) AS n FROM c GROUP BY ({key})"

    assert evaluate(query, [{"a": 0}, {"a": 0}, {"a": 9_999}]) == [{"found": True, "n": 2}, {"found": False, "n": 1}]
