"""The Databricks bundle: its files are there, its names and versions are those of the locks, it holds no secret."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import projection_job
import pytest
import yaml

from labkit.verbs import attaching
from tests.setup.test_locks import pins
from tests.spark.job import BUNDLE, ROOT, WITHOUT_SPARK

JOB = BUNDLE / "resources" / "projection.job.yml"
RUNTIME = {"17.3.x-scala2.13": "4.0"}
"""Databricks Runtime -> the Spark in it. Source: learn.microsoft.com/azure/databricks/release-notes/runtime."""
OF_THE_RUNTIME = {"pyspark", "delta-spark", "py4j", "pyarrow", "numpy", "setuptools", "psutil"}
"""psutil: Spark takes it where it is."""
OURS = {"cqrs-on-azure-lab"}
BROUGHT_ALONG = {"arro3-core", "typing_extensions", "azure-core", "urllib3", "requests", "certifi"}
"""By the libraries that need them."""
IMPORTS = """
import sys
sys.path[:0] = sys.argv[1:]
import importlib.metadata
there = set(sys.modules)
import spark_projection.batches, spark_projection.progress, spark_projection.session, spark_projection.sources
import azure.cosmos
names = importlib.metadata.packages_distributions()
found = {name.partition(".")[0] for name in set(sys.modules) - there} - {"azure"}
print(" ".join(sorted({package for name in found for package in names.get(name, [])})))
"""


SHIPPED = """
import sys
sys.path.insert(0, sys.argv[1])
from spark_projection.folding import EVENT_COLUMNS, folded, name_aggregates
from labkit.projections import folds
import pyarrow
batch = pyarrow.RecordBatch.from_pylist([{"hub_partition": "0", "sequence_number": 7, "body": b"none"}], EVENT_COLUMNS)
print([row["aggregate_id"] for one in name_aggregates([batch]) for row in one.to_pylist()])
print(all(sys.modules[one.__module__].__file__.startswith(sys.argv[1]) for one in (folded, folds.fold)))
print({"azure", "deltalake", "delta", "fastapi"} & set(sys.modules))
"""


def bundle() -> Any:
    return yaml.safe_load((BUNDLE / "databricks.yml").read_text(encoding="utf-8"))


def job() -> Any:
    (one,) = yaml.safe_load(JOB.read_text(encoding="utf-8"))["resources"]["jobs"].values()
    return one


def task() -> Any:
    (one,) = job()["tasks"]
    return one


def cluster() -> Any:
    (one,) = job()["job_clusters"]
    assert one["job_cluster_key"] == task()["job_cluster_key"]
    return one["new_cluster"]


def test_the_bundle_brings_the_job_and_every_module_that_it_imports() -> None:
    included = {path for pattern in bundle()["include"] for path in BUNDLE.glob(pattern)}
    uploaded = [(BUNDLE / path).resolve() for path in bundle()["sync"]["paths"]]

    assert JOB in included
    assert (JOB.parent / task()["spark_python_task"]["python_file"]).resolve() == BUNDLE / "projection_job.py"
    assert uploaded == [BUNDLE, ROOT / "labkit"]


def test_each_variable_is_declared_and_each_one_declared_is_used() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (BUNDLE / "databricks.yml", JOB))

    assert set(re.findall(r"\$\{var\.(\w+)\}", text)) == set(bundle()["variables"])


def test_the_job_takes_the_options_that_it_is_given() -> None:
    said = task()["spark_python_task"]["parameters"]
    help_text = subprocess.run(
        [sys.executable, str(BUNDLE / "projection_job.py"), "--help"], capture_output=True, text=True, check=True
    ).stdout

    assert all(isinstance(one, str) for one in said)
    assert said[said.index("--source") + 1] == "kafka"
    assert "--master" not in said
    for option in (one for one in said if one.startswith("--")):
        assert f"{option} " in help_text


def test_the_runtime_has_the_spark_of_the_lock() -> None:
    (version,) = pins("requirements-spark")["pyspark"]

    assert version.rpartition(".")[0] == RUNTIME[cluster()["spark_version"]]


def test_the_jars_are_those_of_the_locked_delta() -> None:
    (version,) = pins("requirements-spark")["delta-spark"]
    lines = (BUNDLE / "jars.lock").read_text(encoding="utf-8").splitlines()
    jars = dict(line.split() for line in lines if not line.startswith("#"))

    assert {f"io.delta:delta-spark_2.13:{version}", f"io.delta:delta-storage:{version}"} < set(jars)
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in jars.values())


def test_the_libraries_are_what_the_job_imports_at_the_locked_versions() -> None:
    pytest.importorskip("pyspark", reason=WITHOUT_SPARK)
    asked = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(BUNDLE), str(ROOT)], capture_output=True, text=True, check=True
    )
    libraries = dict(one["pypi"]["package"].split("==") for one in task()["libraries"])
    needed = set(asked.stdout.split()) - OF_THE_RUNTIME - BROUGHT_ALONG - OURS

    locked = pins("requirements")
    assert {name: {version} for name, version in libraries.items()} == {name: locked[name] for name in libraries}
    assert set(libraries) == needed | {"azure-cosmos"}


def test_what_is_shipped_to_the_workers_is_all_that_they_fold_with(tmp_path: Path) -> None:
    archive = projection_job.modules_of(ROOT, tmp_path)

    done = subprocess.run(
        [sys.executable, "-I", "-c", SHIPPED, archive], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines() == ["['']", "True", "set()"], done.stderr


def test_the_secrets_come_from_a_scope() -> None:
    environment = cluster()["spark_env_vars"]
    script = (BUNDLE / "projection_job.py").read_text(encoding="utf-8")

    for name, value in environment.items():
        assert re.fullmatch(r"\{\{secrets/\$\{var\.secret_scope\}/[a-z-]+\}\}", value)
        assert f'os.environ["{name}"]' in script


def test_one_run_writes_the_tables() -> None:
    assert job()["max_concurrent_runs"] == 1
    assert job()["continuous"] == {"pause_status": "${var.pause_status}"}
    assert bundle()["variables"]["pause_status"]["default"] == "UNPAUSED"
    assert bundle()["targets"]["dev"]["variables"] == {"pause_status": "PAUSED"}
    assert "schedule" not in job()


def test_only_whoever_deploys_can_change_what_runs_with_the_secrets() -> None:
    assert bundle()["targets"]["prod"]["workspace"]["root_path"].startswith(
        "/Workspace/Users/${workspace.current_user.userName}/"
    )


def test_the_lane_and_the_tables_are_where_the_parked_verb_looks_for_those_of_a_lab() -> None:
    said = task()["spark_python_task"]["parameters"]

    assert said[said.index("--parked") + 1] == f"${{var.name}}{attaching.LANE_ENDING}"
    assert said[said.index("--tables") + 1] == "${var.store}/${var.name}"


def test_the_readme_gives_every_variable_that_has_no_default() -> None:
    needed = {name for name, one in bundle()["variables"].items() if "default" not in one}
    text = (BUNDLE / "README.md").read_text(encoding="utf-8")
    commands = [line for line in text.splitlines() if re.match(r"databricks bundle (validate|deploy)", line)]

    assert len(commands) == 2
    for command in commands:
        assert needed <= set(re.findall(r'--var="?(\w+)=', command))
