"""`reset` deletes what the lab made, and nothing where it is not alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from labkit.errors import LabError
from labkit.verbs.azure import reset, what_the_lab_made

MADE = ("cosmos.sqlite", "cosmos.sqlite-wal", "events.sqlite", "keys.json", "localazure.old.log", "out", "test")
KEPT = ("daemon.lock", "kernels", "setup.lock", "setup.log", "starting.lock")


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
