"""Listening sockets on the loopback interface, on a port asked for, the one of before, or one that is free.

Owns: how a port is taken, and kept for a server that was killed. Refuses to know: who speaks on it.

Clients know a server by its port. While a killed one is down, somebody else could be given it, and the clients would
wait for ever. So a free port is looked for among those that no system by default gives to whoever asks for any; nor is
it one where connections of a server that was killed still end (not on Windows, which does not say).
Sources: `ip_local_port_range` (Linux kernel documentation, ip-sysctl: from 32,768), "The default dynamic port range for
TCP/IP has changed" (Microsoft: from 49,152), `net.inet.ip.portrange.first` (macOS: 49,152). Kubernetes' node ports
begin at 30,000.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import suppress
from secrets import SystemRandom

from localazure.errors import PortBusy

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
FREE_PORTS = range(20_000, 30_000)
FREE_PORT_TRIES = 100
FORMER_PORT_RETRY_SECONDS = 1.0


def listen_as(service: str, asked: int, former: int) -> socket.socket:
    """On the port asked for, or else the former one, or else a free one. Raises: `PortBusy` for the first only."""
    if asked or former:
        try:
            return _listen_again(asked or former, retry_seconds=0.0 if asked else FORMER_PORT_RETRY_SECONDS)
        except OSError as error:
            if asked:
                raise PortBusy(service, asked) from error
            logger.warning("port %d, which %s had before, is taken; clients of before do not find it", former, service)
    for port in SystemRandom().sample(FREE_PORTS, FREE_PORT_TRIES):
        with suppress(OSError):
            _look(port)
            return _listen(port, beside_ending=False)
    logger.warning("%d ports were tried for %s, and all are taken; the system gives one", FREE_PORT_TRIES, service)
    return _listen(0, beside_ending=False)


def _look(port: int) -> None:
    """Raises: `OSError` if somebody has this port on all interfaces, which Windows would let us share on this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as unused:
        unused.bind(("", port))  # and does not listen


def _listen_again(port: int, retry_seconds: float) -> socket.socket:
    """Raises: `OSError` when the port stays busy for so long."""
    deadline = time.monotonic() + retry_seconds
    while True:
        try:
            return _listen(port, beside_ending=True)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _listen(port: int, *, beside_ending: bool) -> socket.socket:
    """`beside_ending`: also where connections of before still end. All of them let the one that follows do so."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if beside_ending:
            _let_others_end(listening)
        listening.bind((LOOPBACK, port))
        _let_others_end(listening)
        listening.listen(512)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _let_others_end(listening: socket.socket) -> None:
    """On Windows the option would mean to share a port with whoever listens there, and is not needed."""
    if os.name == "posix":
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])
