"""Throughput units: what a second lets in and out, and what the next second gives back."""

from __future__ import annotations

from localazure.eventhubs.throughput import Meter


def test_a_unit_takes_in_a_thousand_events_a_second() -> None:
    meter = Meter(1, now=0.0)
    assert all(meter.take_in(100, 100, 0.0) for _ in range(10))
    assert not meter.take_in(100, 1, 0.0)
    assert meter.take_in(100, 100, 0.1)
    assert not meter.take_in(100, 1, 0.1)


def test_a_unit_takes_in_a_mebibyte_a_second_and_a_large_publication_is_paid_later() -> None:
    meter = Meter(1, now=0.0)
    assert meter.take_in(1_000_000, 1, 0.0)
    assert meter.take_in(1_000_000, 1, 0.0)
    assert not meter.take_in(1, 1, 0.5)
    assert meter.take_in(1, 1, 1.0)


def test_units_multiply_and_an_idle_hour_saves_no_more_than_a_second() -> None:
    meter = Meter(3, now=0.0)
    assert meter.take_in(10, 3_000, 3_600.0)
    assert not meter.take_in(10, 1, 3_600.0)


def test_a_unit_gives_out_two_mebibytes_or_4096_events_a_second() -> None:
    meter = Meter(1, now=0.0)
    assert meter.egress_bytes(0.0) == 2_097_152
    for _ in range(4_096):
        meter.give_out(10)
    assert meter.egress_bytes(0.0) == 0
    assert meter.egress_bytes(1.0) == 2_097_152
    meter.give_out(2_097_152)
    assert meter.egress_bytes(1.0) == 0
