"""An ASGI app on the loopback interface, on a thread of this process: for notebooks and tests.

Owns: the listening socket (any free port) and the thread. A thread ends with the kernel, so nothing is left behind.
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
    """`start` and `stop` it; `url` is where it listens, `error` what ended the thread, if anything did."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__("serving")
        self._socket = socket.create_server((LOOPBACK, 0))
        # asyncio would do it only for a socket that names its protocol: a body would wait 40 ms for its header's ACK
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://{LOOPBACK}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
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
        self._server = uvicorn.Server(config)

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """End the requests under way, then the thread, for good; stopping twice is fine.

        Raises: what had ended it before; `NotYet` if it takes longer.
        """
        self._server.should_exit = True
        super().stop(timeout_seconds)
        self._socket.close()
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        self._ready.set()  # the socket listens already: requests wait for the thread
        self._server.run(sockets=[self._socket])
