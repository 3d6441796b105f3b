"""One Spark of this machine for all files of tests that ask for it, and tables that it has made.

Most of what a Spark costs here is its start: a JVM loads and compiles for half a minute before it is quick. So these
files share one, and `tests/conftest.py` has one worker run them all. A test of another file that asks for it, by
whatever fixture, fails. `tests.spark.job` makes the job's own modules importable, for all files here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ONE_SPARK
from tests.spark import job

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from spark_projection.tables import Tables


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Function) -> None:
    file = item.nodeid.partition("::")[0]
    if "spark" in item.fixturenames and file not in ONE_SPARK:
        pytest.fail(f"{file} would start a second Spark: it belongs into ONE_SPARK (tests/conftest.py)", pytrace=False)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from spark_projection.session import session

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", job.SHORT_LIVED)
        for name in ("PYTHONPATH", "PYSPARK_PYTHON"):  # which the session sets for its workers, and no later test needs
            patch.setenv(name, "")
        patch.syspath_prepend(str(tmp_path_factory.mktemp("elsewhere")))  # the workers do not look where this one does
        patch.chdir(tmp_path_factory.mktemp("spark"))
        one = session("local[2]")
    one.conf.set("spark.sql.adaptive.enabled", "false")  # as Spark 4.0 has it in a stream, where all of this runs
    yield one
    one.stop()


@pytest.fixture(scope="session")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three tables as the job makes them, empty."""
    from spark_projection.tables import Tables

    folder = tmp_path_factory.mktemp("made") / "tables"
    Tables(str(folder)).make(spark)
    return folder


@pytest.fixture
def tables(made: Path, tmp_path: Path) -> Tables:
    """A copy of them for one test."""
    from spark_projection.tables import Tables

    return Tables(str(shutil.copytree(made, tmp_path / "tables")))
