"""The control route: whom it answers, and which hubs and faults it takes."""

from __future__ import annotations

import pytest

import localazure
from localazure.errors import (
    ControlRefused,
)
from localazure.handle import ControlClient


def test_the_control_route_refuses_a_wrong_token(azure: localazure.LocalAzure) -> None:
    with pytest.raises(ControlRefused, match="token") as refusal:
        ControlClient(azure.control.port, "wrong")("POST", "/stop")
    assert refusal.value.status == 401


@pytest.mark.parametrize(
    "body",
    [
        {"service": "cosmos", "kind": "no_such_fault", "times": 1, "where": {}, "values": {}},
        {"service": "no_such_service", "kind": "respond", "times": 1, "where": {}, "values": {}},
        {"service": "cosmos", "kind": "respond", "times": 0, "where": {}, "values": {}},
        {"service": "cosmos"},
    ],
)
def test_the_control_route_refuses_a_fault_that_does_not_exist(azure: localazure.LocalAzure, body: object) -> None:
    with pytest.raises(ControlRefused) as refusal:
        azure.control("POST", "/faults", body)  # type: ignore[arg-type]
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "partition_count": 2.9},
        {"name": "x", "partition_count": True},
        {"name": "x", "partition_count": 1, "consumer_groups": "abc"},
        {"name": "x", "partition_count": 1, "consumer_groups": [1]},
        {"name": 1, "partition_count": 1},
        {"partition_count": 1},
    ],
)
def test_the_control_route_refuses_what_is_no_hub(azure: localazure.LocalAzure, body: dict[str, object]) -> None:
    with pytest.raises(ControlRefused) as refusal:
        azure.control("POST", "/hubs", body)
    assert refusal.value.status == 400


def test_clearing_a_fault_says_how_often_it_struck(own_azure: localazure.LocalAzure) -> None:
    fault = own_azure.faults.event_hubs.drop_connection()
    assert fault.clear() == 0
    with pytest.raises(LookupError):
        fault.clear()
