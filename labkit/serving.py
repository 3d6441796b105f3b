"""An ASGI app on the loopback interface, on a thread of this process: for notebooks and tests.

Owns: the listening socket (any free port) and the thread. A thread ends with the kernel, so nothing is left behind.
"""

from __future__ import annotations

import socket
import threading
from typing import Final, Self

import uvicorn
from starlette.types import ASGIApp

LOOPBACK: Final = "127.0.0.1"
STOP_WITHIN_SECONDS: Final = 5
"""Requests under way have this long to end when it stops."""


class Serving:
    """`start` and `stop` it; `url` is where it listens, `error` what ended the thread, if anything did."""

    def __init__(self, app: ASGIApp) -> None:
        self.error: BaseException | None = None
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
        self._thread = threading.Thread(target=self._work, name="serving", daemon=True)

    def start(self) -> Self:
        """Serve. Requests may be sent at once: the socket listens already, and they wait for the thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the requests under way, then the thread; stopping twice is fine. Raises: what had ended it before."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except BaseException as error:
            self.error = error
