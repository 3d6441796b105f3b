"""The files of a data folder: stale, damaged or of a wrong kind. Some are made anew, none that holds keys or data."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path

import pytest

import localazure
from localazure import daemon
from localazure.errors import (
    DataDamaged,
    FolderUnusable,
    StartFailed,
)
from tests.contract.daemon.processes import serve


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


def test_a_folder_that_cannot_be_made_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match="cannot be used"):
        localazure.start(tmp_path / "file" / "data")
    with pytest.raises(FolderUnusable, match="cannot be used"):
        localazure.attach(tmp_path / "file" / "data")


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


def test_a_key_that_is_none_leaves_the_keys_of_the_folder_as_they_were(folder: Path) -> None:
    localazure.start(folder).close()
    before = (folder / "keys.json").read_bytes()
    for arguments in (("--cosmos-key", "abc"), ("--eventhubs-key", "a;b")):
        refused = serve(folder, *arguments)
        _, complaint = refused.communicate(timeout=60)
        assert refused.returncode == 1
        assert arguments[0] in complaint
        assert "Traceback" not in complaint
    assert (folder / "keys.json").read_bytes() == before


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
