"""`python -m localazure serve`: its ready line, its ports, its refusals, and the ways in which it ends."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil
import pytest

import localazure
from localazure import daemon, private_server, serving
from localazure.errors import (
    AlreadyServing,
    NotAnswering,
    PortBusy,
)
from localazure.handle import ControlClient
from localazure.http_server import HttpServer
from localazure.server import ServerOptions
from localazure.serving import Ready
from tests.contract.daemon.processes import pid_of, serve


def test_a_second_server_for_a_folder_is_refused_with_the_way_out(folder: Path) -> None:
    with localazure.start(folder), pytest.raises(AlreadyServing, match="down"):
        localazure.start(folder)
    localazure.start(folder).close()


def test_a_busy_port_is_named_with_the_way_out(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortBusy, match=rf"{port}.*--cosmos-port"):
            localazure.start(folder, cosmos_port=port)
        refused = serve(folder, "--eventhubs-port", str(port))
        _, complaint = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert f"Port {port} for Event Hubs" in complaint
    assert "Traceback" not in complaint


def test_a_former_port_that_is_taken_meanwhile_gives_way_to_a_free_one(folder: Path) -> None:
    with localazure.start(folder) as azure:
        port = azure.cosmos_port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with localazure.start(folder) as azure:
            assert azure.cosmos_port != port


def test_serve_prints_one_line_of_json_and_hub_create_works_while_it_runs(folder: Path) -> None:
    server = serve(folder, "--hub", "orders:4")
    try:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        endpoints = {"cosmos_endpoint", "eventhubs_port", "eventgrid_endpoint", "control_url"}
        assert set(ready) == {"pid", "control_token", *endpoints}
        assert ready["pid"] == server.pid
        create = [sys.executable, "-m", "localazure", "hub", "create", "payments", "2", "--data", str(folder)]
        subprocess.run(
            create, check=True, timeout=60, env={**os.environ, "PYTHONPATH": str(Path(localazure.__file__).parents[1])}
        )
        with localazure.attach(folder) as azure:
            assert pid_of(azure) == server.pid
            assert sorted(azure.event_hub_names()) == ["orders", "payments"]
    finally:
        daemon.stop(folder)
        server.communicate(timeout=60)


@pytest.mark.skipif(os.name != "posix", reason="only on POSIX can a process be halted")
def test_a_server_that_does_not_answer_is_asked_once_and_named_and_nothing_of_it_is_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, call = [], ControlClient.__call__
    monkeypatch.setattr(ControlClient, "__call__", lambda *given: asked.append(given) or call(*given))
    monkeypatch.setattr("localazure.handle.CONTROL_TIMEOUT_SECONDS", 0.5)
    server = serve(folder)
    assert server.stdout is not None
    server.stdout.readline()
    psutil.Process(server.pid).suspend()
    try:
        for ask in (daemon.stop, daemon.found, localazure.attach):
            with pytest.raises(NotAnswering, match=str(server.pid)):
                ask(folder)
        assert len(asked) == 3
        assert (folder / "state.json").exists()
    finally:
        psutil.Process(server.pid).resume()
    monkeypatch.undo()
    assert daemon.stop(folder)
    server.communicate(timeout=60)


@pytest.mark.skipif(os.name != "posix", reason="only on POSIX is there a signal to end by")
def test_a_termination_signal_is_a_stop_on_purpose(folder: Path) -> None:
    server = serve(folder)
    assert server.stdout is not None
    server.stdout.readline()
    server.terminate()
    server.communicate(timeout=60)
    assert server.returncode == 0
    assert not (folder / "state.json").exists()


@pytest.mark.parametrize("hub", ["orders:0", "bad/name:2", "orders:99999"])
def test_a_hub_that_cannot_be_made_is_named(folder: Path, hub: str) -> None:
    refused = serve(folder, "--hub", hub)
    _, complaint = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert hub.partition(":")[0] in complaint
    assert "Traceback" not in complaint


def test_an_idle_server_stops_by_itself(folder: Path) -> None:
    server = serve(folder, "--idle-seconds", "1")
    server.communicate(timeout=60)
    assert server.returncode == 0
    assert not (folder / "state.json").exists()


def test_it_does_so_though_a_connection_stands_there(folder: Path) -> None:
    standing, told = SimpleQueue[socket.socket](), SimpleQueue[Ready]()

    def connect(ready: Ready) -> None:
        standing.put(socket.create_connection(("127.0.0.1", ready.endpoints.eventhubs_port)))
        told.put(ready)

    with ThreadPoolExecutor(1) as pool:
        serving_it = pool.submit(serving.serve, ServerOptions(folder, idle_seconds=1.0), ready=connect)
        ready = told.get(timeout=60)
        try:
            serving_it.result(30)  # long before the server drops who is silent
        finally:
            ready.server.stop()
            standing.get().close()
    assert not (folder / "state.json").exists()


def test_a_private_server_that_does_not_end_in_time_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ends, may_end = HttpServer.shutdown, threading.Event()

    async def slow(*server: Any, **sockets: Any) -> None:
        await asyncio.to_thread(may_end.wait, 60)
        await ends(*server, **sockets)

    monkeypatch.setattr(HttpServer, "shutdown", slow)
    azure = localazure.start(folder)
    monkeypatch.setattr(private_server, "END_WITHIN_SECONDS", 0.0)
    azure.close()
    may_end.set()
    assert "has not ended within 0 s" in caplog.text
