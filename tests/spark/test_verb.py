"""`labkit spark` over the hub of a lab that is open, as a person in another terminal calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from azure.eventhub import EventData
from click.testing import CliRunner

from labkit import settings
from labkit.lab import open_lab
from labkit.projections.parking import ParkingLane
from labkit.verbs.spark import WITH_STARTER, fill, spark
from localazure import daemon
from tests.spark import job

pytest.importorskip("pyspark", reason=job.WITHOUT_SPARK)


def test_an_open_lab_is_projected_its_views_answer_and_its_lane_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings.DATA_DIR, str(tmp_path))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", job.SHORT_LIVED)
    (tmp_path / "the caller's").mkdir()
    monkeypatch.chdir(tmp_path / "the caller's")
    try:
        with open_lab("03", partitions=2, target=settings.target()) as lab:
            sent = fill(lab, 10) + 1
            lab.producer().send_batch([EventData(b"no event")], partition_id="0")

            done = CliRunner().invoke(spark, ["--lab", lab.name])

            assert done.exit_code == 0, (done.output, done.exception)
            lines = done.output.splitlines()
            assert lines[0].startswith("Spark starts")
            assert lines[1].startswith("trigger   0")
            assert sum(int(line.split()[2]) for line in lines if line.startswith("trigger")) == sent
            counted = [line.split() for line in lines if line[:3] == "202"]
            assert sum(int(day[1]) for day in counted) == 10
            assert lines[-1].startswith("parked: 1 of no aggregate, the first cannot be read: ")
            assert f"The tables are in {lab.tables_url}/spark; " in done.output
            assert ParkingLane(lab.container("parked-events", "projector")).held(lab.hub) == []
            assert list(Path.cwd().iterdir()) == []
    finally:
        daemon.stop(tmp_path)


def of_the_job(starter: int) -> dict[psutil.Process, str]:
    """The processes that are there below this one, but for the embedded Azure, and their names."""
    found = {}
    for one in psutil.Process(starter).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # Java has files made executable by programs that end at once
            if one.status() != psutil.STATUS_ZOMBIE and "localazure" not in one.cmdline():
                found[one] = one.name()
    return found


@pytest.mark.skipif(not WITH_STARTER, reason="only on systems where a read that waits at a pipe holds nobody up")
def test_killed_it_leaves_no_job_no_java_and_no_worker(tmp_path: Path) -> None:
    environment = {**os.environ, settings.DATA_DIR: str(tmp_path), "JAVA_TOOL_OPTIONS": job.SHORT_LIVED}
    command = [sys.executable, "-m", "labkit", "spark", "--orders", "20", "--max-events", "1"]
    try:
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as verb:
            assert verb.stdout is not None
            try:
                assert any(line.startswith("trigger") for line in verb.stdout)
                left = of_the_job(verb.pid)
            finally:
                verb.kill()
        assert "java" in left.values()
        _, alive = psutil.wait_procs(left, timeout=job.PATIENCE_SECONDS)
        for one in alive:
            one.kill()
        assert alive == []
    finally:
        daemon.stop(tmp_path)
