"""The locks: whole, hashed, naming no address; and conda's file, read as pip reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from labkit.verbs import locks
from tests.setup.conftest import ROOT

LOCKS = ("requirements", "requirements-dev", "requirements-spark")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;]+)")


def pins(name: str) -> dict[str, set[str]]:
    """Package -> versions (one each for different Pythons)."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / f"{name}.lock").read_text(encoding="utf-8").splitlines():
        if match := PIN.match(line):
            found.setdefault(match[1].lower(), set()).add(match[2])
    return found


def asked_for(name: str) -> set[str]:
    lines = (ROOT / f"{name}.in").read_text(encoding="utf-8").splitlines()
    return {re.split(r"[<>=!~\[ ]", line)[0].lower() for line in lines if line and line[0] not in "#-"}


@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--upgrad", 2)])
def test_an_option_that_there_is_not_writes_no_lock(option: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert locks.write([option], Path("nowhere")) == code
    assert capsys.readouterr().err.startswith("usage: python lab.py lock [--upgrade] ")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_address(name: str) -> None:
    assert not re.search(r"https?:|://|--(extra-)?index-url|--find-links", (ROOT / f"{name}.lock").read_text("utf-8"))


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_has_hashes(name: str) -> None:
    lines = [line for line in (ROOT / f"{name}.lock").read_text("utf-8").splitlines() if "#" not in line]
    for pin, following in zip(lines, [*lines[1:], ""], strict=True):
        if PIN.match(pin):
            assert pin.endswith("\\"), pin
            assert following.lstrip().startswith("--hash=sha256:"), pin


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_everything_its_list_asks_for(name: str) -> None:
    assert asked_for(name) <= set(pins(name))


@pytest.mark.parametrize("name", LOCKS[1:])
def test_all_locks_name_the_same_versions_of_what_they_share(name: str) -> None:
    core, more = pins("requirements"), pins(name)
    assert {name: more[name] for name in more if name in core} == {name: core[name] for name in more if name in core}


def test_spark_alone_is_installed_from_source() -> None:
    options = [
        (name, line)
        for name in LOCKS
        for line in (ROOT / f"{name}.lock").read_text("utf-8").splitlines()
        if line.startswith("--")
    ]
    assert options == [("requirements-spark", "--no-binary pyspark")]


def conda_pip_section() -> list[str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (section,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    return [str(line) for line in section]


def pip_takes(lines: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """What conda does: the section becomes one requirements file beside environment.yml, for one call of pip."""
    for name in ("requirements.lock", "requirements-dev.lock", "requirements.in", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "condaenv.requirements.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--disable-pip-version-check"]
    command += ["-r", "condaenv.requirements.txt"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_pip_installs_the_pip_section_of_the_conda_environment(tmp_path: Path) -> None:
    done = pip_takes(conda_pip_section(), tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_project_itself_could_not_stand_in_that_section(tmp_path: Path) -> None:
    done = pip_takes([*conda_pip_section(), "-e ."], tmp_path)

    assert done.returncode != 0
    assert "hash" in done.stderr


def test_the_conda_environment_holds_what_the_notebooks_and_their_tests_name() -> None:
    section = conda_pip_section()
    packages = {name for lock in LOCKS if f"-r {lock}.lock" in section for name in pins(lock)}

    named = {"jupyterlab", "papermill", "nbval", "azure-cosmos", "azure-eventhub", "pandas", "matplotlib", "deltalake"}
    assert named <= packages
