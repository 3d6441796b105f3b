"""The account without HTTP: requests go straight to the endpoints, under a clock that a test sets."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from localazure.cosmos import routes, wire
from localazure.cosmos.account import Account
from localazure.cosmos.endpoints import ResourceEndpoints
from localazure.cosmos.errors import CosmosError
from localazure.cosmos.item_endpoints import ItemEndpoints
from localazure.cosmos.wire import Request

ITEMS = "/dbs/d/colls/items"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: Any


@dataclass
class Driver:
    """One account in `folder` with the container `/dbs/d/colls/items`, partitioned by `/pk`."""

    folder: Path
    ranges: int | None = None
    time: float = 1_750_000_000.0
    container: dict[str, Any] = field(default_factory=dict)
    lag: float | None = None

    def __post_init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._open()
        assert self.call("POST", "/dbs", {"id": "d"}).status == 201
        definition = {"id": "items", "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}, "defaultTtl": -1}
        assert self.call("POST", "/dbs/d/colls", {**definition, **self.container}).status == 201

    def _open(self) -> None:
        self.account = Account(
            self.folder,
            self.loop.call_soon_threadsafe,
            fixed_ranges=self.ranges,
            now=lambda: self.time,
            second_region_lag=lambda: self.lag,
        )
        self._endpoints = (ItemEndpoints(self.account), ResourceEndpoints(self.account))

    def restart(self) -> None:
        self.account.close()
        self._open()

    def close(self) -> None:
        self.account.close()
        self.loop.close()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """`headers` by names with underscores; `key=` is the partition key value, as JSON."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        if "key" in told:
            told["x-ms-documentdb-partitionkey"] = f"[{told.pop('key')}]"
        text = b"" if body is None else json.dumps(body).encode()
        request = Request(method, tuple(path.strip("/").split("/")), told, text)
        try:
            operation = routes.operation_of(routes.route_of(request), request)
            items, resources = self._endpoints
            endpoint = getattr(items, operation, None) or getattr(resources, operation)
            response = self.loop.run_until_complete(endpoint(request))
        except CosmosError as error:
            response = wire.refusal(error, request)
        return Answer(response.status, response.headers, json.loads(response.body) if response.body else None)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    driver = Driver(tmp_path)
    yield driver
    driver.close()


@pytest.fixture
def make_driver() -> Callable[..., Driver]:
    """For state machines, which make one account per example."""
    return lambda **settings: Driver(Path(tempfile.mkdtemp()), **settings)
