"""An ASGI app on the loopback interface, on a thread of this process: for notebooks and tests.

Owns: the listening socket (any free port, and the same one when it is started again) and the thread. A thread ends with
the kernel, so nothing is left behind.
"""

from __future__ import annotations

import socket
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from labkit.worker import Worker

LOOPBACK: Final = "127.0.0.1"
STOP_WITHIN_SECONDS: Final = 5
"""Requests under way have this long to end when it stops."""


class Serving(Worker):
    """`start` and `stop` it; `url` is where it listens, from the first start on, `error` what ended the thread."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__("serving")
        self._port = 0
        self._config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_WITHIN_SECONDS,
        )

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    def start(self) -> None:
        """Raises: `OSError` if somebody else has the port by now."""
        super().start()
        if self.error is not None:
            raise self.error

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """End the requests under way, then the thread; stopping twice is fine.

        Raises: what had ended it before; `NotYet` if it takes longer.
        """
        if self.running:
            self._server.should_exit = True
        super().stop(timeout_seconds)
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        with socket.create_server((LOOPBACK, self._port)) as listening:
            # asyncio does it only for a socket that names its protocol: a body would wait 40 ms for its header's ACK
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._port = listening.getsockname()[1]
            self._server = uvicorn.Server(self._config)
            self._ready.set()  # the socket listens already: requests wait for the thread
            self._server.run(sockets=[listening])
