"""`reset` deletes what the lab made, and nothing where it is not alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from filelock import FileLock

from labkit.errors import LabError
from labkit.verbs import azure, places
from labkit.verbs.azure import reset, what_the_lab_made
from localazure import folder as of_the_azure
from localazure import keys
from localazure.certificate import CERTIFICATE_FILE, KEY_FILE
from localazure.cosmos.account import FILE_NAME as COSMOS_FILE
from localazure.eventgrid.store import FILE as EVENT_GRID_FILE
from localazure.eventhubs.service import FILE_NAME as EVENT_HUBS_FILE

MADE = ("cosmos.sqlite", "cosmos.sqlite-wal", "events.sqlite", "keys.json", "localazure.old.log", "out", "test")
IN_THE_STATE = re.compile(r'''(?:\bstate\(\)|"\.lab") / "([\w.-]+)"''')
"""How the programs of the project name what they make in the state folder; `settings` and `offline` say `folder`."""
IN_THE_FOLDER = re.compile(r"""\bfolder / "([\w.-]+)"|mkdtemp\(prefix="([\w-]+)", dir=beside\)""")
KEPT = ("daemon.lock", "kernels", "reset.lock", "setup.lock", "setup.log", "starting.lock")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_DATA_DIR", str(tmp_path))
    return tmp_path


def fill(folder: Path, *names: str) -> None:
    for name in names:
        if "." in name.lstrip("."):
            (folder / name).write_text("{}", encoding="utf-8")
        else:
            (folder / name).mkdir()
            (folder / name / "inside").write_text("x", encoding="utf-8")


def test_what_the_lab_made_goes_and_the_set_up_stays(folder: Path) -> None:
    fill(folder, *MADE, *KEPT)
    outcome = CliRunner().invoke(reset, ["--yes"])
    assert outcome.exit_code == 0, outcome.output
    assert sorted(path.name for path in folder.iterdir()) == sorted(KEPT)
    assert (folder / "kernels" / "inside").exists()  # a running JupyterLab goes on


@pytest.mark.parametrize("foreign", ["thesis", "final.txt", ".git"])
def test_a_folder_with_anything_else_in_it_is_left_as_it_is(folder: Path, foreign: str) -> None:
    fill(folder, *MADE, foreign)
    before = sorted(folder.rglob("*"))
    outcome = CliRunner().invoke(reset, ["--yes"])
    assert isinstance(outcome.exception, LabError)
    assert foreign in str(outcome.exception)
    assert "LAB_DATA_DIR" in str(outcome.exception)
    assert sorted(folder.rglob("*")) == before


def test_names_that_others_use_too_do_not_make_a_folder_the_labs(folder: Path) -> None:
    fill(folder, "out", "tables")
    with pytest.raises(LabError, match="is not the lab's"):
        what_the_lab_made(folder)


def test_a_desktops_own_file_is_no_stranger(folder: Path) -> None:
    fill(folder, *MADE, ".DS_Store")
    assert [path.name for path in what_the_lab_made(folder)] == sorted(MADE)


def made_somewhere() -> Iterator[str]:
    """The names of what is made in the state folder, from where it is made."""
    for file in (COSMOS_FILE, EVENT_HUBS_FILE, EVENT_GRID_FILE):
        yield from (file, f"{file}-wal", f"{file}-shm")
    yield f"{EVENT_HUBS_FILE}-ahead0"
    for file in (keys.FILE_NAME, of_the_azure.PORTS_FILE, of_the_azure.STATE_FILE, CERTIFICATE_FILE, KEY_FILE):
        yield from (file, f".{file}.4711")
    yield from (of_the_azure.LOCK_FILE, of_the_azure.STARTING_LOCK_FILE, of_the_azure.LOG_FILE)
    parts = [places.ROOT / part for part in ("bench", "docs", "labkit", "tests")]
    for program in (path for part in parts for path in part.rglob("*.py")):
        yield from IN_THE_STATE.findall(program.read_text(encoding="utf-8"))
    for name in ("settings.py", "verbs/offline.py"):
        for named, begun in IN_THE_FOLDER.findall((places.ROOT / "labkit" / name).read_text(encoding="utf-8")):
            yield named or f"{begun}4711"


def test_all_that_is_made_somewhere_in_the_project_is_known_to_it(folder: Path) -> None:
    made = set(made_somewhere())
    assert {"bench", "site", "tables", "bundle-4711", "out", "node", "test"} <= made  # the search finds something
    fill(folder, *(made | {"kernels", "setup.lock", "setup.log"}))
    assert {path.name for path in what_the_lab_made(folder)} == made - set(azure.KEPT)


def test_of_two_at_once_the_second_deletes_nothing_and_says_so(folder: Path) -> None:
    fill(folder, *MADE)
    with FileLock(folder / "reset.lock"):
        refused = CliRunner().invoke(reset, ["--yes"]).exception
    assert str(refused).startswith("another `reset` is at work in this folder")
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MADE, "reset.lock"])


def test_what_came_after_it_was_shown_is_not_deleted_with_the_rest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder, *MADE)
    monkeypatch.setattr(click, "confirm", lambda *asked, **how: fill(folder, "tables"))
    refused = CliRunner().invoke(reset).exception
    assert str(refused) == "nothing was deleted: tables came while you were asked; run the command again"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MADE, "reset.lock", "tables"])
