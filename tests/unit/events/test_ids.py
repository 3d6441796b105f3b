"""Ids are derived, so that a repeated event is the same event."""

from __future__ import annotations

from datetime import date

import pytest

from labkit.events import ids


def test_the_same_aggregate_and_version_always_give_the_same_event_id() -> None:
    assert ids.event_id("order-20260105-0001", 3) == ids.event_id("order-20260105-0001", 3)
    assert ids.event_id("order-20260105-0001", 1) == "95134112-b07e-5adf-baab-e15881bdf90f"


def test_another_version_or_another_aggregate_gives_another_event_id() -> None:
    made = {ids.event_id(aggregate, version) for aggregate in ("a", "b", "a@1") for version in range(1, 50)}
    assert len(made) == 3 * 49


def test_the_day_of_an_order_is_read_from_its_id() -> None:
    assert ids.order_day(ids.order_id(date(2026, 1, 5), "0001")) == date(2026, 1, 5)


@pytest.mark.parametrize(
    "text",
    [
        "order-20260230-x",
        "order-2026015-x",
        "order-20260105",
        "order-20260105-",
        "customer-1",
        "",
        "order-20260105-a/b",
    ],
)
def test_an_id_without_a_day_is_no_order_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"day|no order id"):
        ids.order_day(text)


@pytest.mark.parametrize("suffix", ["", "a b", "a/b", "-a", "é", "x" * 64])
def test_a_suffix_is_a_plain_word(suffix: str) -> None:
    with pytest.raises(ValueError, match="cannot end an order id"):
        ids.order_id(date(2026, 1, 5), suffix)


def test_a_token_names_an_aggregate_and_its_version() -> None:
    assert ids.parse_token(ids.token("order-20260105-0001", 12)) == ("order-20260105-0001", 12)
    assert ids.parse_token("odd@id@2") == ("odd@id", 2)


@pytest.mark.parametrize("text", ["", "@1", "order-1", "order-1@", "order-1@0", "order-1@-1", "order-1@x", "order-1@²"])
def test_anything_else_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match="is no token"):
        ids.parse_token(text)
