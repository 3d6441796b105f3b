"""The committed schemas: true to the code, and never changed so that an event once written is refused.

When a type gets a new schema version, `python tests/unit/events/test_schemas.py` writes the file that is missing. It
touches no other: what has been written once stays readable for ever.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from labkit.events.envelope import AGGREGATE_TYPES, CATALOGUE, FIELDS, EventEnvelope, from_json
from labkit.write_model.orders import EVENTS, event_from

SCHEMAS = Path(__file__).resolve().parents[3] / "labkit" / "events" / "schemas"
Name = tuple[str, int]

ITEMS_1 = [{"productId": "tea", "quantity": 3, "price": 12.1}, {"productId": "cup", "quantity": 1, "price": 9}]
ITEMS_2 = [{"productId": "tea", "quantity": 3, "unitPrice": "12.10"}]
WRITTEN: Mapping[Name, dict[str, Any]] = {
    ("CustomerRegistered", 1): {"name": "Ada"},
    ("OrderCreated", 1): {"customerId": "customer-1", "items": ITEMS_1},
    ("OrderCreated", 2): {"customerId": "customer-1", "items": ITEMS_2, "total": "36.30"},
    ("OrderUpdated", 1): {"items": ITEMS_1},
    ("OrderUpdated", 2): {"items": ITEMS_2, "total": "36.30"},
    ("OrderPaid", 1): {},
    ("OrderShipped", 1): {},
    ("OrderCancelled", 1): {"reason": "changed my mind"},
}
"""Data as each version wrote it. History: lines are added, never changed."""

EVERY = sorted((kind, version) for kind, newest in CATALOGUE.items() for version in range(1, newest + 1))


def schema(name: Name) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name[0]}.v{name[1]}.json").read_text(encoding="utf-8"))
    return found


def as_the_code_says(kind: str) -> dict[str, Any]:
    """The JSON Schema of an event of this type as it is written today."""
    (_, data), parts = msgspec.json.schema_components((EventEnvelope, EVENTS[kind]), ref_template="#/$defs/{name}")
    envelope = parts.pop(EventEnvelope.__name__)
    said = {"eventType": kind, "aggregateType": AGGREGATE_TYPES[kind], "schemaVersion": CATALOGUE[kind]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{kind}, schema version {CATALOGUE[kind]}",
        "type": "object",
        "properties": {**envelope["properties"], **{name: {"const": one} for name, one in said.items()}, "data": data},
        "required": envelope["required"],
        "$defs": parts,
    }


def document(name: Name, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "eventId": "0e8f0a3e-6c0f-5b8e-9f57-5f3ad8a4f6c1",
        "eventType": name[0],
        "aggregateId": "order-20260105-0001",
        "aggregateType": AGGREGATE_TYPES[name[0]],
        "version": 1,
        "timestamp": "2026-01-05T09:00:00Z",
        "correlationId": "visit-1",
        "causationId": "k-1",
        "data": WRITTEN[name] if data is None else data,
        "metadata": {"userId": "ada"},
        "schemaVersion": name[1],
    }


def accepts(schema: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    return bool(Draft202012Validator(schema).is_valid(document))


def test_every_version_of_every_event_has_its_schema_and_nothing_else_has() -> None:
    assert sorted(path.name for path in SCHEMAS.iterdir()) == sorted(f"{kind}.v{n}.json" for kind, n in EVERY)
    assert sorted(WRITTEN) == EVERY


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_the_newest_schema_is_what_the_code_says(kind: str) -> None:
    assert schema((kind, CATALOGUE[kind])) == as_the_code_says(kind)


@pytest.mark.parametrize("name", EVERY)
def test_a_schema_is_one_and_describes_the_eleven_fields_and_its_own_version_only(name: Name) -> None:
    found = schema(name)
    Draft202012Validator.check_schema(found)
    assert set(found["properties"]) == set(found["required"]) == set(FIELDS)
    assert [other for other in EVERY if accepts(found, document(other))] == [name]


@pytest.mark.parametrize("name", EVERY)
def test_what_was_written_once_is_of_its_schema_and_is_read_as_the_newest(name: Name) -> None:
    assert accepts(schema(name), document(name))
    assert_read_as_the_newest(name, document(name))


def assert_read_as_the_newest(name: Name, written: Mapping[str, Any]) -> None:
    event = from_json(json.dumps(written).encode())
    newest = CATALOGUE[name[0]]
    assert event.schema_version == newest
    assert accepts(schema((name[0], newest)), {**written, "data": event.data, "schemaVersion": newest})
    assert type(event_from(event.event_type, event.data)) is EVENTS[name[0]]


def broken(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schema after each edit of a kind that refuses what was allowed: another type, or one more field required."""

    def walk(here: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(here, dict):
            for name, part in here.items():
                yield from walk(part, (*path, name))
            if "type" in here and path and path[-1] != "properties":
                another = "boolean" if here["type"] != "boolean" else "string"
                yield f"{path}: {here['type']} -> {another}", edited(path, {"type": another})
            if isinstance(here.get("required"), list) or here.get("properties") == {}:
                yield f"{path}: one more required", edited(path, {"required": [*here.get("required", []), "added"]})

    def edited(path: tuple[str | int, ...], change: Mapping[str, Any]) -> dict[str, Any]:
        whole = copy.deepcopy(schema)
        part: Any = whole
        for step in path:
            part = part[step]
        part.update(change)
        return whole

    yield from walk(schema, ())


@pytest.mark.parametrize("name", EVERY)
def test_an_edit_that_refuses_what_was_once_allowed_is_found(name: Name) -> None:
    edits = list(broken(schema(name)))
    assert len(edits) > len(FIELDS) - 3
    survived = [edit for edit, after in edits if accepts(after, document(name))]
    assert survived == []


prices = st.decimals(Decimal(0), Decimal("1000000.00"), places=2)
words = st.text(min_size=1, max_size=20)
items_1 = st.lists(
    st.fixed_dictionaries({"productId": words, "quantity": st.integers(1, 10_000), "price": prices.map(float)}),
    max_size=5,
)
items_2 = st.lists(
    st.fixed_dictionaries({"productId": words, "quantity": st.integers(1, 10_000), "unitPrice": prices.map(str)}),
    max_size=5,
)
OLD: Mapping[Name, st.SearchStrategy[dict[str, Any]]] = {
    ("CustomerRegistered", 1): st.fixed_dictionaries({"name": words}),
    ("OrderCreated", 1): st.fixed_dictionaries({"customerId": words, "items": items_1}),
    ("OrderCreated", 2): st.fixed_dictionaries({"customerId": words, "items": items_2, "total": prices.map(str)}),
    ("OrderUpdated", 1): st.fixed_dictionaries({"items": items_1}),
    ("OrderUpdated", 2): st.fixed_dictionaries({"items": items_2, "total": prices.map(str)}),
    ("OrderPaid", 1): st.just({}),
    ("OrderShipped", 1): st.just({}),
    ("OrderCancelled", 1): st.fixed_dictionaries({"reason": st.text(max_size=20)}),
}


@given(st.sampled_from(EVERY).flatmap(lambda name: OLD[name].map(lambda data: (name, data))))
def test_every_document_of_every_version_is_read_as_the_newest(made: tuple[Name, dict[str, Any]]) -> None:
    name, data = made
    later = {**data, "addedLater": "readers skip what they do not know"}
    for one in (document(name, data), document(name, later)):
        assert accepts(schema(name), one)
        assert_read_as_the_newest(name, one)


if __name__ == "__main__":
    for kind, newest in CATALOGUE.items():
        file = SCHEMAS / f"{kind}.v{newest}.json"
        if not file.exists():
            file.write_text(json.dumps(as_the_code_says(kind), indent=2) + "\n", encoding="utf-8")
