"""`up`, `status`, `down`, `reset`, and refusals of the other verbs, as commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from labkit import settings
from tests.setup.conftest import ROOT
from tests.setup.test_set_up import without_root_rights


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    settings.stop_embedded(tmp_path / "state")


def labkit(folder: Path, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-m", "labkit", *arguments]
    environment = {**os.environ, settings.DATA_DIR: str(folder)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_up_status_down_tell_what_is_so(folder: Path) -> None:
    assert "is not running" in labkit(folder, "status").stdout
    up = labkit(folder, "up")
    assert up.returncode == 0, up.stderr
    assert up.stdout.startswith("The embedded Azure runs (process ")
    assert labkit(folder, "up").stdout == up.stdout
    assert labkit(folder, "status").stdout == up.stdout
    assert labkit(folder, "down").stdout == "The embedded Azure has stopped; its data are kept.\n"
    assert labkit(folder, "down").stdout == "The embedded Azure was not running.\n"
    assert "is not running" in labkit(folder, "status").stdout


def test_reset_asks_and_then_deletes_everything_but_the_set_up(folder: Path) -> None:
    labkit(folder, "up")
    (folder / "setup.log").write_text("kept", encoding="utf-8")

    asked = labkit(folder, "reset")
    assert asked.returncode == 1
    assert (folder / "keys.json").exists()

    done = labkit(folder, "reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["daemon.lock", "reset.lock", "setup.log", "starting.lock"]
    assert "is not running" in labkit(folder, "status").stdout
    assert labkit(folder, "reset", "--yes").stdout == "Nothing is kept; there is nothing to delete.\n"


@pytest.mark.skipif(os.name == "nt", reason="only on systems where a folder's mode forbids writing in it")
@pytest.mark.parametrize("verb", ["run", "up"])
def test_a_state_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, verb: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)

    done = labkit(closed / "state", verb, before=tuple(without_root_rights()))

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "you may write to" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "-p", "sede=1"), "No notebook here has a parameter 'sede'; there are "),
        (("run", "09"), "No notebook '09'; there are 01_write_model, "),
        (("bench", "sturt"), "There is no benchmark 'sturt'; there are: "),
        (("bench", "start", "--json", "there/is/none.json"), "There is no folder "),
        (("bundle", "--output", "there/is/none.zip"), "There is no folder "),
    ],
)
def test_what_does_not_exist_is_refused_in_one_sentence_with_what_does(
    folder: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = labkit(folder, *arguments)

    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", ["bundle", "docs"])
def test_of_two_that_would_write_the_same_files_the_second_says_so(folder: Path, verb: str) -> None:
    folder.mkdir()
    with FileLock(folder / f"{verb}.lock"):
        done = labkit(folder, verb)
    assert done.returncode == 1
    assert done.stderr == f"Another `{verb}` is at work in this folder: run the command again when it has ended.\n"
    assert [path.name for path in folder.iterdir()] == [f"{verb}.lock"]


def test_a_busy_port_is_one_sentence_and_the_way_out(folder: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "localazure", "serve", "--data", str(folder), "--cosmos-port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        f"Port {port} for Cosmos DB is in use by another program; stop that program, "
        "or choose another port with --cosmos-port."
    )


@pytest.mark.parametrize("arguments", [("parked", "list"), ("rebuild", "--yes")], ids=" ".join)
def test_an_azure_that_is_away_is_one_sentence_and_what_to_do(
    folder: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    unheard = socket.socket()  # it listens not, and nobody else can meanwhile
    unheard.bind(("127.0.0.1", 0))
    nobody = f"127.0.0.1:{unheard.getsockname()[1]}"
    key = "a2V5" * 10 + "a2U="
    cosmos, hubs = f"AccountEndpoint=https://{nobody}/;AccountKey=", f"Endpoint=sb://{nobody}/;SharedAccessKeyName=all;"
    monkeypatch.setenv("COSMOS_CONNECTION", f"{cosmos}{key};")
    monkeypatch.setenv("COSMOS_READONLY_CONNECTION", f"{cosmos}{key};")
    monkeypatch.setenv("EVENTHUB_CONNECTION", f"{hubs}SharedAccessKey={key}")
    monkeypatch.setenv("EVENTHUB_NAME", "orders")
    monkeypatch.setenv("READ_STORE_URL", str(folder / "tables"))

    with unheard:
        done = labkit(folder, *arguments)

    assert done.returncode == 1
    assert done.stderr.startswith("Azure is out of reach (")
    assert "run the same command again" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert key not in done.stderr
