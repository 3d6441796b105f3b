"""The same projection by Spark on this machine: the job of deploy/databricks beside our projector.

Both read the same events from the same embedded hub, fold them with the same code, and merge them into copies of the
same tables, 5,000 events at a time. Of Spark the steady triggers count, by Spark's own measure of a whole trigger; what
it takes to start, and the first triggers, in which its code is compiled, are told apart. The projector runs before,
between and after, so that a machine that slows down is seen.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measure import Figure, Missed, main
from orders import PARTITIONS, copied, seeded
from projector import BATCH_EVENTS, BY_COUNT, fill_hub, until_applied

import localazure
from labkit.lab import Lab, open_lab
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector
from labkit.settings import Target, embedded
from labkit.verbs.spark import job

WARM_UP = 3
"""Triggers in which the JVM still compiles what it runs."""


@dataclass(frozen=True, slots=True)
class Size:
    rows: int
    triggers: int


FULL, SHORT = Size(1_000_000, 13), Size(100_000, 7)


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of the job: seconds until the first trigger had begun, and the rates of the steady ones."""

    start_up_s: float
    first_trigger_s: float
    per_s: list[float]


def by_spark(lab: Lab, target: Target, folder: Path, cores: int, size: Size) -> Ran:
    store = copied(seeded(size.rows), folder / f"spark-{cores}")
    limits = "--master", f"local[{cores}]", "--max-events", str(BATCH_EVENTS), "--until-caught-up"
    command, environment = job(lab, target, store.tables_url, str(folder / f"checkpoint-{cores}"), *limits)
    began, first, triggers = time.perf_counter(), 0.0, []
    with (folder / f"spark-{cores}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        for line in process.stdout or ():
            first = first or time.perf_counter() - began
            triggers.append(json.loads(line))
    seconds = [trigger["ms"]["triggerExecution"] / 1000 for trigger in triggers]
    done = sum(trigger["events"] for trigger in triggers)
    if process.wait() or done != size.triggers * BATCH_EVENTS:
        sys.stderr.write((folder / f"spark-{cores}.log").read_text(errors="replace")[-3000:])
        raise Missed(f"the job ended with {process.returncode} after {done:,} events")
    steady = zip(triggers[WARM_UP:], seconds[WARM_UP:], strict=True)
    return Ran(first - seconds[0], seconds[0], [trigger["events"] / took for trigger, took in steady])


def by_projector(lab: Lab, folder: Path, size: Size) -> float:
    store = copied(seeded(size.rows), folder / "projector")
    lane = ParkingLane(lab.container("parked-events", "projector"))
    return until_applied(Projector(lab.async_consumer, store, lane, **BY_COUNT), size.triggers * BATCH_EVENTS)


def measured(lab: Lab, target: Target, folder: Path, size: Size) -> Iterator[Figure]:
    ours = [by_projector(lab, folder, size)]
    two = by_spark(lab, target, folder, 2, size)
    ours.append(by_projector(lab, folder, size))
    one = by_spark(lab, target, folder, 1, size)
    ours.append(by_projector(lab, folder, size))
    per_s, with_two, with_one = (statistics.median(rates) for rates in (ours, two.per_s, one.per_s))
    table = f"{size.rows / 1e6:g}M orders, {PARTITIONS} hub partitions"
    steady = f"median of {len(two.per_s)} steady triggers of {BATCH_EVENTS:,}, hub to three commits; {table}"
    yield Figure("ratio_to_spark_local", per_s / with_two, "ratio", f"our projector over Spark on local[2]; {steady}")
    yield Figure("projector_events_per_s", per_s, "1/s", f"median of {len(ours)} runs, batches of {BATCH_EVENTS:,}")
    yield Figure("spark_events_per_s", with_two, "1/s", f"local[2]; {steady}")
    yield Figure("spark_events_per_s_on_one_core", with_one, "1/s", f"local[1]; {steady}")
    yield Figure("spark_two_cores_to_one", with_two / with_one, "ratio", "of the two above")
    yield Figure("spark_start_up_s", two.start_up_s, "s", "from the command to the first trigger, local[2]")
    yield Figure("spark_first_trigger_s", two.first_trigger_s, "s", f"of {BATCH_EVENTS:,} events, local[2]")


def measure(*, short: bool) -> Iterator[Figure]:
    size = SHORT if short else FULL
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with localazure.attach(folder / "azure") as azure:
            target = embedded(azure, folder / "tables")
            with open_lab("03", partitions=PARTITIONS, target=target) as lab:
                fill_hub(lab, size.triggers * BATCH_EVENTS)
                yield from measured(lab, target, folder, size)
        localazure.daemon.stop(folder / "azure")


if __name__ == "__main__":
    sys.exit(main(measure))
