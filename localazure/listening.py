"""Listening sockets on the loopback interface, on a port asked for, the one of before, or any.

Owns: how a port is taken. Refuses to know: who speaks on it.
"""

from __future__ import annotations

import logging
import os
import socket
import time

from localazure.errors import PortBusy

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
FORMER_PORT_RETRY_SECONDS = 1.0


def listen_as(service: str, asked: int, former: int) -> socket.socket:
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


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])
