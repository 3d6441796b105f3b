"""One embedded Azure per folder: started on demand, shared, brought back after a kill, stopped on purpose."""

from __future__ import annotations

import json
import os
import socket
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from azure.cosmos import CosmosClient, PartitionKey
from filelock import FileLock

import localazure
from localazure import daemon, listening, private_file
from localazure.errors import (
    LocalAzureError,
    NotRunning,
)
from localazure.folder import LOCK_FILE, STATE_FILE
from localazure.handle import ControlClient
from tests.contract.daemon.processes import attach_elsewhere, eventually, pid_of, serve

LINUX_GIVES_FROM = 32_768
"""By default, and macOS and Windows from 49,152."""


def ports_of(folder: Path) -> dict[str, int]:
    """Those of `daemon.PORTS`, and what else the state file says."""
    told: dict[str, int] = json.loads((folder / STATE_FILE).read_text())
    return told


def test_eight_simultaneous_attaches_give_one_process(folder: Path) -> None:
    processes = [attach_elsewhere(folder) for _ in range(8)]
    pids = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert len(pids) == 1
    assert pids != {""}


def test_attaches_from_threads_of_one_process_share_it_too(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        attached = list(pool.map(lambda _: localazure.attach(folder), range(4)))
    assert len({pid_of(azure) for azure in attached}) == 1
    for azure in attached:
        azure.close()


def test_closing_an_attached_handle_only_detaches(folder: Path) -> None:
    first = localazure.attach(folder)
    pid = pid_of(first)
    first.close()
    first.close()
    with localazure.attach(folder) as second:
        assert pid_of(second) == pid


def test_the_daemon_survives_the_kill_of_the_process_that_started_it(folder: Path) -> None:
    starter = attach_elsewhere(folder, then="import time; time.sleep(60)")
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.communicate()
    with localazure.attach(folder) as azure:
        assert pid_of(azure) == pid


def test_a_killed_daemon_comes_back_by_itself_on_the_same_ports_with_its_data(folder: Path) -> None:
    with localazure.attach(folder) as azure:
        azure.create_event_hub("orders", 2)
        killed = pid_of(azure)
        psutil.Process(killed).kill()

        def back() -> bool:
            try:
                return pid_of(azure) != killed
            except LocalAzureError:
                return False

        assert eventually(back)
        assert azure.event_hub_names() == ["orders"]
        running = daemon.status(folder)
        assert running is not None
        assert (running.cosmos_port, running.eventhubs_port) == (azure.cosmos_port, azure.eventhubs_port)


def test_its_ports_are_such_as_no_system_gives_to_whoever_asks_for_any(folder: Path) -> None:
    assert listening.FREE_PORTS.stop <= LINUX_GIVES_FROM
    with localazure.start(folder) as azure:
        ports = {azure.cosmos_port, azure.eventhubs_port, azure.eventgrid_port, azure.control.port}
    assert len(ports) == 4
    assert ports <= set(listening.FREE_PORTS)


def test_a_port_that_somebody_has_on_all_interfaces_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("", 0))  # and does not listen
        monkeypatch.setattr(listening, "FREE_PORTS", [other.getsockname()[1]])
        monkeypatch.setattr(listening, "FREE_PORT_TRIES", 1)
        with listening.listen_as("a server", 0, 0) as given:
            assert listening.port_of(given) != other.getsockname()[1]


@pytest.fixture
def down(monkeypatch: pytest.MonkeyPatch) -> Callable[[localazure.LocalAzure], None]:
    """Kills a server whose watchdog thinks that it lives, until `monkeypatch.undo()`."""

    def kill(azure: localazure.LocalAzure) -> None:
        server = psutil.Process(pid_of(azure))
        monkeypatch.setattr(daemon, "served", lambda folder: True)
        server.kill()
        server.wait()

    return kill


@pytest.mark.skipif(os.name != "posix", reason="only on Linux and macOS a port says that connections still end there")
def test_the_port_of_a_killed_server_is_left_to_the_one_that_follows(
    folder: Path, down: Callable[[localazure.LocalAzure], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with localazure.attach(folder) as azure, socket.create_connection(("127.0.0.1", azure.eventhubs_port)):
        port = azure.eventhubs_port
        down(azure)
        with monkeypatch.context() as only:
            only.setattr(listening, "FREE_PORTS", [port])
            only.setattr(listening, "FREE_PORT_TRIES", 1)
            with listening.listen_as("another server", 0, 0) as other:
                assert listening.port_of(other) != port
        with listening.listen_as("the one that follows", 0, port) as following:
            assert listening.port_of(following) == port


@pytest.mark.parametrize(
    ("taken", "by"),
    [("eventhubs_port", "the watchdog"), ("control_port", "the watchdog"), ("cosmos_port", "somebody else")],
)
def test_a_port_that_was_taken_while_the_server_was_down_is_told(
    folder: Path,
    down: Callable[[localazure.LocalAzure], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    taken: str,
    by: str,
) -> None:
    with localazure.attach(folder) as azure:
        before = ports_of(folder)
        down(azure)
        with socket.create_server(("127.0.0.1", before[taken])):
            if by == "somebody else":
                started = attach_elsewhere(folder)
                started.communicate(timeout=60)
            monkeypatch.undo()
            assert eventually(lambda: daemon.MOVED in caplog.messages)
            after = ports_of(folder)
        assert {port for port in daemon.PORTS if before[port] != after[port]} == {taken}
    assert caplog.messages.count(daemon.MOVED) == 1


def test_a_port_that_was_chosen_at_another_start_is_told_once_and_as_one_of_two_causes(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with localazure.attach(folder) as azure:
        assert daemon.stop(folder)
        with listening.listen_as("nobody", 0, 0) as free:
            chosen = listening.port_of(free)
        server = serve(folder, "--cosmos-port", str(chosen))
        assert eventually(lambda: daemon.MOVED in caplog.messages)
        assert ports_of(folder)["cosmos_port"] == chosen != azure.cosmos_port
        assert daemon.stop(folder)
        server.communicate(timeout=60)
    (told,) = [message for message in caplog.messages if "another port" in message]
    assert "it was started with that one, or another program had the old one" in told


def test_who_asks_before_the_server_that_follows_has_said_where_it_is_waits_for_that(
    folder: Path, down: Callable[[localazure.LocalAzure], None]
) -> None:
    with localazure.attach(folder) as azure:
        stale = (folder / STATE_FILE).read_text()
        down(azure)
        following = attach_elsewhere(folder)
        following.communicate(timeout=60)
        told = (folder / STATE_FILE).read_text()
        assert json.loads(told)["pid"] != json.loads(stale)["pid"]
        private_file.write_text(folder / STATE_FILE, stale)  # as it was while that server began to answer
        later = threading.Timer(0.3, lambda: private_file.write_text(folder / STATE_FILE, told))
        later.start()
        running = daemon.status(folder)
        later.join()
        assert running is not None
        assert running.pid == json.loads(told)["pid"]
        assert daemon.stop(folder)


def test_a_killed_server_comes_back_with_the_options_it_was_started_with(folder: Path) -> None:
    options = ("--ranges", "3", "--consistency", "Eventual", "--bearer-token", "t0ken")
    server = serve(folder, *options)
    assert server.stdout is not None
    server.stdout.readline()
    with localazure.attach(folder) as azure:
        server.kill()
        server.communicate(timeout=60)
        assert eventually(lambda: daemon.status(folder) is not None)
        with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
            container = client.create_database("d").create_container("c", PartitionKey("/pk"))
            assert len(list(container.read_feed_ranges())) == 3
        token = {"authorization": quote("type=aad&ver=1.0&sig=t0ken")}
        with urllib.request.urlopen(urllib.request.Request(azure.cosmos_endpoint, headers=token)) as answer:
            told = json.load(answer)
        assert told["userConsistencyPolicy"]["defaultConsistencyLevel"] == "Eventual"


def test_a_watchdog_brings_a_server_back_over_tls_if_it_spoke_tls(folder: Path) -> None:
    with localazure.attach(folder):
        daemon.stop(folder)
        server = serve(folder, "--tls")
        assert server.stdout is not None
        server.stdout.readline()
        server.kill()
        server.communicate(timeout=60)
        assert eventually(lambda: daemon.status(folder) is not None)
        running = daemon.status(folder)
        assert running is not None
        assert running.tls


def test_what_a_stopped_server_was_started_with_is_not_kept(folder: Path) -> None:
    server = serve(folder, "--ranges", "3")
    assert server.stdout is not None
    server.stdout.readline()
    assert daemon.stop(folder)
    server.communicate(timeout=60)
    with (
        localazure.attach(folder) as azure,
        CosmosClient.from_connection_string(azure.cosmos_connection_string) as client,
    ):
        container = client.create_database("d").create_container("c", PartitionKey("/pk"))
        assert len(list(container.read_feed_ranges())) == 1


def test_a_daemon_that_was_stopped_on_purpose_stays_down_though_somebody_is_attached(folder: Path) -> None:
    with localazure.attach(folder) as azure:
        assert daemon.stop(folder)
        assert not eventually(lambda: daemon.status(folder) is not None, timeout_seconds=2.0)
        with pytest.raises(NotRunning, match=r"lab\.py up"):
            azure.event_hub_names()
    assert not daemon.stop(folder)


def test_a_restart_keeps_ports_and_keys(folder: Path) -> None:
    with localazure.attach(folder) as before:
        strings = (before.cosmos_connection_string, before.event_hubs_connection_string)
    daemon.stop(folder)
    with localazure.attach(folder) as after:
        assert (after.cosmos_connection_string, after.event_hubs_connection_string) == strings


def test_two_private_servers_are_independent(tmp_path: Path) -> None:
    with localazure.start(tmp_path / "a") as one, localazure.start(tmp_path / "b") as other:
        one.create_event_hub("only-here", 1)
        assert other.event_hub_names() == []
        assert one.keys.cosmos_read_write != other.keys.cosmos_read_write


def test_a_start_that_fails_after_a_kill_is_tried_again_until_it_works(folder: Path) -> None:
    with localazure.attach(folder) as azure:
        running = daemon.status(folder)
        assert running is not None
        keys = (folder / "keys.json").read_text(encoding="utf-8")
        (folder / "keys.json").write_text("{", encoding="utf-8")
        psutil.Process(running.pid).kill()
        assert not eventually(lambda: daemon.status(folder) is not None, timeout_seconds=2.0)
        assert (folder / "state.json").exists()
        (folder / "keys.json").write_text(keys, encoding="utf-8")
        assert eventually(lambda: daemon.status(folder) is not None)
        assert azure.event_hub_names() == []


def test_a_stop_with_writers_attached_stays_a_stop(folder: Path) -> None:
    with localazure.attach(folder) as one, localazure.attach(folder):
        for _ in range(3):
            assert daemon.stop(folder)
            assert not eventually(lambda: daemon.status(folder) is not None, timeout_seconds=1.2)
            localazure.attach(folder).close()
        one.event_hub_names()


def test_a_stop_between_two_looks_of_a_watchdog_is_no_kill(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / STATE_FILE).touch()

    def stopped_meanwhile(folder: Path) -> bool:
        (folder / STATE_FILE).unlink()
        return False

    monkeypatch.setattr(daemon, "served", stopped_meanwhile)
    assert not daemon.Watchdog(folder, ())._killed()


def test_who_stops_a_server_that_is_just_starting_stops_it_once_it_says_where_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with localazure.attach(folder):
        found, not_yet = daemon.found, [None]
        monkeypatch.setattr(daemon, "found", lambda folder: not_yet.pop() if not_yet else found(folder))
        assert daemon.stop(folder)
    assert found(folder) is None


def test_a_stop_while_a_watchdog_starts_a_killed_server_again_stays_a_stop(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, stopping, spawn = threading.Event(), Future[bool](), daemon._spawn

    def slowly(folder: Path, *, tls: bool) -> daemon.Running:
        begun.set()
        wait([stopping], 1)  # a stop that does not wait for the server is over by then
        return spawn(folder, tls=tls)

    with localazure.attach(folder) as azure, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(daemon, "_spawn", slowly)
        psutil.Process(pid_of(azure)).kill()
        assert begun.wait(60)
        pool.submit(lambda: stopping.set_result(daemon.stop(folder)))
        assert stopping.result(60)
        assert daemon.found(folder) is None


def test_who_stops_a_server_that_is_just_ending_waits_for_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    with ThreadPoolExecutor(1) as pool:
        with FileLock(folder / LOCK_FILE):  # and no state file, or a port that is closed
            stopping = pool.submit(daemon.stop, folder)
            with pytest.raises(TimeoutError):
                stopping.result(0.3)
        assert not stopping.result(60)
    closed = daemon.Running(1, 1, 1, ControlClient(1, "token"))
    monkeypatch.setattr(daemon, "found", lambda folder: closed)
    assert daemon.stop(folder)
