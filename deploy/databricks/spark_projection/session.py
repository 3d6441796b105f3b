"""The Spark session: the cluster's own on Databricks, and here one of this machine with Delta's jars.

Owns where the jars come from. `jars.lock` names them with their hashes; Spark's own resolver fetches them once, they
are compared, and kept beside the Python packages. What is not the file that the lock names is not used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from py4j.protocol import Py4JNetworkError
from pyspark.sql import SparkSession

import labkit

LOCK = Path(__file__).resolve().parent.parent / "jars.lock"
KEPT = Path(sys.prefix) / "spark-jars"
MODULES = [str(LOCK.parent), str(Path(labkit.__file__).resolve().parent.parent)]
"""Where the workers of this machine find `spark_projection` and `labkit`, whatever else is on the path."""
HERE = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.databricks.delta.merge.materializeSource": "none",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.warehouse.dir": KEPT.with_name("spark-warehouse").as_uri(),
    "spark.python.daemon.module": "spark_projection.daemon",
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.log.level": "ERROR",
}
"""For a few thousand events on a machine; a cluster has its own values of all of these. A MERGE need not write its
source down first here, where no machine can be lost with what `batches` keeps of it. Nothing is put into the warehouse;
Spark makes its folder all the same, and would do so wherever it is called."""
EVERYWHERE = {"spark.sql.session.timeZone": "UTC", "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}
"""Times are UTC, and are written as delta-rs, DuckDB and Synapse read them, not as Spark's INT96."""


class JarsMissing(RuntimeError):
    """Delta's jars could not be fetched, or are not those of the lock."""


class SparkEnded(RuntimeError):
    """The Java process of Spark is gone, and its driver here is left alone."""


@contextmanager
def while_java_runs() -> Iterator[None]:
    """Raises: `SparkEnded` for what this process hears of a Java that was killed: that nobody answers."""
    try:
        yield
    except (Py4JNetworkError, ConnectionRefusedError) as gone:
        raise SparkEnded(
            "Spark's Java process is gone, killed or out of memory: begin the job again, it goes on from its checkpoint"
        ) from gone


@dataclass(frozen=True, slots=True)
class Jar:
    """`group:artifact:version` and the SHA-256 of its file."""

    coordinate: str
    sha256: str

    @property
    def file(self) -> str:
        """As Spark's resolver names it."""
        group, artifact, version = self.coordinate.split(":")
        return f"{group}_{artifact}-{version}.jar"


def locked_jars() -> list[Jar]:
    lines = (line.split() for line in LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return [Jar(coordinate, digest.removeprefix("sha256:")) for coordinate, digest in lines]


def session(master: str | None) -> SparkSession:
    """`master` ("local[2]") makes one here; without it, the one there is."""
    builder = SparkSession.builder.appName("projection")
    if master is not None:
        os.environ["PYSPARK_PYTHON"] = sys.executable
        os.environ["PYTHONPATH"] = os.pathsep.join(MODULES)  # what asks a Python source for offsets gets no zips
        builder = builder.master(master).config("spark.jars", ",".join(map(str, jars())))
        for name, value in HERE.items():
            builder = builder.config(name, value)
    spark = builder.getOrCreate()
    for name, value in EVERYWHERE.items():
        spark.conf.set(name, value)
    return spark


def jars() -> list[Path]:
    """The files of the lock on this machine, fetched if they are missing. Raises: `JarsMissing`."""
    wanted = locked_jars()
    KEPT.mkdir(exist_ok=True)
    with FileLock(KEPT / "fetching.lock"):
        if not all(is_the_one(KEPT / jar.file, jar) for jar in wanted):
            with tempfile.TemporaryDirectory() as scratch:
                fetch(wanted, Path(scratch))
    return [KEPT / jar.file for jar in wanted]


def fetch(wanted: list[Jar], scratch: Path) -> None:
    """Have `spark-submit` resolve them for a program that does nothing, and keep those that are the right ones."""
    nothing = scratch / "nothing.py"
    nothing.write_text("", encoding="utf-8")
    command = [sys.executable, "-m", "pyspark.find_spark_home"]
    home = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    submit = str(Path(home, "bin", "spark-submit.cmd" if os.name == "nt" else "spark-submit"))
    coordinates = ",".join(jar.coordinate for jar in wanted)
    options = ["--packages", coordinates, "--conf", f"spark.jars.ivy={scratch / 'ivy'}"]
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    done = subprocess.run(
        [submit, *options, str(nothing)], env=environment, capture_output=True, text=True, check=False
    )
    for jar in wanted:
        came = scratch / "ivy" / "jars" / jar.file
        if not came.exists():
            raise JarsMissing(f"{jar.coordinate} could not be fetched: {last_words(done.stderr)}")
        if not is_the_one(came, jar):
            raise JarsMissing(f"{jar.coordinate} is not the file that {LOCK.name} names; it is not used")
        shutil.copy(came, KEPT / jar.file)


def is_the_one(path: Path, jar: Jar) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def last_words(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing was said")
