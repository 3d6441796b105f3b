"""What the handler knows without any container: payload hashes, and contexts that events can carry."""

from __future__ import annotations

from decimal import Decimal

import pytest

from labkit.write_model.handler import Context
from labkit.write_model.orders import CancelOrder, CreateOrder, Item, UpdateOrder
from labkit.write_model.receipts import payload_hash

ID = "order-20260105-0001"


def priced(price: str) -> UpdateOrder:
    return UpdateOrder(ID, (Item("tea", 1, Decimal(price)),))


@pytest.mark.parametrize(("one", "other"), [("4.2", "4.20"), ("10", "1E+1"), ("0", "-0.00"), ("5", "5.000")])
def test_equal_commands_have_one_hash_however_their_prices_are_written(one: str, other: str) -> None:
    assert priced(one) == priced(other)
    assert payload_hash(priced(one)) == payload_hash(priced(other))


def test_other_commands_have_other_hashes_however_small_the_difference() -> None:
    prices = ("4.2", "4.205", "4.21", "4.2000000000000000000000000000000001", "NaN", "Infinity")
    create = CreateOrder(ID, "customer-1", priced("4.2").items)
    assert len({*(payload_hash(priced(price)) for price in prices), payload_hash(create)}) == len(prices) + 1


def test_a_command_that_is_refused_for_half_a_surrogate_pair_has_a_hash_all_the_same() -> None:
    assert payload_hash(CancelOrder(ID, "\ud800")) != payload_hash(CancelOrder(ID, "\ud801"))


@pytest.mark.parametrize("field", ["correlation_id", "causation_id", "user_id", "source", "traceparent"])
@pytest.mark.parametrize("text", ["x" * 501, "\ud800"])
def test_a_context_that_no_event_could_carry_cannot_be_made(field: str, text: str) -> None:
    with pytest.raises(ValueError, match=field):
        Context("key", **{field: text})
