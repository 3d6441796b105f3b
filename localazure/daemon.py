"""The shared embedded Azure of a data folder: started on demand, attached to, watched, stopped.

Owns: finding a running server by its state file, spawning one when there is none (one spawner at a time, under an OS
lock, so that eight simultaneous attaches give one process), and the watchdog that brings a killed one back on the same
ports and with the same options. Refuses to know: what it serves.

Why a separate process: a server inside a kernel dies with the kernel's restart, or is orphaned by its kill; a daemon
with a lock file survives interrupt, restart and kill. It stops after an idle time, or on `stop`.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from localazure import keys as key_file
from localazure import private_file
from localazure.errors import FolderUnusable, LocalAzureError, NotAnswering, NotRunning, StartFailed
from localazure.folder import (
    LOCK_FILE,
    LOG_FILE,
    STARTING_LOCK_FILE,
    STATE_FILE,
    reason,
    served,
    set_log_aside,
)
from localazure.handle import ControlClient, LocalAzure
from localazure.started_with import StartedWith

logger = logging.getLogger(__name__)

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 15.0
LOOK_SECONDS = 0.2
WATCH_INTERVAL_SECONDS = 0.5
IDLE_SECONDS = 30 * 60.0
LONGEST_WATCH_INTERVAL_SECONDS = 30.0
DETACHED_ON_WINDOWS: int = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(
    subprocess, "CREATE_NEW_PROCESS_GROUP", 0
)

PORTS = ("cosmos_port", "eventhubs_port", "eventgrid_port", "control_port")
"""As the state file names them."""
MOVED = (
    "The embedded Azure listens on another port than before: it was started with that one, or another program had the "
    "old one when it came back. What was connected does not find it: connect again. In a notebook, restart the kernel "
    "and run its cells from the first one."
)
ANNOUNCE_SECONDS = 5.0
"""A server answers a moment before its state file is written; who meets it in between waits for that."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server found alive by its state file."""

    pid: int
    cosmos_port: int
    eventhubs_port: int
    control: ControlClient
    tls: bool = False
    eventgrid_port: int = 0


def attach(data_dir: Path | str) -> LocalAzure:
    """The shared embedded Azure of `data_dir`, started if it is not running; `close()` only detaches.

    While attached, a watchdog thread starts the server again on the same ports should it be killed, and says when it
    listens on others. A server that was stopped on purpose stays down.
    Raises: `StartFailed` with the daemon's own reason, `FolderUnusable`, `NotAnswering`.
    """
    folder = Path(data_dir).resolve()
    running = _running_or_started(folder)
    if running.tls:
        raise StartFailed(
            f"The data folder {folder.name!r} is served over TLS, by a server started for it; stop that one first."
        )
    keys = key_file.load(folder)
    if keys is None:
        raise StartFailed(f"The data folder {folder.name!r} lost its keys while starting; try again.")
    ports = running.cosmos_port, running.eventhubs_port
    watchdog = Watchdog(folder, (*ports, running.eventgrid_port, running.control.port))
    watchdog.start()
    return LocalAzure(*ports, running.control, keys, watchdog.stop, eventgrid_port=running.eventgrid_port)


def status(data_dir: Path | str) -> Running | None:
    """The server of `data_dir`, if one answers."""
    try:
        return found(data_dir)
    except NotAnswering:
        return None


def found(data_dir: Path | str) -> Running | None:
    """The server of `data_dir`, None if there is none. Nobody else is asked, should its port be another program's now.

    Raises: `NotAnswering` when it is there and lets its caller wait, be it too busy or halted.
    """
    folder, until = Path(data_dir).resolve(), time.monotonic() + ANNOUNCE_SECONDS
    try:
        while True:
            state = private_file.read(folder / STATE_FILE)
            if state is None or not served(folder):
                return None
            control = ControlClient(int(state["control_port"]), str(state["control_token"]))
            if control("GET", "/health")["pid"] == state["pid"]:
                break
            if time.monotonic() > until:
                return None
            time.sleep(0.01)
        ports = int(state["cosmos_port"]), int(state["eventhubs_port"])
        tls, grid_port = StartedWith.of_state(state).tls, int(state.get("eventgrid_port", 0))
        return Running(int(state["pid"]), *ports, control, tls, grid_port)
    except (OSError, ValueError, KeyError, TypeError, LocalAzureError) as error:
        if isinstance(error.__cause__, TimeoutError):
            raise NotAnswering(folder, _state(folder).get("pid")) from error
        return None


def stop(data_dir: Path | str) -> bool:
    """Stop the server of `data_dir` and wait until its files are closed; False if none was running.

    Raises: `NotAnswering` when a process serves the folder and does not do as told, be it too busy or halted.
    """
    folder = Path(data_dir).resolve()
    if not folder.is_dir():
        return False
    try:
        with _starting(folder):  # whoever starts one is done, and nobody begins to
            return _stop(folder)
    except Timeout as error:
        raise NotAnswering(folder, _state(folder).get("pid")) from error


def _stop(folder: Path) -> bool:
    told, until = False, time.monotonic() + STOP_TIMEOUT_SECONDS
    while True:
        running = None if told else found(folder)  # one that was started by hand may not say yet where it is
        if running is not None:
            told = True
            with suppress(NotRunning):  # it was just ending
                running.control("POST", "/stop")
        try:
            with FileLock(folder / LOCK_FILE).acquire(timeout=LOOK_SECONDS):
                (folder / STATE_FILE).unlink(missing_ok=True)
            return told
        except Timeout:
            if time.monotonic() > until:
                raise


def _starting(folder: Path) -> AbstractContextManager[object]:
    """The lock of whoever starts a server, or stops one. Raises: `Timeout` on entry."""
    return FileLock(folder / STARTING_LOCK_FILE, timeout=START_TIMEOUT_SECONDS)


def _state(folder: Path) -> dict[str, Any]:
    """What the state file says; nothing if there is none or it cannot be read."""
    try:
        return private_file.read(folder / STATE_FILE) or {}
    except (OSError, ValueError):
        return {}


class Watchdog:
    """Keeps the server of one folder alive while somebody is attached to it, who knows it by these `PORTS`."""

    def __init__(self, data_dir: Path, ports: tuple[int, ...]) -> None:
        self._data_dir = data_dir
        self._ports: tuple[object, ...] = ports
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="localazure-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_TIMEOUT_SECONDS)

    def _watch(self) -> None:
        pause, complaint = WATCH_INTERVAL_SECONDS, ""
        while not self._stopping.wait(pause):
            if not self._killed():
                pause, complaint = WATCH_INTERVAL_SECONDS, ""
                self._tell_if_moved()
                continue
            if not complaint:
                logger.warning("the embedded Azure was killed; it is started again")
            try:
                with _starting(self._data_dir):
                    if self._killed():  # still: nobody has stopped it on purpose meanwhile
                        _spawn(self._data_dir, tls=True)
            except (LocalAzureError, Timeout, OSError) as error:
                pause = min(LONGEST_WATCH_INTERVAL_SECONDS, 2 * pause)
                if str(error) != complaint:
                    logger.error("%s", error)
                complaint = str(error)

    def _tell_if_moved(self) -> None:
        """Whoever started it again: once per move."""
        state = _state(self._data_dir)
        ports = tuple(state.get(port) for port in PORTS)
        if None not in ports and ports != self._ports:
            self._ports = ports
            logger.error(MOVED)

    def _killed(self) -> bool:
        """Whether a state file is left of a server that is gone. A stop on purpose removes it first, so look twice."""
        state = self._data_dir / STATE_FILE
        return state.exists() and not served(self._data_dir) and state.exists()


def _running_or_started(folder: Path) -> Running:
    running = found(folder)
    if running is not None:
        return running
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _starting(folder):
            return found(folder) or _spawn(folder, tls=False)
    except Timeout as error:
        raise StartFailed("Another process has been starting the embedded Azure for too long; try again.") from error
    except OSError as error:
        raise FolderUnusable(folder, error.strerror or str(error)) from error


def _spawn(folder: Path, *, tls: bool) -> Running:
    """Start the daemon and wait until it answers; with the options of one that was killed, if its state file is left.

    `tls`: whether it speaks it, should that one have done so. The caller holds the starting lock.
    """
    left = StartedWith.of_state(_state(folder))
    former = replace(left, tls=left.tls and tls)
    command = [sys.executable, "-m", "localazure", "serve", "--data", str(folder), "--idle-seconds", str(IDLE_SECONDS)]
    command += former.arguments()
    set_log_aside(folder)
    with open(folder / LOG_FILE, "ab") as log:
        log_start = log.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, cwd=folder,
            env={**_environment(), **former.environment()}, creationflags=DETACHED_ON_WINDOWS, start_new_session=True,
        )  # fmt: skip
    return _wait(lambda: status(folder), process, reason=lambda: reason(folder, log_start), name=folder.name)


def _wait(
    look: Callable[[], Running | None], process: subprocess.Popen[bytes], *, reason: Callable[[], str], name: str
) -> Running:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        running = look()
        if running is not None:
            return running
        if process.poll() is not None:
            running = look()
            if running is not None:
                return running
            raise StartFailed(reason() or f"The embedded Azure of {name!r} ended as it started, without a reason.")
        time.sleep(0.01)
    process.kill()
    raise StartFailed(f"The embedded Azure did not answer within {START_TIMEOUT_SECONDS:.0f} s. {reason()}".strip())


def _environment() -> dict[str, str]:
    """The daemon's: this one's, able to import what this process imported however it was started."""
    package_parent = str(Path(__file__).resolve().parent.parent)
    paths = [package_parent, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


__all__ = ["Running", "Watchdog", "attach", "found", "status", "stop"]
