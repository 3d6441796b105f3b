"""Delta's jars: fetched once, compared with the lock, not used if they are others. And what workers look through."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from tests.spark.job import ROOT, WITHOUT_SPARK

pytest.importorskip("pyspark", reason=WITHOUT_SPARK)

from projection_job import modules_of
from py4j.protocol import Py4JNetworkError
from pyspark.sql import SparkSession
from spark_projection import session

GOOD = b"the jar"
LOCK = f"# a comment\norg.one:thing_2.13:1.0 sha256:{hashlib.sha256(GOOD).hexdigest()}\n"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jars.lock").write_text(LOCK, encoding="utf-8")
    monkeypatch.setattr(session, "LOCK", tmp_path / "jars.lock")
    monkeypatch.setattr(session, "KEPT", tmp_path / "kept")
    return tmp_path / "kept"


def resolves(monkeypatch: pytest.MonkeyPatch, content: bytes | None, said: str = "") -> list[list[str]]:
    """Spark's resolver brings this file for whatever it is asked (None: nothing); what it was called with."""
    calls: list[list[str]] = []
    real = subprocess.run

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        if not any("spark-submit" in word for word in command):
            return real(command, **options)  # type: ignore[call-overload, no-any-return]
        calls.append(command)
        (ivy,) = (word.partition("=")[2] for word in command if word.startswith("spark.jars.ivy="))
        if content is not None:
            Path(ivy, "jars").mkdir(parents=True)
            Path(ivy, "jars", "org.one_thing_2.13-1.0.jar").write_bytes(content)
        return subprocess.CompletedProcess(command, 0, "", said)

    monkeypatch.setattr(session.subprocess, "run", run)
    return calls


def test_a_jar_is_fetched_once_and_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = resolves(monkeypatch, GOOD)

    assert session.jars() == session.jars() == [kept / "org.one_thing_2.13-1.0.jar"]
    assert [command[1:3] for command in calls] == [["--packages", "org.one:thing_2.13:1.0"]]
    assert session.jars()[0].read_bytes() == GOOD


def test_a_file_that_the_lock_does_not_name_is_not_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, b"another one")

    with pytest.raises(session.JarsMissing, match=r"^org\.one:thing_2\.13:1\.0 is not the file that jars\.lock names"):
        session.jars()
    assert not list(kept.glob("*.jar"))


def test_one_that_was_changed_afterwards_is_fetched_again(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = resolves(monkeypatch, GOOD)
    (jar,) = session.jars()
    jar.write_bytes(b"changed")

    assert session.jars()[0].read_bytes() == GOOD
    assert len(calls) == 2


def test_what_the_resolver_said_is_told_when_nothing_came(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, None, "first\nHost not found\n\n")

    with pytest.raises(session.JarsMissing, match="could not be fetched: Host not found"):
        session.jars()


@pytest.mark.parametrize("heard", [Py4JNetworkError("Answer from Java side is empty"), ConnectionRefusedError(111)])
def test_that_java_has_ended_is_told_as_that(heard: Exception) -> None:
    with pytest.raises(session.SparkEnded, match="Java process is gone"), session.while_java_runs():
        raise heard


def test_the_lock_of_this_repository_can_be_read() -> None:
    assert next(jar.file for jar in session.locked_jars()).startswith("io.delta_delta-spark_2.13-4.")


def test_a_worker_has_no_archive_of_spark_to_look_through_before_each_task(spark: SparkSession) -> None:
    def looked_through(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        list(parts)
        places = [place for place in sys.path_importer_cache if ".zip" in place or ".jar" in place]
        yield pa.RecordBatch.from_pydict({"place": ["none", *places]})

    found = spark.range(1).mapInArrow(looked_through, "place string").collect()

    assert {row.place for row in found} == {"none"}


def test_a_worker_folds_with_the_modules_that_the_job_has_shipped(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Also where the job is called in a folder that holds modules of these names."""

    def places(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import spark_projection.folding

        import labkit

        list(parts)
        yield pa.RecordBatch.from_pydict({"place": [spark_projection.folding.__file__, labkit.__file__]})

    context = spark.sparkContext
    called_in = Path(context._jvm.java.lang.System.getProperty("user.dir"))  # type: ignore[union-attr]
    for name in ("labkit", "spark_projection"):
        shutil.copytree(Path(sys.modules[name].__path__[0]), called_in / name)
        request.addfinalizer(partial(shutil.rmtree, called_in / name))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(context, "_python_includes", [])
    monkeypatch.setitem(context.environment, "ASKED_BY", "this test")  # workers of its own
    context.addPyFile(modules_of(ROOT, tmp_path / "modules"))

    found = {row.place for row in spark.range(1).mapInArrow(places, "place string").collect()}

    assert {place.partition("projection.zip/")[2] for place in found} == {
        "spark_projection/folding.pyc",
        "labkit/__init__.pyc",
    }
