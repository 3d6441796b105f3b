"""Prices from the documented table, and what a second's budget lets through."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localazure.cosmos import charges
from localazure.cosmos.errors import TooManyRequests
from localazure.cosmos.throttling import Throttle


@pytest.mark.parametrize(
    ("size_kb", "read_ru", "write_ru"), [(1, 1.0, 4.95), (16, 1.67, 9.52), (256, 20.28, 98.29), (2048, 291.8, 1250.0)]
)
def test_a_size_of_the_table_costs_what_the_table_says(size_kb: int, read_ru: float, write_ru: float) -> None:
    assert charges.point_read(size_kb * 1024) == read_ru
    assert charges.point_write(size_kb * 1024) == write_ru


def test_between_two_sizes_the_price_lies_on_a_line() -> None:
    assert charges.point_write(3 * 1024) == pytest.approx((6.29 + 6.67) / 2, abs=0.005)
    assert charges.point_read(100) == 1.0


@given(st.integers(0, 2**21), st.integers(0, 2**21))
def test_more_bytes_never_cost_less(one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert charges.point_read(small) <= charges.point_read(large)
    assert charges.point_write(small) <= charges.point_write(large)


@pytest.mark.parametrize(("level", "factor"), [("Strong", 2), ("BoundedStaleness", 2), ("Session", 1), (None, 1)])
def test_the_two_strict_levels_double_reads(level: str | None, factor: int) -> None:
    assert charges.point_read(64 * 1024, level) == round(4.76 * factor, 2)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_budget_is_used_up_and_fills_again_with_time() -> None:
    clock = Clock()
    budgets = Throttle(clock).of("c", 100.0)
    spent = 0.0
    while spent < 100:
        budgets.admit(["0"])
        budgets.spend(["0"], 4.95)
        spent += 4.95
    with pytest.raises(TooManyRequests) as caught:
        budgets.admit(["0"])
    assert (caught.value.status, caught.value.substatus) == (429, 3200)
    assert caught.value.retry_after_ms is not None
    budgets.admit(["1"])
    clock.now += caught.value.retry_after_ms / 1000
    budgets.admit(["0"])


def test_an_idle_partition_saves_up_one_second_at_most() -> None:
    clock = Clock()
    budgets = Throttle(clock).of("c", 100.0)
    budgets.spend(["0"], 50.0)
    clock.now += 3600
    budgets.spend(["0"], 101.0)
    with pytest.raises(TooManyRequests):
        budgets.admit(["0"])


def test_what_several_partitions_served_is_taken_from_each_in_equal_parts() -> None:
    throttle = Throttle(Clock())
    throttle.of("c", 100.0).spend(["0", "1"], 150.0)
    throttle.of("c", 100.0).admit(["0", "1"])
    throttle.of("c", 100.0).spend(["1"], 25.0)
    throttle.of("c", 100.0).admit(["0"])
    with pytest.raises(TooManyRequests):
        throttle.of("c", 100.0).admit(["0", "1"])
