"""A Spark of this machine, one for each file of tests that asks for it.

`tests.spark.job` makes the job's own modules importable, for all files here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.spark import job

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from spark_projection.session import session

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", job.SHORT_LIVED)
        for name in ("PYTHONPATH", "PYSPARK_PYTHON"):  # which the session sets for its workers, and no later test needs
            patch.setenv(name, "")
        patch.syspath_prepend(str(tmp_path_factory.mktemp("elsewhere")))  # the workers do not look where this one does
        patch.chdir(tmp_path_factory.mktemp("spark"))
        one = session("local[2]")
        yield one
        one.stop()
