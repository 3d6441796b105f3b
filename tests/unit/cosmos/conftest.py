"""The account without HTTP: requests go straight to the endpoints, under a clock that a test sets."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from localazure.cosmos import routes, wire
from localazure.cosmos.account import Account
from localazure.cosmos.app import CosmosKeys, create_app
from localazure.cosmos.endpoints import ResourceEndpoints
from localazure.cosmos.errors import CosmosError, MethodNotAllowed, NotFound
from localazure.cosmos.item_endpoints import ItemEndpoints
from localazure.cosmos.wire import Request
from localazure.fault_book import FaultBook

ITEMS = "/dbs/d/colls/items"
KEY = b"k" * 64


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


class Line(asyncio.Transport):
    """One connection of a client; `closed` once the server has cut it."""

    def __init__(self) -> None:
        super().__init__()
        self.transport = self
        self.closed = False
        self.answer: dict[str, Any] = {}

    def abort(self) -> None:
        self.closed = True

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.answer |= message


@dataclass
class Front:
    """The whole account behind its ASGI edge, with a database `d`, under clocks that a test sets."""

    NO_ROUTE = (NotFound, MethodNotAllowed)
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    time: float = 1_750_000_000.0
    clock: float = 0.0

    def __post_init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder.mkdir()
        self.faults = FaultBook()
        self.app = create_app(
            self.folder,
            keys=CosmosKeys(base64.b64encode(KEY).decode(), base64.b64encode(KEY).decode()),
            post=self.loop.call_soon_threadsafe,
            faults=self.faults,
            now=lambda: self.time,
            clock=lambda: self.clock,
            **self.settings,
        )
        assert self.call("POST", "/dbs", {"id": "d"}).status == 201

    def close(self) -> None:
        self.app.close()
        self.loop.close()

    def container(self, name: str = "items", **headers: str) -> None:
        definition = {"id": name, "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}}
        assert self.call("POST", "/dbs/d/colls", definition, **headers).status == 201

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """As `Driver.call`."""
        return self.loop.run_until_complete(self.ask(self.line(), method, path, body, **headers))

    def _signature(self, request: Request) -> dict[str, str]:
        signed, date = routes.signed(routes.route_of(request), request), formatdate(self.time, usegmt=True)
        payload = f"{signed.verb.lower()}\n{signed.resource_type}\n{signed.link}\n{date.lower()}\n\n".encode()
        digest = base64.b64encode(hmac.digest(KEY, payload, "sha256")).decode()
        return {"x-ms-date": date, "authorization": quote(f"type=master&ver=1.0&sig={digest}", safe="")}

    def line(self) -> Line:
        """A new connection."""
        return Line()

    async def ask(self, line: Line, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """On a connection of the caller's; status 0 where it was cut instead of answered."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        if "key" in told:
            told["x-ms-documentdb-partitionkey"] = f"[{told.pop('key')}]"
        text = b"" if body is None else json.dumps(body).encode()

        told |= self._signature(Request(method, tuple(path.strip("/").split("/")), told, text))

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": text, "more_body": False}

        lines = [(name.encode(), value.encode()) for name, value in told.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": lines, "scheme": "http"}
        await self.app(scope, receive, line.send)
        if line.closed:
            return Answer(0, {}, None)
        found = {name.decode(): value.decode() for name, value in line.answer["headers"]}
        content = json.loads(line.answer["body"]) if line.answer["body"] else None
        return Answer(line.answer["status"], found, content)


@pytest.fixture
def make_front(tmp_path: Path) -> Iterator[Callable[..., Front]]:
    """Makes an account with these settings of `create_app`."""
    made: list[Front] = []

    def make(**settings: Any) -> Front:
        made.append(Front(tmp_path / str(len(made)), settings))
        return made[-1]

    yield make
    for front in made:
        front.close()


@pytest.fixture
def front(make_front: Callable[..., Front]) -> Front:
    return make_front()
