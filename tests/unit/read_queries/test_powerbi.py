"""The .pbids file for Power BI: in the documented form, and for the database and the views that sql/ makes."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from labkit.read_queries.synapse import SQL_FOLDER

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "powerbi"
PBIDS = json.loads((FOLDER / "read_models.pbids").read_text(encoding="utf-8"))
SCHEMA = json.loads((FOLDER / "pbids.schema.json").read_text(encoding="utf-8"))


def test_it_has_the_documented_form() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(PBIDS, SCHEMA)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("version",), "1.0"),
        (("connections",), []),
        (("connections",), PBIDS["connections"] * 2),
        (("connections", 0, "mode"), "Live"),
        (("connections", 0, "details", "protocol"), "sql"),
        (("connections", 0, "details", "address"), {"database": "read_models"}),
        (("connections", 0, "details", "authentication"), {"password": "x"}),
    ],
)
def test_another_form_is_noticed(place: tuple[Any, ...], value: object) -> None:
    other = copy.deepcopy(PBIDS)
    *way, last = place
    at = other
    for step in way:
        at = at[step]
    at[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(other, SCHEMA)


def test_it_opens_the_database_that_the_views_are_deployed_to_and_holds_no_name_of_anybodys() -> None:
    address = PBIDS["connections"][0]["details"]["address"]
    made = re.search(r"CREATE DATABASE (\w+)", (SQL_FOLDER / "README.md").read_text(encoding="utf-8"))
    assert made is not None
    assert address["database"] == made[1]
    assert address["server"].startswith("WORKSPACE-ondemand.")


def test_its_page_names_every_view_and_no_other() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(dbo\.\w+)`", page)) == {path.stem for path in SQL_FOLDER.glob("*.sql")}
