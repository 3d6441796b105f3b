"""The table of addresses: every one has an endpoint, and faults know every operation by name."""

from __future__ import annotations

from typing import Any

import pytest

from localazure.cosmos.endpoints import ResourceEndpoints
from localazure.cosmos.item_endpoints import ItemEndpoints
from localazure.cosmos.routes import QUERY_OF_FEED, ROUTES
from localazure.fault_kinds import UnknownFault
from localazure.faults import COSMOS_OPERATIONS, CosmosFaults

TOLD_APART_BY_HEADERS = {"batch", "upsert", "change_feed"}


def test_every_operation_has_an_endpoint_and_a_name_that_faults_know() -> None:
    operations = {route.endpoint for route in ROUTES} | set(QUERY_OF_FEED.values()) | TOLD_APART_BY_HEADERS
    assert operations == COSMOS_OPERATIONS
    for operation in operations:
        assert hasattr(ItemEndpoints, operation) or hasattr(ResourceEndpoints, operation), operation


def test_a_fault_for_an_operation_that_does_not_exist_is_refused_before_it_is_armed() -> None:
    def control(*_: Any) -> Any:
        raise AssertionError("nothing may be armed")

    with pytest.raises(UnknownFault, match="change_feed"):
        CosmosFaults(control).delay(5, operation="changefeed")
