"""Serving one data folder: its lock, its keys, the ports it had before, and the state file that others attach by.

Owns: `daemon.lock` (an OS lock, held while a process serves), `ports.json` (so that a restart keeps the ports and SDK
clients resume), `state.json` (only while serving; left behind by a kill, which is how a watchdog tells a crash from a
stop). Refuses to know: who asked, and how the process was made.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from localazure import keys as key_file
from localazure import private_file
from localazure.errors import AlreadyServing, FolderUnusable
from localazure.folder import LOCK_FILE, PORTS_FILE, STATE_FILE
from localazure.keys import Keys
from localazure.server import Endpoints, Server, ServerOptions
from localazure.started_with import StartedWith

logger = logging.getLogger(__name__)

LOCK_RETRY_SECONDS = 1.0
"""Who asks whether a folder is served holds its lock for an instant."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that listens: told once by `serve`."""

    endpoints: Endpoints
    keys: Keys
    server: Server


def serve(
    options: ServerOptions,
    *,
    ready: Callable[[Ready], None],
    cosmos_key: str | None = None,
    eventhubs_key: str | None = None,
) -> None:
    """Serve `options.data_dir` in this thread until the server stops.

    A state file that an earlier server left stays until this one listens, so that a failed start still counts as down
    by a crash. Raises: `AlreadyServing`, `FolderUnusable`, `DataDamaged`, `PortBusy`, `KeyUnusable`, `HubUnusable`,
    `TlsUnavailable`.
    """
    data_dir = options.data_dir
    listening = False
    with _locked(data_dir):
        keys = key_file.load_or_make(data_dir, cosmos_key=cosmos_key, eventhubs_key=eventhubs_key)

        def announce(endpoints: Endpoints) -> None:
            nonlocal listening
            _write_state(options, endpoints, keys)
            listening = True
            ready(Ready(endpoints, keys, server))

        def withdraw() -> None:
            """Before the first socket closes: whoever finds it closed and the file there takes it for a crash."""
            if listening:
                (data_dir / STATE_FILE).unlink(missing_ok=True)

        former = _former_ports(data_dir)
        server = Server(replace(options, former=former), keys, ready=announce, leaving=withdraw)
        try:
            asyncio.run(server.run())
        except (sqlite3.Error, OSError) as error:
            raise FolderUnusable(data_dir, getattr(error, "strerror", None) or str(error)) from error
        finally:
            withdraw()


def _locked(data_dir: Path) -> AbstractContextManager[object]:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(data_dir / LOCK_FILE).acquire(timeout=LOCK_RETRY_SECONDS, poll_interval=0.01)
    except Timeout as error:
        raise AlreadyServing(data_dir) from error
    except OSError as error:
        raise FolderUnusable(data_dir, error.strerror or str(error)) from error


def _former_ports(data_dir: Path) -> Endpoints | None:
    """The ports that this folder had before; None if it had none, or the file cannot be read."""
    try:
        former = private_file.read(data_dir / PORTS_FILE)
        if former is not None and not all(type(port) is int and 0 < port < 65_536 for port in former.values()):
            raise ValueError("not ports")
        return None if former is None else Endpoints(**former)
    except (OSError, ValueError, TypeError):
        logger.warning("%s cannot be read; new ports are chosen", PORTS_FILE)
        return None


def _write_state(options: ServerOptions, endpoints: Endpoints, keys: Keys) -> None:
    ports = asdict(endpoints)
    private_file.write(options.data_dir / PORTS_FILE, ports)
    started_with = StartedWith(options.tls, options.ranges, options.consistency, options.bearer_token)
    state = {"pid": os.getpid(), **ports, "control_token": keys.control_token, "started_with": started_with.as_json()}
    private_file.write(options.data_dir / STATE_FILE, state)
