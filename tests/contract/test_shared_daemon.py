"""One embedded Azure per folder: started on demand, shared, brought back after a kill, stopped on purpose."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from azure.cosmos import CosmosClient, PartitionKey

import localazure
from localazure import daemon
from localazure.errors import (
    AlreadyServing,
    ControlRefused,
    DataDamaged,
    FolderUnusable,
    LocalAzureError,
    NotAnswering,
    NotRunning,
    PortBusy,
    StartFailed,
)
from localazure.handle import ControlClient

ATTACH_AND_PRINT_PID = (
    "import sys, localazure; azure = localazure.attach(sys.argv[1]); "
    "print(azure.control('GET', '/health')['pid'], flush=True); {then}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder with a space and an umlaut in its name; whatever serves it is stopped afterwards."""
    data = tmp_path / "dåta føldér"
    yield data
    daemon.stop(data)


def attach_elsewhere(folder: Path, then: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ATTACH_AND_PRINT_PID.format(then=then), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(localazure.__file__).parents[1])},
    )


def serve(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "localazure", "serve", "--data", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(localazure.__file__).parents[1])},
    )


def eventually(holds: Callable[[], bool], timeout_seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def pid_of(azure: localazure.LocalAzure) -> int:
    return int(azure.control("GET", "/health")["pid"])


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


def test_a_killed_server_comes_back_with_the_options_it_was_started_with(folder: Path) -> None:
    options = ("--ranges", "3", "--consistency", "Eventual", "--bearer-token", "t0ken")
    server = serve(folder, *options)
    assert server.stdout is not None
    server.stdout.readline()
    with localazure.attach(folder) as azure:
        server.kill()
        server.communicate(timeout=30)
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
        server.communicate(timeout=30)
        assert eventually(lambda: daemon.status(folder) is not None)
        running = daemon.status(folder)
        assert running is not None
        assert running.tls


def test_what_a_stopped_server_was_started_with_is_not_kept(folder: Path) -> None:
    server = serve(folder, "--ranges", "3")
    assert server.stdout is not None
    server.stdout.readline()
    assert daemon.stop(folder)
    server.communicate(timeout=30)
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


def test_a_stale_state_file_is_replaced(folder: Path) -> None:
    folder.mkdir()
    stale = {"pid": 999_999, "cosmos_port": 1, "eventhubs_port": 2, "control_port": 3, "control_token": "old"}
    (folder / "state.json").write_text(json.dumps(stale), encoding="utf-8")
    (folder / "daemon.lock").touch()
    with localazure.attach(folder) as azure:
        assert azure.cosmos_port != 1


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"pid": 1}', "\x00\xff", '{"started_with": 1}']
    + [f'{{"started_with": {{"{name}": "x"}}}}' for name in ("ranges", "consistency", "tls")],
)
def test_a_damaged_state_file_is_replaced(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / "state.json").write_text(content, encoding="utf-8")
    with localazure.attach(folder) as azure:
        assert azure.event_hub_names() == []


def test_keys_are_readable_by_their_owner_alone_and_not_repeated_in_a_repr(folder: Path) -> None:
    with localazure.start(folder) as azure:
        assert azure.keys.cosmos_read_write not in repr(azure)
        assert azure.control.token not in repr(azure)
        if os.name == "posix":
            for name in ("keys.json", "state.json"):
                assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_damaged_keys_are_named_and_nothing_is_made_anew(folder: Path) -> None:
    folder.mkdir()
    (folder / "keys.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataDamaged, match=r"keys\.json.*reset"):
        localazure.start(folder)
    with pytest.raises(StartFailed, match=r"keys\.json.*reset"):
        localazure.attach(folder)
    assert (folder / "keys.json").read_text(encoding="utf-8") == "{"


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
        _, complaint = refused.communicate(timeout=30)
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


def test_a_folder_that_cannot_be_made_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match="cannot be used"):
        localazure.start(tmp_path / "file" / "data")
    with pytest.raises(FolderUnusable, match="cannot be used"):
        localazure.attach(tmp_path / "file" / "data")


def test_two_private_servers_are_independent(tmp_path: Path) -> None:
    with localazure.start(tmp_path / "a") as one, localazure.start(tmp_path / "b") as other:
        one.create_event_hub("only-here", 1)
        assert other.event_hub_names() == []
        assert one.keys.cosmos_read_write != other.keys.cosmos_read_write


def test_the_control_route_refuses_a_wrong_token(azure: localazure.LocalAzure) -> None:
    with pytest.raises(ControlRefused, match="token") as refusal:
        ControlClient(azure.control.port, "wrong")("POST", "/stop")
    assert refusal.value.status == 401


@pytest.mark.parametrize(
    "body",
    [
        {"service": "cosmos", "kind": "no_such_fault", "times": 1, "where": {}, "values": {}},
        {"service": "no_such_service", "kind": "respond", "times": 1, "where": {}, "values": {}},
        {"service": "cosmos", "kind": "respond", "times": 0, "where": {}, "values": {}},
        {"service": "cosmos"},
    ],
)
def test_the_control_route_refuses_a_fault_that_does_not_exist(azure: localazure.LocalAzure, body: object) -> None:
    with pytest.raises(ControlRefused) as refusal:
        azure.control("POST", "/faults", body)  # type: ignore[arg-type]
    assert refusal.value.status == 400


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
            create, check=True, timeout=30, env={**os.environ, "PYTHONPATH": str(Path(localazure.__file__).parents[1])}
        )
        with localazure.attach(folder) as azure:
            assert pid_of(azure) == server.pid
            assert sorted(azure.event_hub_names()) == ["orders", "payments"]
    finally:
        daemon.stop(folder)
        server.communicate(timeout=30)


@pytest.mark.skipif(os.name != "posix", reason="only on POSIX can a process be halted")
def test_a_server_that_does_not_answer_is_named_and_nothing_of_it_is_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localazure.handle.CONTROL_TIMEOUT_SECONDS", 0.5)
    server = serve(folder)
    assert server.stdout is not None
    server.stdout.readline()
    psutil.Process(server.pid).suspend()
    try:
        with pytest.raises(NotAnswering, match=str(server.pid)):
            daemon.stop(folder)
        assert (folder / "state.json").exists()
    finally:
        psutil.Process(server.pid).resume()
    monkeypatch.undo()
    assert daemon.stop(folder)
    server.communicate(timeout=30)


@pytest.mark.skipif(os.name != "posix", reason="only on POSIX is there a signal to end by")
def test_a_termination_signal_is_a_stop_on_purpose(folder: Path) -> None:
    server = serve(folder)
    assert server.stdout is not None
    server.stdout.readline()
    server.terminate()
    server.communicate(timeout=30)
    assert server.returncode == 0
    assert not (folder / "state.json").exists()


def test_a_stale_state_file_does_not_send_the_token_to_whoever_has_the_port_now(folder: Path) -> None:
    folder.mkdir()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        stranger.settimeout(0.5)
        port = stranger.getsockname()[1]
        state = {"pid": 1, "cosmos_port": 1, "eventhubs_port": 2, "control_port": port, "control_token": "secret"}
        (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
        assert daemon.status(folder) is None
        with pytest.raises(TimeoutError):
            stranger.accept()


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


@pytest.mark.parametrize("content", ['{"cosmos_port": "x"}', '{"cosmos_port": 1.5}', '{"a": 1}', "[]", "{"])
def test_damaged_ports_are_chosen_anew(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / "ports.json").write_text(content, encoding="utf-8")
    with localazure.start(folder) as azure:
        assert azure.event_hub_names() == []


@pytest.mark.parametrize("change", [{"event_hubs": {}}, {"control_token": ""}, {"cosmos_read_write": 7}, {"x": 1}])
def test_keys_of_a_wrong_kind_are_damage(folder: Path, change: dict[str, object]) -> None:
    localazure.start(folder).close()
    keys = json.loads((folder / "keys.json").read_text(encoding="utf-8"))
    (folder / "keys.json").write_text(json.dumps(keys | change), encoding="utf-8")
    with pytest.raises(DataDamaged, match=r"keys\.json"):
        localazure.start(folder)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "partition_count": 2.9},
        {"name": "x", "partition_count": True},
        {"name": "x", "partition_count": 1, "consumer_groups": "abc"},
        {"name": "x", "partition_count": 1, "consumer_groups": [1]},
        {"name": 1, "partition_count": 1},
        {"partition_count": 1},
    ],
)
def test_the_control_route_refuses_what_is_no_hub(azure: localazure.LocalAzure, body: dict[str, object]) -> None:
    with pytest.raises(ControlRefused) as refusal:
        azure.control("POST", "/hubs", body)
    assert refusal.value.status == 400


def test_a_key_that_is_none_leaves_the_keys_of_the_folder_as_they_were(folder: Path) -> None:
    localazure.start(folder).close()
    before = (folder / "keys.json").read_bytes()
    for arguments in (("--cosmos-key", "abc"), ("--eventhubs-key", "a;b")):
        refused = serve(folder, *arguments)
        _, complaint = refused.communicate(timeout=30)
        assert refused.returncode == 1
        assert arguments[0] in complaint
        assert "Traceback" not in complaint
    assert (folder / "keys.json").read_bytes() == before


@pytest.mark.parametrize("hub", ["orders:0", "bad/name:2", "orders:99999"])
def test_a_hub_that_cannot_be_made_is_named(folder: Path, hub: str) -> None:
    refused = serve(folder, "--hub", hub)
    _, complaint = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert hub.partition(":")[0] in complaint
    assert "Traceback" not in complaint


def test_a_damaged_data_file_is_named_and_left_as_it_is(folder: Path) -> None:
    localazure.start(folder).close()
    for file in folder.glob("*.sqlite"):
        whole = file.read_bytes()
        damaged = b"no database, whatever its name says" * 100
        file.write_bytes(damaged)
        with pytest.raises(DataDamaged, match=file.name):
            localazure.start(folder)
        assert file.read_bytes() == damaged
        file.write_bytes(whole)


def test_clearing_a_fault_says_how_often_it_struck(own_azure: localazure.LocalAzure) -> None:
    fault = own_azure.faults.event_hubs.drop_connection()
    assert fault.clear() == 0
    with pytest.raises(LookupError):
        fault.clear()


def test_an_idle_server_stops_by_itself_though_a_connection_stands_there(folder: Path) -> None:
    server = serve(folder, "--idle-seconds", "1")
    assert server.stdout is not None
    ready = json.loads(server.stdout.readline())
    with socket.create_connection(("127.0.0.1", ready["eventhubs_port"])):
        server.communicate(timeout=30)
    assert server.returncode == 0
    assert not (folder / "state.json").exists()
