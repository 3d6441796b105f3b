"""What other places read to set the lab up: each names what is there. The places themselves are not run here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from labkit.__main__ import VERBS
from tests.setup.conftest import ROOT


def test_the_dev_container_calls_verbs_that_exist_and_names_the_python_they_make() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    called = re.findall(r"lab\.py (\w+)", container["postCreateCommand"])
    assert called
    assert set(called) <= {*VERBS, "doctor"}
    settings = container["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
    assert settings["jupyter.notebookFileRoot"] == "${fileDirname}", "checks are noted where the notebook is"


def test_binder_installs_the_lock_that_run_needs() -> None:
    lines = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (named,) = (line.removeprefix("-r ") for line in lines if line.startswith("-r "))
    assert (ROOT / "binder" / named).resolve() == ROOT / "requirements.lock"
    assert (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip() == "python-3.12"
    script = (ROOT / "binder" / "postBuild").read_text(encoding="utf-8")
    if os.name != "nt":
        assert os.access(ROOT / "binder" / "postBuild", os.X_OK)
        assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert set(re.findall(r"-m labkit (\w+)", script)) <= set(VERBS)


def test_ci_runs_every_python_that_the_lab_allows_and_every_system() -> None:
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    matrix = ci["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    systems = {*matrix["os"], *(one["os"] for one in matrix["include"])}
    assert {name.partition("-")[0] for name in systems} == {"ubuntu", "macos", "windows"}


def test_copies_for_an_editor_are_made_and_nothing_is_opened(tmp_path: Path) -> None:
    made = tmp_path / "my_lab"
    code = (
        "import sys; from pathlib import Path; from labkit.verbs import copies, lab\n"
        "copies.STUDENT = Path(sys.argv[1]); lab.open_jupyterlab = None\n"
        "lab.lab(['--only-copies'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(made)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("New in my_lab/, yours to work in: 01_write_model.ipynb")
    assert len(list(made.glob("*.ipynb"))) == 5
