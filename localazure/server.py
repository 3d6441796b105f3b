"""The embedded Azure as one asyncio server: the only module that touches sockets.

Owns: the three listening sockets (Cosmos DB over HTTP, Event Hubs over AMQP, control over HTTP; loopback only), the
event loop's part of each connection, and the order of starting and stopping. Refuses to know: what the bytes mean.

How: uvicorn serves both HTTP ports, told apart by the port a request came in on; each AMQP connection is an
`asyncio.Protocol` that moves bytes to and from a sans-IO `Doorway` and asks it for the time it wants to be woken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.control import create_control
from localazure.cosmos.app import CosmosApp, CosmosKeys, create_app
from localazure.errors import HubUnusable, PortBusy
from localazure.eventhubs.doorway import Doorway
from localazure.eventhubs.service import EventHubs
from localazure.faults import FaultBook
from localazure.keys import Keys

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 2
IDLE_CHECK_SECONDS = 5.0
FORMER_PORT_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a running server listens."""

    cosmos_port: int
    eventhubs_port: int
    control_port: int


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How one server is to run. Port 0: the former one if it is free, else any. `idle_seconds` None: never stops."""

    data_dir: Path
    cosmos_port: int = 0
    eventhubs_port: int = 0
    former: Endpoints | None = None
    ranges: int | None = None
    bearer_token: str | None = None
    hubs: tuple[tuple[str, int], ...] = ()
    idle_seconds: float | None = None


@dataclass(slots=True)
class Activity:
    """When somebody last used the server, and how many AMQP connections are open: what idling is judged by."""

    last_used: float = field(default_factory=time.monotonic)
    open_connections: int = 0

    def touch(self) -> None:
        self.last_used = time.monotonic()

    def idle_for(self) -> float:
        """Seconds; 0 while an AMQP connection is open."""
        return 0.0 if self.open_connections else time.monotonic() - self.last_used


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
        self._http: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Ask `run()` to finish; may be called from any thread, more than once."""
        if self._http is not None:
            self._http.should_exit = True

    async def run(self) -> None:
        """Serve. Raises: `PortBusy`, `OSError` and `sqlite3.Error` for a data folder that cannot be used."""
        loop = self._loop = asyncio.get_running_loop()
        sockets = self._bind()
        cosmos_socket, amqp_socket, control_socket = sockets
        try:
            event_hubs = EventHubs(
                self._options.data_dir,
                keys=self._keys.event_hubs,
                post=loop.call_soon_threadsafe,
                faults=self._faults,
                bearer_token=self._options.bearer_token,
            )
            try:
                await self._serve(event_hubs, cosmos_socket, amqp_socket, control_socket)
            finally:
                event_hubs.close()
        finally:
            for listening in sockets:
                listening.close()

    async def _serve(
        self, event_hubs: EventHubs, cosmos_socket: socket.socket, amqp_socket: socket.socket, control: socket.socket
    ) -> None:
        for name, partition_count in self._options.hubs:
            try:
                event_hubs.ensure_hub(name, partition_count)
            except ValueError as error:
                raise HubUnusable(name, str(error)) from error
        cosmos = self._create_cosmos()
        ports = Endpoints(_port(cosmos_socket), _port(amqp_socket), _port(control))
        application = _ByPort(
            {
                ports.cosmos_port: cosmos,
                ports.control_port: create_control(
                    token=self._keys.control_token,
                    event_hubs=event_hubs,
                    cosmos=cosmos,
                    faults=self._faults,
                    stop=self.stop,
                ),
            },
            self._activity,
        )
        self._http = _HttpServer(_http_config(application), started=lambda: self._ready(ports), leaving=self._leaving)
        loop = asyncio.get_running_loop()
        amqp = await loop.create_server(lambda: _AmqpProtocol(event_hubs, self._activity), sock=amqp_socket)
        idle = asyncio.create_task(self._stop_when_idle())
        try:
            await self._http.serve(sockets=[cosmos_socket, control])
        finally:
            idle.cancel()
            amqp.close()
            event_hubs.end_connections()
            await self._connections_ended()
            cosmos.close()

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
        )

    def _bind(self) -> tuple[socket.socket, socket.socket, socket.socket]:
        former = self._options.former or Endpoints(0, 0, 0)
        bound: list[socket.socket] = []
        try:
            bound.append(_listen_as("Cosmos DB", self._options.cosmos_port, former.cosmos_port))
            bound.append(_listen_as("Event Hubs", self._options.eventhubs_port, former.eventhubs_port))
            bound.append(_listen_as("control", 0, former.control_port))
        except BaseException:
            for listening in bound:
                listening.close()
            raise
        return bound[0], bound[1], bound[2]

    async def _stop_when_idle(self) -> None:
        limit = self._options.idle_seconds
        while limit is not None:
            await asyncio.sleep(min(IDLE_CHECK_SECONDS, limit))
            if self._activity.idle_for() >= limit:
                logger.info("nobody used the embedded Azure for %.0f s; it stops", limit)
                self.stop()
                return


class _AmqpProtocol(asyncio.Protocol):
    """Moves bytes between one TCP connection and one sans-IO `Doorway`."""

    def __init__(self, event_hubs: EventHubs, activity: Activity) -> None:
        self._event_hubs = event_hubs
        self._activity = activity
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._connection: Doorway
        self._timer: asyncio.TimerHandle | None = None
        self._flush_planned = False
        self._paused = False
        self._busy = False
        self._lost = False
        self._spoke = False
        """Whether anything came in yet: a connection that only stands there is no use of the server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connection = self._event_hubs.connect(self._wake)

    def data_received(self, data: bytes) -> None:
        self._activity.touch()
        if not self._spoke:
            self._spoke = True
            self._activity.open_connections += 1
        self._guarded(self._connection.receive_bytes, data)
        self._flush()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    def connection_lost(self, _: Exception | None) -> None:
        self._lost = True
        self._activity.open_connections -= self._spoke
        self._activity.touch()
        if self._timer is not None:
            self._timer.cancel()
        self._connection.connection_lost()

    def _wake(self) -> None:
        """Send at once, but not from within a call on the same connection: then in the loop's next turn."""
        if self._lost or self._flush_planned:
            return
        if self._busy:
            self._flush_planned = True
            self._loop.call_soon(self._flush)
        else:
            self._flush()

    def _flush(self) -> None:
        self._flush_planned = False
        if self._lost:
            return
        if self._connection.aborted:
            self._transport.abort()
            return
        if self._paused:
            return
        output = self._guarded(self._connection.data_to_send)
        if output:
            self._transport.write(output)
        if self._connection.closed:
            self._transport.close()
        else:
            self._plan_tick()

    def _plan_tick(self) -> None:
        """Have the connection woken at the time it wants, if that is sooner than what is planned."""
        now = time.time()
        wanted = self._guarded(self._connection.tick, now)
        if wanted is None:
            return
        when = self._loop.time() + max(0.0, wanted - now)
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._guarded(self._connection.tick, time.time())
        self._flush()

    def _guarded(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """A call on the connection, within which `wake` does not send."""
        self._busy = True
        try:
            return call(*arguments, **named)
        finally:
            self._busy = False


class _ByPort:
    """Hands a request to the application of the port it came in on."""

    def __init__(self, applications: dict[int, ASGIApp], activity: Activity) -> None:
        self._applications = applications
        self._activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._activity.touch()
        await self._applications[scope["server"][1]](scope, receive, send)


class _HttpServer(uvicorn.Server):
    """uvicorn, telling when it listens, and when it is about to close its sockets."""

    def __init__(self, config: uvicorn.Config, *, started: Callable[[], None], leaving: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started
        self._leaving = leaving

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leaving()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal ends the serving and nothing else: uvicorn would raise it again, before files are closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = ("SIGINT", "SIGTERM", "SIGBREAK")
        signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
        former = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()


def _http_config(application: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="asyncio",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=300,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _listen_as(service: str, asked: int, former: int) -> socket.socket:
    """On the port asked for, or else the former one, or else any. Raises: `PortBusy` for the first only."""
    try:
        return _listen(asked or former, retry_seconds=0.0 if asked else FORMER_PORT_RETRY_SECONDS)
    except OSError as error:
        if asked:
            raise PortBusy(service, asked) from error
        logger.warning("port %d, which %s had before, is taken; clients of before have to reconnect", former, service)
        return _listen(0)


def _listen(port: int, retry_seconds: float = 0.0) -> socket.socket:
    """A listening loopback socket. Raises: `OSError` when the port stays busy for so long."""
    deadline = time.monotonic() + retry_seconds
    while True:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((LOOPBACK, port))
            listening.listen(512)
            listening.setblocking(False)
        except OSError:
            listening.close()
            if port == 0 or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return listening


def _port(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])
