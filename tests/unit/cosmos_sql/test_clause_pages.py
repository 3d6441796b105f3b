# ruff: noqa: E501 (a query stays on its line, as one would paste it)
"""The clauses of a query, page by page: (documents, query, expected).

Each key is the last part of the page's address, learn.microsoft.com/azure/cosmos-db/nosql/query/<key>; the pages' own
examples are among the cases, their data shortened.
"""

from __future__ import annotations

import pytest

from localazure.cosmos.sql import evaluate
from tests.unit.cosmos_sql.documented import PRODUCTS, Case, assert_gives, each_case

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

PAGES: dict[str, list[Case]] = {
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
}


@pytest.mark.parametrize("case", each_case(PAGES))
def test_a_clause_gives_what_its_page_says(case: Case) -> None:
    assert_gives(case)


@pytest.mark.parametrize("terms", [1, 2, 900])
def test_a_group_key_of_many_terms_is_known_again_in_select(terms: int) -> None:
    key = " OR ".join(f"c.a = {term}" for term in range(terms))
    query = f"SELECT ({key}) AS found, COUNT(1) AS n FROM c GROUP BY ({key})"

    assert evaluate(query, [{"a": 0}, {"a": 0}, {"a": 9_999}]) == [{"found": True, "n": 2}, {"found": False, "n": 1}]
