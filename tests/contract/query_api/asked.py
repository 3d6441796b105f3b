"""The query API as its callers reach it, and a shop whose projector has shown everything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from labkit.gateway import Gateway
from labkit.lab import Lab
from labkit.projections.projector import Projector
from labkit.projections.query_container import QueryContainer
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Hub, Synapse
from labkit.write_model.api import command_app
from tests.contract.shop import PATIENCE_SECONDS, Shop, Side

DAY = {"from": "2026-01-05", "to": "2026-01-05"}


@contextmanager
def asking(lab: Lab, wait_at_most_seconds: float = PATIENCE_SECONDS) -> Iterator[httpx.Client]:
    """The API with the rights of its role, behind the gateway."""
    hub = Hub(lab.hub, lab.partition_ids)
    with Synapse(lab.tables_url, hub=hub) as synapse:
        container = QueryContainer(lab.container("query-model", "query"))
        query = query_app(synapse, container, lab.hub, wait_at_most_seconds=wait_at_most_seconds)
        command = command_app(Side(lab).handler)
        serving = lab.serve(Gateway(query=query, command=command))
        with httpx.Client(base_url=serving.url, timeout=60) as client:
            yield client
        serving.stop()


def projected(shop: Shop) -> Projector:
    container = QueryContainer(shop.lab.container("query-model", "projector"))
    return shop.projector(query_container=container)  # type: ignore[arg-type]


def shown_everywhere(shop: Shop, projector: Projector, token: str) -> None:
    """Wait for the tables; stopping writes the rest into the query container."""
    projector.wait_until_visible(token, PATIENCE_SECONDS)
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    projector.stop()


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["code"] == code
    assert told["detail"]
    return told
