"""`spark`: how the job is started here, and what it is given to project. The job itself: tests/spark."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from labkit import Lab, open_lab, settings
from labkit.connections import COSMOS, COSMOS_READ_ONLY, HUB, LISTEN, READ_STORE, SEND_AND_LISTEN
from labkit.errors import LabError
from labkit.projections.parking import ParkingLane
from labkit.settings import Target, embedded
from labkit.verbs import places, spark
from labkit.verbs.attaching import NoSuchLab
from localazure.handle import LocalAzure

PATIENCE_SECONDS = 60.0


@pytest.fixture
def target(azure: LocalAzure, tmp_path: Path) -> Target:
    return embedded(azure, tmp_path)


@pytest.fixture
def lab(target: Target) -> Iterator[Lab]:
    with open_lab("03", partitions=2, target=target) as one:
        yield one


def test_the_job_is_told_everything_but_the_secrets_by_options(lab: Lab, target: Target) -> None:
    command, environment = spark.job(lab, target, "tables", "checkpoint", "--master", "local[2]", lane="its-own")

    assert Path(command[1]).is_file()
    assert len(set(command[2::2])) == len(command[2::2]), "each is said once"
    said = dict(zip(command[2::2], command[3::2], strict=True))
    assert said["--hub"] == lab.hub
    assert (said["--source"], said["--parked"]) == ("azure-eventhub", "its-own")
    assert (said["--tables"], said["--checkpoint"], said["--master"]) == ("tables", "checkpoint", "local[2]")
    assert (environment[LISTEN], environment[COSMOS]) == (target.listen, target.cosmos)
    assert not any("Key=" in word for word in command)


def test_a_lab_of_its_own_is_filled_with_the_lives_of_orders(lab: Lab) -> None:
    sent = spark.fill(lab, 8)

    ends = [lab.consumer("monitor", "lessons").get_partition_properties(part) for part in lab.partition_ids]
    assert sent > 8
    assert sum(one["last_enqueued_sequence_number"] + 1 for one in ends) == sent


def test_what_the_job_parks_is_kept_apart_from_the_lane_of_the_lab(lab: Lab) -> None:
    lane = spark.own_lane(lab)

    lane.create_item({"id": "0-7", "aggregateId": "order-20260105-a", "hub": lab.hub})

    assert spark.own_lane(lab).read_item("0-7", "order-20260105-a"), "the next run goes on with it"
    assert ParkingLane(lab.container("parked-events", "projector")).held(lab.hub) == []


def test_on_azure_it_is_told_where_the_job_runs_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    account = "AccountEndpoint=https://shop.documents.azure.com:443/;AccountKey=a2V5"
    hub = "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=all;SharedAccessKey=a2V5"
    for name, value in ((COSMOS, account), (COSMOS_READ_ONLY, account), (SEND_AND_LISTEN, hub), (HUB, "orders")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(READ_STORE, "abfss://lake@shop.dfs.core.windows.net/tables")

    outcome = CliRunner().invoke(spark.spark, ["--lab", "lab03-x"])

    assert isinstance(outcome.exception, LabError)
    assert "on Azure the job runs on Databricks" in str(outcome.exception)


def test_a_trigger_is_one_line() -> None:
    trigger = {"batch": 3, "events": 1000, "ms": {"triggerExecution": 2345, "addBatch": 2000}}

    assert spark.told(trigger) == "trigger   3    1,000 events     2.3 s"


def test_what_java_says_between_the_triggers_goes_into_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = '{"batch": 3, "events": 1000, "ms": {"triggerExecution": 2345}}'
    script = f"print('[0.1s][warning][os] no large pages'); print('{line}')"

    spark.run([sys.executable, "-c", script], os.environ, tmp_path / "spark.log")

    assert capsys.readouterr().out == "trigger   3    1,000 events     2.3 s\n"
    assert "no large pages" in (tmp_path / "spark.log").read_text(encoding="utf-8")


def test_each_job_has_a_log_of_its_own_and_the_oldest_go(tmp_path: Path) -> None:
    for age in range(spark.LOGS_KEPT + 3):
        old = tmp_path / f"lab03-{age:02}-1.log"
        old.write_text("old", encoding="utf-8")
        os.utime(old, (1_000_000 - age, 1_000_000 - age))

    log = spark.log_in(tmp_path, "lab03-x")

    assert log == tmp_path / f"lab03-x-{os.getpid()}.log"
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [f"lab03-{age:02}-1.log" for age in range(spark.LOGS_KEPT - 1)]


@pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")
def test_a_job_ends_with_whoever_started_it_however_that_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_SECONDS)
        job = (
            f"import socket, sys; sys.path.insert(0, {str(places.ROOT / 'deploy' / 'databricks')!r})\n"
            f"import projection_job; projection_job.end_with_starter()\n"
            f"socket.create_connection({listening.getsockname()}).recv(1)"
        )
        verb = (
            "import os, sys; from pathlib import Path; from labkit.verbs import spark\n"
            f"spark.run([sys.executable, '-c', {job!r}], os.environ, Path({str(tmp_path / 'spark.log')!r}))"
        )
        with subprocess.Popen([sys.executable, "-c", verb], stdin=subprocess.DEVNULL) as starter:
            running, _ = listening.accept()
            running.settimeout(PATIENCE_SECONDS)
            with running:
                starter.send_signal(signal.SIGKILL)
                assert running.recv(1) == b"", "which is its end: it never sends"


@pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")
def test_a_job_that_was_killed_is_told_by_its_signal(tmp_path: Path) -> None:
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    with pytest.raises(LabError, match=r"^the Spark job was ended by signal 9 \(all that Spark said: "):
        spark.run([sys.executable, "-c", script], os.environ, tmp_path / "spark.log")


@pytest.mark.parametrize("option", ["--orders", "--cores", "--max-events"])
def test_none_of_what_it_counts_may_be_nothing(option: str) -> None:
    outcome = CliRunner().invoke(spark.spark, [option, "0", "--lab", "lab03-x"])

    assert outcome.exit_code == 2
    assert "0 is not in the range x>=1" in outcome.output


def test_an_empty_name_is_no_lab_of_its_own(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "target", lambda: target)
    monkeypatch.setattr("labkit.open_lab", lambda *_, **__: pytest.fail("a lab was opened"))

    with pytest.raises(NoSuchLab):
        spark.spark.main(["--lab", ""], standalone_mode=False)


@pytest.mark.parametrize(
    "error",
    [
        "spark_projection.session.JarsMissing: no jar",
        "spark_projection.session.SparkEnded: Java has ended",
        "spark_projection.follower.EventsLost: 3 of 7 are left",
        "TimeoutError: nothing came",
        "pyspark.errors.exceptions.captured.StreamingQueryException: [STREAM_FAILED] Query",
    ],
)
def test_of_what_spark_said_the_error_itself_is_told(tmp_path: Path, error: str) -> None:
    log = tmp_path / "spark.log"
    log.write_text(f"WARN something\n{error}\n\tat org.apache.spark\n26/11/27 15:46 ERROR Inbox: x\n", "utf-8")

    assert spark.last_words(log) == error


def test_of_what_java_said_through_python_the_reason_is_told(tmp_path: Path) -> None:
    log, reason = (
        tmp_path / "spark.log",
        "org.apache.spark.SparkException: [FAILED_READ_FILE] reading file orders/1.json",
    )
    said = "py4j.protocol.Py4JJavaError: An error occurred while calling o254.persist."
    log.write_text(f"{said}\n: {reason}\n\tat org.apache.spark\nCaused by: java.io.EOFException\n", "utf-8")

    assert spark.last_words(log) == reason
