"""`lab.py lab`: which copies it opens, what it says, and that `reset` leaves the reader's alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from labkit.errors import LabError
from labkit.verbs import copies, lab
from labkit.verbs.azure import reset
from tests.unit.verbs.short_notebooks import ids


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, str, tuple[str, ...]]]:
    """Calls the verb without JupyterLab: what was printed, whose tabs it would open in which folder, its options."""
    monkeypatch.setattr(copies, "STUDENT", tmp_path / "my_lab")
    monkeypatch.setenv("LAB_DATA_DIR", str(tmp_path / "state"))
    begun: list[tuple[str, tuple[str, ...]]] = []

    def begin_there(root: Path, begin: Path, tabs: str, options: tuple[str, ...]) -> None:
        begun.append((f"{tabs} in {begin.relative_to(root)}", options))

    monkeypatch.setattr(lab, "open_jupyterlab", begin_there)

    def call(*arguments: str) -> tuple[str, str, tuple[str, ...]]:
        outcome = CliRunner().invoke(lab.lab, arguments)
        if outcome.exception:
            raise outcome.exception
        return outcome.output, *begun.pop()

    return call


def test_the_verb_opens_the_readers_copies_and_hands_other_options_on(opened, tmp_path: Path) -> None:
    said, folder, options = opened("--no-browser", "--port=8890")
    assert said.startswith("New in my_lab/, yours to work in: 01_write_model.ipynb, ")
    assert (folder, options) == ("student in my_lab", ("--no-browser", "--port=8890"))
    assert opened() == ("", "student in my_lab", ())


def test_the_verb_says_in_one_line_what_has_changed_and_how_to_get_it(opened, tmp_path: Path) -> None:
    opened()
    copy = tmp_path / "my_lab" / "03_projections.ipynb"
    book = json.loads(copy.read_text(encoding="utf-8"))
    book["metadata"]["labkit"]["source"] = "of old"
    copy.write_text(json.dumps(book), encoding="utf-8")

    (line,) = opened()[0].splitlines()
    assert "03_projections.ipynb" in line
    assert "`python3 lab.py lab --fresh 03`" in line

    said, folder, options = opened("--fresh", "03", "--no-browser")
    assert "New in my_lab/, yours to work in: 03_projections.ipynb." in said
    (kept,) = (tmp_path / "my_lab" / "backups").iterdir()
    assert f"my_lab/backups/{kept.name}" in said
    assert (folder, options) == ("student in my_lab", ("--no-browser",))
    assert opened()[0] == ""


def test_fresh_without_a_name_is_all_of_them(opened, tmp_path: Path) -> None:
    opened()
    said, _, options = opened("--fresh", "--no-browser")
    assert said.count(".ipynb") == 5
    assert options == ("--no-browser",)
    assert len(list(tmp_path.glob("my_lab/backups/*/*.ipynb"))) == 5


def test_the_verb_opens_the_solved_copies_and_the_originals(opened, tmp_path: Path) -> None:
    assert opened("--solved")[:2] == ("", "solved in notebooks")
    assert "exercise-1" not in ids(tmp_path / "state" / "solved" / "notebooks" / "03_projections.ipynb")
    assert opened("--authoring")[:2] == ("", "authoring in notebooks")
    assert not (tmp_path / "my_lab").exists()


@pytest.mark.parametrize("both", [("--solved", "--authoring"), ("--solved", "--fresh"), ("--authoring", "--fresh=03")])
def test_two_kinds_of_copies_at_once_are_refused(opened, both: tuple[str, ...]) -> None:
    with pytest.raises(LabError, match="give one of them"):
        opened(*both)


def test_a_notebook_there_is_not_is_refused_with_those_there_are(opened) -> None:
    with pytest.raises(LabError, match="no notebook '09'; there are 01_write_model"):
        opened("--fresh", "09")


def test_reset_deletes_the_solved_copies_and_never_the_readers(opened, tmp_path: Path) -> None:
    opened()
    opened("--solved")
    (tmp_path / "state" / "kernels").mkdir()
    assert CliRunner().invoke(reset, ["--yes"]).exit_code == 0
    assert not (tmp_path / "state" / "solved").exists()
    assert len(list((tmp_path / "my_lab").glob("*.ipynb"))) == 5
