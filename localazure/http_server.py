"""uvicorn as this server needs it: several ports, some with TLS, told when it listens and when it leaves.

Owns: how HTTP is served, and which application a port belongs to. Refuses to know: what the applications answer.

Gap: uvicorn speaks TLS on all of its sockets or on none; those with a context of their own are served beside its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.amqp_transport import Activity

GRACE_SECONDS = 2


class ByPort:
    """Hands a request to the application of the port it came in on."""

    def __init__(self, applications: dict[int, ASGIApp], activity: Activity) -> None:
        self._applications = applications
        self._activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._activity.touch()
        await self._applications[scope["server"][1]](scope, receive, send)


class HttpServer(uvicorn.Server):
    """uvicorn, telling when it listens, and when it is about to close its sockets. `secured`: each with its context."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        secured: Sequence[tuple[socket.socket, ssl.SSLContext | None]],
        started: Callable[[], None],
        leaving: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._secured = secured
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
        loop = asyncio.get_running_loop()
        for listening, context in self._secured:
            self.servers.append(await loop.create_server(self._protocol, sock=listening, ssl=context))
        if self.started:
            self._tell()

    def _protocol(self) -> asyncio.Protocol:
        make = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]


def http_config(application: ASGIApp) -> uvicorn.Config:
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
