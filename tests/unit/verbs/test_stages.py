"""What the `test` verb makes of skips and of processes left behind, and in which order it begins files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from filelock import FileLock

from labkit import connections, settings
from tests import conftest, stages
from tests.spark import conftest as spark


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A real report of pytest: one test passes, one is skipped for its platform, one for something CI could have."""
    (tmp_path / "test_three.py").write_text(
        "import pytest\n"
        "def test_passes(): pass\n"
        "@pytest.mark.skip(reason='only on Windows')\n"
        "def test_platform(): pass\n"
        "@pytest.mark.skip(reason='no browser here')\n"
        "def test_browser(): pass\n",
        encoding="utf-8",
    )
    path = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    plain = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # which takes seconds, and no report needs
    done = subprocess.run([*command, f"--junitxml={path}", str(tmp_path)], capture_output=True, check=False, env=plain)
    assert done.returncode == 0, done.stdout
    return path


def test_a_skip_that_ci_could_avoid_is_named_and_one_for_the_platform_is_not(report: Path) -> None:
    (found,) = stages.avoidable_skips(report)

    assert "test_browser: no browser here" in found


def test_a_process_of_the_run_that_is_still_there_is_found(monkeypatch: pytest.MonkeyPatch, fresh_name: str) -> None:
    monkeypatch.setattr(stages, "ENDING_SECONDS", 0.0)
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={stages.MARK: fresh_name})
    try:
        (found,) = stages.left_behind(fresh_name)
        assert found.startswith(f"process {sleeper.pid}: ")
        assert stages.left_behind("another") == []
    finally:
        sleeper.communicate(b"\n")


def test_of_two_at_once_the_second_says_so_and_takes_nothing_from_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings.DATA_DIR, str(tmp_path))
    log = tmp_path / "test" / "ruff.log"
    log.parent.mkdir()
    log.write_text("what the first one says", encoding="utf-8")
    with FileLock(tmp_path / "test.lock"):
        done = CliRunner().invoke(stages.main, ["ruff"])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "another `test` is at work in this folder" in done.output
    assert log.exists()


def test_the_stages_see_no_azure_and_a_state_folder_of_their_own_and_keep_what_they_compile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(connections.COSMOS, "AccountEndpoint=...")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    around = stages.surroundings(tmp_path, "m1")

    assert not {connections.COSMOS, "PYTHONDONTWRITEBYTECODE"} & set(around)
    assert around[settings.DATA_DIR] == str(tmp_path)
    assert around[stages.MARK] == "m1"


def test_the_longest_files_are_begun_first_and_the_quick_ones_last() -> None:
    here = conftest.ROOT / "tests"
    files = [conftest.LONGEST[0], here / "contract" / "test_one.py", here / "chaos" / "test_two.py", Path(__file__)]
    items: Any = [
        SimpleNamespace(path=path) for tests, path in zip((1, 1, 2, 3), files, strict=True) for _ in range(tests)
    ]
    conftest.pytest_collection_modifyitems(items)

    assert all(path.exists() for path in conftest.LONGEST)
    assert list(dict.fromkeys(item.path for item in items)) == [files[0], files[2], files[1], files[3]]
    assert "--no-loadscope-reorder" in stages.STAGES["pytest"], "else xdist has an order of its own"


def test_the_files_whose_tests_share_a_session_of_spark_are_given_to_one_worker(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pytestconfig.option, "tx", ["popen"])
    monkeypatch.setattr(pytestconfig.option, "dist", stages.WORKERS[stages.WORKERS.index("--dist") + 1])
    scheduler = conftest.pytest_xdist_make_scheduler(pytestconfig, None)
    assert scheduler is not None
    assert len({scheduler._split_scope(f"{file}::test_one") for file in conftest.ONE_SPARK}) == 1
    assert scheduler._split_scope("tests/spark/test_verb.py::test_one") == "tests/spark/test_verb.py"

    monkeypatch.setattr(pytestconfig.option, "dist", "load")
    assert conftest.pytest_xdist_make_scheduler(pytestconfig, None) is None, "whoever asks for another gets it"


@pytest.mark.parametrize("fixtures", [["spark"], ["tables", "made", "spark"]])
def test_a_file_that_asks_for_the_session_of_spark_is_one_of_those(fixtures: list[str]) -> None:
    assert all((conftest.ROOT / file).exists() for file in conftest.ONE_SPARK)
    asking: Any = [
        SimpleNamespace(nodeid=f"{file}::test_one", fixturenames=fixtures)
        for file in ("tests/spark/test_verb.py", *conftest.ONE_SPARK)
    ]

    with pytest.raises(pytest.fail.Exception, match=r"test_verb\.py would start a second Spark"):
        spark.pytest_runtest_setup(asking[0])
    for item in asking[1:]:
        spark.pytest_runtest_setup(item)
