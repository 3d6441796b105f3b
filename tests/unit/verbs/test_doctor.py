"""`doctor`: each thing it looks at is broken once, and it says so and what mends it."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
import webbrowser
from dataclasses import replace
from pathlib import Path

import pytest

from labkit import connections, settings
from labkit.verbs import doctor, environment, installing, java, locks, machine, offline, packages, places
from labkit.verbs.machine import Finding, Room

SECRET = "AccountEndpoint=https://x/;AccountKey=c2VjcmV0"


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """A folder that is set up, whose `.venv` is the one that runs the tests."""
    for name in ("lab.py", "requirements.in", "requirements.lock"):
        (tmp_path / name).write_text((places.ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "requirements.in").write_text("click\n", encoding="utf-8")  # one that is quickly imported
    installed = {"requirements": "1", "pyproject.toml": "2"}
    environ = {k: v for k, v in os.environ.items() if k not in connections.VARIABLES and "PROXY" not in k.upper()}
    environ["LAB_DATA_DIR"] = str(tmp_path / "state")
    python = Path(sys.executable)
    return Room(tmp_path, python, installed, installed, environ, version=(3, 12), free_bytes=lambda path: 10**11)


def said(finding: Finding, state: str, *words: str) -> None:
    assert finding.state == state, finding
    for word in words:
        assert word in finding.what + " " + finding.mend, finding
    assert bool(finding.mend) == (state != "ok"), "what is not right is said with what mends it"


def test_on_a_machine_that_is_ready_nothing_is_wrong_and_all_is_looked_at(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main(["--json"], room) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["wrong"] == 0
    assert [one["name"] for one in told["findings"]] == [
        *("python", "folder", "disk", "memory", "clock", "loopback", "proxy", "browser"),
        *(".venv", "packages", "localazure", "target", "java"),
    ]
    assert all(one["mend"] == "" for one in told["findings"] if one["state"] == "ok")


def test_what_is_wrong_is_told_with_what_mends_it_and_makes_the_exit_code_one(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main([], replace(room, free_bytes=lambda path: 7_000_000)) == 1
    out = capsys.readouterr().out
    assert "wrong    disk         0.0 GB free, 0.5 GB are needed\n" in out
    assert "-> free some space on this disk" in out
    assert "1 wrong: mend that first." in out


def test_a_python_that_the_locks_do_not_hold_for_is_named(room: Room) -> None:
    said(machine.python(replace(room, version=(3, 14))), "warning", "3.14", "Python 3.11 to 3.13")


def test_a_python_that_cannot_make_environments_is_wrong_unless_uv_can(
    room: Room, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crippled = tmp_path / "python"
    crippled.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    crippled.chmod(0o755)
    if os.name != "nt":
        monkeypatch.setattr(sys, "executable", str(crippled))
        bare = replace(room, python=tmp_path / "none", find=lambda name: None)
        said(machine.python(bare), "wrong", "cannot make environments", "python3-venv")
        said(machine.python(replace(bare, find=lambda name: f"/opt/{name}")), "ok")


def test_before_the_set_up_more_disk_is_needed_than_after(room: Room) -> None:
    gigabyte = replace(room, free_bytes=lambda path: 1_000_000_000)
    said(machine.disk(gigabyte), "ok")
    said(machine.disk(replace(gigabyte, installed={})), "wrong", "2.0 GB are needed")


@pytest.mark.parametrize(("free", "state"), [(300_000_000, "wrong"), (1_500_000_000, "warning"), (9_000_000_000, "ok")])
def test_little_memory_is_told(room: Room, free: int, state: str) -> None:
    said(machine.memory(replace(room, memory_bytes=lambda: free)), state)


def test_this_machine_s_memory_is_told_in_bytes() -> None:
    free = machine.available_memory()
    assert free is None or 10_000_000 < free < 10**14


def test_a_folder_that_cannot_be_written_is_wrong(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    said(machine.folder(room), "wrong", "cannot be written (Permission denied)", "a place you may write to")


def test_a_folder_that_another_program_synchronises_is_told(room: Room, tmp_path: Path) -> None:
    cloud = tmp_path / "OneDrive - School" / "lab"
    cloud.mkdir(parents=True)
    said(machine.folder(replace(room, root=cloud)), "warning", "synchronised")


def test_a_clock_that_stands_before_the_files_were_written_is_wrong(room: Room) -> None:
    written = (room.root / "lab.py").stat().st_mtime
    said(machine.clock(replace(room, now=lambda: written - 3 * 86_400)), "wrong", "before this folder was written")
    said(machine.clock(replace(room, now=lambda: written + 3_600)), "warning", "the disk's clock is -3600 s")


def test_a_loopback_that_cannot_be_used_is_wrong(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("blocked")

    monkeypatch.setattr(socket, "create_server", refuse)
    said(machine.loopback(room), "wrong", "blocked", "firewall")


def test_a_localhost_that_is_elsewhere_is_told(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("192.0.2.7", 0))])
    said(machine.loopback(room), "warning", "localhost is another machine", "hosts")


def test_a_proxy_is_told_by_its_variable_and_its_password_is_not_shown(room: Room) -> None:
    proxied = replace(room, environ={**room.environ, "https_proxy": "http://me:hunter2@proxy:8080"})
    found = machine.proxy(proxied)
    said(found, "warning", "https_proxy set", "NO_PROXY=127.0.0.1,localhost")
    assert "hunter2" not in repr(found)
    said(machine.proxy(replace(proxied, environ={**proxied.environ, "NO_PROXY": "a,127.0.0.1"})), "ok", "NO_PROXY")


@pytest.mark.parametrize("value", ["nonsense:x", "http://", "http://me:hunter2@:8080"])
def test_a_proxy_that_is_no_address_is_wrong_for_http_clients_refuse_to_begin(room: Room, value: str) -> None:
    found = machine.proxy(replace(room, environ={**room.environ, "HTTP_PROXY": value, "NO_PROXY": "127.0.0.1"}))
    said(found, "wrong", "HTTP_PROXY is no address", "unset HTTP_PROXY")
    assert "hunter2" not in repr(found)
    said(
        machine.proxy(replace(room, environ={**room.environ, "HTTP_PROXY": "proxy:8080"})), "warning", "HTTP_PROXY set"
    )


def test_no_browser_is_told_with_the_way_without(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise webbrowser.Error

    monkeypatch.setattr(webbrowser, "get", none)
    said(machine.browser(room), "warning", "--no-browser")


def test_java_is_a_note_only(room: Room) -> None:
    said(machine.java(replace(room, no_java=lambda: "Spark needs Java 17.")), "ok", "Spark needs Java 17 (no notebook")
    said(machine.java(replace(room, no_java=lambda: None)), "ok", "runs Spark")


def test_an_environment_that_is_missing_broken_half_made_or_old_is_told_apart(room: Room, tmp_path: Path) -> None:
    said(doctor.environment(room), "ok")
    said(doctor.environment(replace(room, python=tmp_path / "none")), "warning", "not made yet", "--bundle FILE")
    said(doctor.environment(replace(room, installed={})), "warning", "half made")
    said(doctor.environment(replace(room, wanted={"requirements": "9"})), "warning", "older than requirements.lock")
    broken = tmp_path / "python"
    broken.write_text("no program", encoding="utf-8")
    said(doctor.environment(replace(room, python=broken)), "wrong", "does not start", "delete .venv")
    for look in (doctor.imports, doctor.embedded):
        found = look(replace(room, python=broken))
        assert (found.state, "without .venv" in found.what) == ("warning", True)


def test_a_package_that_cannot_be_imported_and_one_of_another_version_are_named(room: Room) -> None:
    (room.root / "requirements.in").write_text("# two\nno-such-package\nclick>=8\n", encoding="utf-8")
    (room.root / "requirements.lock").write_text("click==0.1 \\\n    --hash=sha256:0\n", encoding="utf-8")
    found = doctor.imports(room)
    said(found, "wrong", "no-such-package cannot be imported (ModuleNotFoundError", "delete .venv")
    assert "click is " in found.what
    assert "the lock has 0.1" in found.what


def test_the_embedded_azure_is_asked_whether_it_runs_and_where(room: Room) -> None:
    said(doctor.embedded(room), "ok", "is not running")
    settings.start_embedded(room.state)
    running = settings.embedded_status(room.state)
    assert running is not None
    try:
        said(doctor.embedded(room), "ok", f"http://127.0.0.1:{running.cosmos_port}/")
    finally:
        settings.stop_embedded(room.state)


def test_an_embedded_azure_that_cannot_be_asked_is_told_in_its_own_words(room: Room, tmp_path: Path) -> None:
    silent = tmp_path / "python"
    silent.write_text('#!/bin/sh\n[ "$2" = "" ] && exit 0\necho "no module" >&2; exit 3\n', encoding="utf-8")
    silent.chmod(0o755)
    if os.name != "nt":
        said(doctor.embedded(replace(room, python=silent)), "wrong", "cannot be asked: no module", "lab.py up")


def test_the_target_is_told_by_the_names_of_variables_and_never_by_their_values(room: Room) -> None:
    said(doctor.target(room), "ok", "the embedded Azure")
    some = replace(room, environ={**room.environ, "COSMOS_CONNECTION": SECRET})
    found = doctor.target(some)
    said(found, "wrong", "set: COSMOS_CONNECTION", "EVENTHUB_SEND_CONNECTION", "unset them all")
    assert "c2VjcmV0" not in repr(found)
    hub = "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey=c2VjcmV0"
    values = {"COSMOS_CONNECTION": SECRET, "COSMOS_READONLY_CONNECTION": SECRET, "EVENTHUB_CONNECTION": hub}
    whole = {**room.environ, **values, "EVENTHUB_NAME": "h", "READ_STORE_URL": "abfss://a@b/c"}
    said(doctor.target(replace(room, environ=whole)), "ok", "Azure (set: COSMOS_CONNECTION, ")


def test_a_check_that_fails_itself_is_a_finding_and_the_others_go_on(room: Room) -> None:
    def broken(path: Path) -> int:
        raise NotImplementedError("a system nobody has thought of")

    found = {one.name: one for one in doctor.examined(replace(room, free_bytes=broken))}
    assert found["disk"].state == "warning"
    assert "NotImplementedError: a system nobody has thought of" in found["disk"].what
    assert len(found) == len(doctor.CHECKS)


def test_every_package_of_the_list_has_a_module_that_can_be_imported() -> None:
    assert packages.faults(Path(sys.executable), places.ROOT) == []


@pytest.mark.parametrize(
    "module", [connections, doctor, environment, installing, java, locks, machine, offline, packages, settings]
)
def test_what_lab_py_takes_from_here_is_in_the_standard_library(module: object) -> None:
    """Imported at its head; what a function imports when it is called, no check calls."""
    tree = ast.parse(Path(str(getattr(module, "__file__", ""))).read_text(encoding="utf-8"))
    names = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} <= {*sys.stdlib_module_names, "labkit"}


def test_it_answers_through_lab_py_where_nothing_is_set_up(tmp_path: Path) -> None:
    for name in ("lab.py", "requirements.in", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_bytes((places.ROOT / name).read_bytes())
    for path in (*places.ROOT.glob("labkit/*.py"), *places.ROOT.glob("labkit/verbs/*.py")):
        there = tmp_path / path.relative_to(places.ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(path.read_bytes())
    command = [sys.executable, "-S", "-E", str(tmp_path / "lab.py"), "doctor"]  # -S: without any installed package
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path.parent)
    assert "warning  .venv        not made yet" in done.stdout, done.stderr
    wrong = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("wrong ")]
    assert wrong in ([], ["disk"]), "of this machine only the disk may be short"
    assert done.returncode == len(wrong), done.stdout
    assert not (tmp_path / ".venv").exists()
    assert not (tmp_path / ".lab").exists()
