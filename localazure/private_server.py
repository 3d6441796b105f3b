"""A private embedded Azure in a thread of this process: for tests, which want one of their own and end it.

Owns: the thread, and how a failed start reaches whoever asked. Refuses to know: what is served, and how (`serving`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from localazure.cosmos.consistency import SESSION
from localazure.handle import ControlClient, LocalAzure

if TYPE_CHECKING:
    from localazure.server import ServerOptions
    from localazure.serving import Ready

logger = logging.getLogger(__name__)

END_WITHIN_SECONDS = 15.0


def start(
    data_dir: Path | str,
    *,
    cosmos_port: int = 0,
    eventhubs_port: int = 0,
    ranges: int | None = None,
    tls: bool = False,
    bearer_token: str | None = None,
    consistency: str = SESSION,
) -> LocalAzure:
    """Serve `data_dir` from a thread of this process until `close()`.

    The options are those of `ServerOptions`.
    Raises: `AlreadyServing`, `PortBusy`, `FolderUnusable`, `DataDamaged`, `TlsUnavailable`.
    """
    from localazure.certificate import CERTIFICATE_FILE
    from localazure.server import ServerOptions

    options = ServerOptions(
        Path(data_dir).resolve(),
        cosmos_port,
        eventhubs_port,
        ranges=ranges,
        tls=tls,
        bearer_token=bearer_token,
        consistency=consistency,
    )
    ready, close = _serving(options)
    ports = ready.endpoints
    return LocalAzure(
        ports.cosmos_port,
        ports.eventhubs_port,
        ControlClient(ports.control_port, ready.keys.control_token),
        ready.keys,
        close,
        options.data_dir / CERTIFICATE_FILE if tls else None,
        ports.eventgrid_port,
    )


def _serving(options: ServerOptions) -> tuple[Ready, Callable[[], None]]:
    """A server that listens, and what ends it and its thread. Raises: what kept it from listening."""
    from localazure.serving import serve

    told = threading.Event()
    outcome: list[Ready | BaseException] = []

    def tell(value: Ready | BaseException) -> None:
        outcome.append(value)
        told.set()

    def run() -> None:
        try:
            serve(options, ready=tell)
        except Exception as error:
            if told.is_set():
                logger.exception("the private embedded Azure failed")
            tell(error)

    thread = threading.Thread(target=run, name="localazure", daemon=True)
    thread.start()
    told.wait()
    ready = outcome[0]
    if isinstance(ready, BaseException):
        raise ready

    def close() -> None:
        ready.server.stop()
        thread.join(END_WITHIN_SECONDS)
        if thread.is_alive():
            logger.warning("the private embedded Azure has not ended within %g s", END_WITHIN_SECONDS)

    return ready, close
