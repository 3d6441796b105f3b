"""The embedded Azure as one asyncio server.

Owns: the four listening sockets (Cosmos DB and Event Grid over HTTP, Event Hubs over AMQP, control over HTTP; loopback
only), and the order of starting and stopping. Refuses to know: what the bytes mean.

How: uvicorn serves the HTTP ports, told apart by the port a request came in on; `amqp_transport` moves the bytes of
each AMQP connection.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from localazure.amqp_transport import Activity, AmqpTransport, receiving_room
from localazure.certificate import server_context
from localazure.control import create_control
from localazure.cosmos.app import CosmosApp, CosmosKeys, create_app
from localazure.cosmos.consistency import SESSION
from localazure.errors import HubUnusable
from localazure.eventgrid.app import create_app as create_topics
from localazure.eventgrid.service import EventGrid
from localazure.eventhubs.service import EventHubs
from localazure.fault_book import FaultBook
from localazure.http_server import GRACE_SECONDS, ByPort, HttpServer, http_config
from localazure.keys import Keys
from localazure.listening import listen_as, port_of

logger = logging.getLogger(__name__)

IDLE_CHECK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a running server listens."""

    cosmos_port: int
    eventhubs_port: int
    control_port: int
    eventgrid_port: int = 0
    """0: of a server that had none yet."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How one server is to run. Port 0: the former one, or else a free one. `idle_seconds` None: never stops.

    With `tls` all services speak TLS and nothing else; the control route stays plain. `bearer_token` is accepted by
    Cosmos DB and Event Hubs beside their keys. `consistency` is Cosmos DB's default level.
    """

    data_dir: Path
    cosmos_port: int = 0
    eventhubs_port: int = 0
    former: Endpoints | None = None
    ranges: int | None = None
    bearer_token: str | None = None
    consistency: str = SESSION
    hubs: tuple[tuple[str, int], ...] = ()
    idle_seconds: float | None = None
    tls: bool = False


class Server:
    """One embedded Azure in one event loop. `run()` serves until `stop()`.

    `ready` is called once, with the ports, when they listen; `leaving` before the first of them is closed.
    """

    def __init__(
        self,
        options: ServerOptions,
        keys: Keys,
        *,
        ready: Callable[[Endpoints], None],
        leaving: Callable[[], None],
    ) -> None:
        self._options = options
        self._keys = keys
        self._ready = ready
        self._leaving = leaving
        self._faults = FaultBook()
        self._activity = Activity()
        self._tls: ssl.SSLContext | None = None
        self._http: HttpServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Ask `run()` to finish; may be called from any thread, more than once."""
        if self._http is not None:
            self._http.should_exit = True

    async def run(self) -> None:
        """Serve.

        Raises: `PortBusy`, `TlsUnavailable`, `DataDamaged`, `OSError` and `sqlite3.Error` for a folder of no use.
        """
        loop = self._loop = asyncio.get_running_loop()
        if self._options.tls:
            self._tls = server_context(self._options.data_dir)
        sockets = self._bind()
        cosmos_socket, amqp_socket, control_socket, grid_socket = sockets
        try:
            event_hubs = EventHubs(
                self._options.data_dir,
                keys=self._keys.event_hubs,
                post=loop.call_soon_threadsafe,
                soon=loop.call_soon,
                faults=self._faults,
                bearer_token=self._options.bearer_token,
            )
            try:
                await self._serve(event_hubs, cosmos_socket, amqp_socket, control_socket, grid_socket)
            finally:
                event_hubs.close()
        finally:
            for listening in sockets:
                listening.close()

    async def _serve(
        self,
        event_hubs: EventHubs,
        cosmos_socket: socket.socket,
        amqp_socket: socket.socket,
        control: socket.socket,
        grid_socket: socket.socket,
    ) -> None:
        self._ensure_hubs(event_hubs)
        cosmos = self._create_cosmos()
        grid = self._create_event_grid()
        ports = Endpoints(port_of(cosmos_socket), port_of(amqp_socket), port_of(control), port_of(grid_socket))
        self._http = HttpServer(
            http_config(self._application(ports, event_hubs, cosmos, grid)),
            secured=[(cosmos_socket, self._tls), (grid_socket, self._tls)],
            started=lambda: self._ready(ports),
            leaving=lambda: self._leave(cosmos),
        )
        loop = asyncio.get_running_loop()
        room = receiving_room()
        amqp = await loop.create_server(
            lambda: AmqpTransport(event_hubs, self._activity, room), sock=amqp_socket, ssl=self._tls
        )
        idle = asyncio.create_task(self._stop_when_idle())
        try:
            await grid.start()
            await self._http.serve(sockets=[control])
        finally:
            idle.cancel()
            amqp.close()
            event_hubs.end_connections()
            await self._connections_ended()
            await grid.stop()
            cosmos.close()

    def _ensure_hubs(self, event_hubs: EventHubs) -> None:
        for name, partition_count in self._options.hubs:
            try:
                event_hubs.ensure_hub(name, partition_count)
            except ValueError as error:
                raise HubUnusable(name, str(error)) from error

    def _application(self, ports: Endpoints, event_hubs: EventHubs, cosmos: CosmosApp, grid: EventGrid) -> ByPort:
        control = create_control(
            token=self._keys.control_token,
            event_hubs=event_hubs,
            event_grid=grid,
            cosmos=cosmos,
            faults=self._faults,
            stop=self.stop,
        )
        services: dict[int, ASGIApp] = {
            ports.cosmos_port: cosmos,
            ports.eventgrid_port: create_topics(grid),
            ports.control_port: control,
        }
        return ByPort(services, self._activity)

    def _leave(self, cosmos: CosmosApp) -> None:
        cosmos.leave()
        self._leaving()

    async def _connections_ended(self) -> None:
        """The AMQP sockets are closed, each after its last bytes; one that does not take them is left to the system."""
        deadline = time.monotonic() + GRACE_SECONDS
        while self._activity.open_connections and time.monotonic() < deadline:  # noqa: ASYNC110 (turns of the loop)
            await asyncio.sleep(0)

    def _create_cosmos(self) -> CosmosApp:
        return create_app(
            self._options.data_dir,
            keys=CosmosKeys(read_write=self._keys.cosmos_read_write, read_only=self._keys.cosmos_read_only),
            post=asyncio.get_running_loop().call_soon_threadsafe,
            faults=self._faults,
            ranges=self._options.ranges,
            bearer_token=self._options.bearer_token,
            consistency=self._options.consistency,
        )

    def _create_event_grid(self) -> EventGrid:
        post = asyncio.get_running_loop().call_soon_threadsafe
        return EventGrid(self._options.data_dir, key_of=self._keys.topic_key, post=post, faults=self._faults)

    def _bind(self) -> tuple[socket.socket, socket.socket, socket.socket, socket.socket]:
        former = self._options.former or Endpoints(0, 0, 0)
        bound: list[socket.socket] = []
        try:
            bound.append(listen_as("Cosmos DB", self._options.cosmos_port, former.cosmos_port))
            bound.append(listen_as("Event Hubs", self._options.eventhubs_port, former.eventhubs_port))
            bound.append(listen_as("control", 0, former.control_port))
            bound.append(listen_as("Event Grid", 0, former.eventgrid_port))
        except BaseException:
            for listening in bound:
                listening.close()
            raise
        return bound[0], bound[1], bound[2], bound[3]

    async def _stop_when_idle(self) -> None:
        limit = self._options.idle_seconds
        while limit is not None:
            await asyncio.sleep(min(IDLE_CHECK_SECONDS, limit))
            if self._activity.idle_for() >= limit:
                logger.info("nobody used the embedded Azure for %.0f s; it stops", limit)
                self.stop()
                return
