"""`spark`: the Spark job of deploy/databricks on this machine, over a hub of the embedded Azure.

Owns how the job is started here: which options stand for a cluster's, and that connection strings go by environment.
Without `--lab` it makes a lab of its own, sends it a few days of a shop by commands and relay, and deletes it at the
end. With it, the job's tables and its parking lane are its own: what it parks must not hold up the lab's projector,
nor a replay into the lab's tables take events from Spark's. Whether Spark can run here at all (Java) is found out
before it is installed, in `lab.py`.
Refused: Azure, whose tables are at `abfss://`, for which a Spark of this machine lacks the file system.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from azure.cosmos import ContainerProxy, PartitionKey

from labkit import connections, settings
from labkit.errors import LabError
from labkit.settings import Role, Target
from labkit.verbs import places
from labkit.verbs.parked import LANE_OF_SPARK, tables_of_spark

if TYPE_CHECKING:
    from labkit import Lab

DAYS, CUSTOMERS = 3, 40
AT_LEAST_ONE = click.IntRange(min=1)
LOGS_KEPT = 10
"""Of what Spark said, the newest, with the one to come."""
ON_AZURE = (
    "a Spark of this machine cannot write to abfss://: on Azure the job runs on Databricks, as "
    "deploy/databricks/README.md tells; unset the variables that name an Azure to run it over the embedded one"
)
WITH_STARTER = () if os.name == "nt" else ("--with-starter",)
"""The job ends with this process, however that ends. On Windows a read that waits at a pipe holds up who else looks at
it, so that there the job goes on when this process is killed."""
ERROR = re.compile(r"(: )?((\w+\.)+[A-Z]\w+|\w+(Error|Exception))(: |$)")
"""How Python, Java, and Python of Java (`: `) begin the line that names what has ended them."""
QUESTION = """
SELECT day, orders, cancelled, revenue, average_order_value, distinct_customers
FROM dbo.vw_daily_order_metrics
ORDER BY day
"""


@click.command()
@click.option(
    "--orders", default=500, show_default=True, type=AT_LEAST_ONE, help="So many orders are sent, with their lives."
)
@click.option("--cores", default=2, show_default=True, type=AT_LEAST_ONE, help="Of this machine, for Spark.")
@click.option(
    "--max-events", default=1000, show_default=True, type=AT_LEAST_ONE, help="At most so many for each trigger."
)
@click.option("--lab", "lab_name", metavar="NAME", help="Project the hub of this open lab instead.")
def spark(orders: int, cores: int, max_events: int, lab_name: str | None) -> None:
    """Project a hub by Spark, as on Databricks, and ask the tables in T-SQL."""
    from labkit import open_lab
    from labkit.projections.parking import ParkingLane
    from labkit.verbs.attaching import attach_lab

    target = settings.target()
    if target.name == "Azure":
        raise LabError(ON_AZURE)
    own = lab_name is None
    with open_lab("03", target=target) if own else attach_lab(lab_name, target=target) as lab:
        if own:
            click.echo(f"{fill(lab, orders)} events of {orders} orders are in {lab.hub}.")
        tables, lane = tables_of_spark(lab), own_lane(lab)
        limits = "--master", f"local[{cores}]", "--max-events", str(max_events), "--until-caught-up", *WITH_STARTER
        command, environment = job(lab, target, tables, f"{tables}/checkpoint", *limits, lane=lane.id)
        click.echo("Spark starts, which takes half a minute; then it tells of each trigger that had events.")
        run(command, environment, log_in(places.state() / "spark", lab.name))
        answer(tables)
        if not own:
            click.echo(f"\nThe tables are in {tables}; they and Spark's progress go when the lab is closed.")
        for held in ParkingLane(lane).held(lab.hub):
            click.echo(f"parked: {held.events} of {held.aggregate_id or 'no aggregate'}, the first {held.reason}")


def own_lane(lab: Lab) -> ContainerProxy:
    database = lab.database(Role.PROJECTOR)
    return database.create_container_if_not_exists(LANE_OF_SPARK, PartitionKey("/aggregateId"), default_ttl=-1)


def log_in(folder: Path, lab_name: str) -> Path:
    """Where the job that this process starts tells what it does; of those before it the oldest go."""
    folder.mkdir(parents=True, exist_ok=True)
    by_age = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in by_age[LOGS_KEPT - 1 :]:
        with suppress(OSError):  # Windows keeps what a job still writes
            old.unlink()
    return folder / f"{lab_name}-{os.getpid()}.log"


def job(
    lab: Lab, target: Target, tables: str, checkpoint: str, *more: str, lane: str = ""
) -> tuple[list[str], Mapping[str, str]]:
    """The job over this lab's hub: its command, and the environment that holds its secrets.

    `lane`: the container that it parks in, if not the lab's own.
    """
    options = {
        "root": str(places.ROOT),
        "source": "azure-eventhub",
        "hub": lab.hub,
        "tables": tables,
        "checkpoint": checkpoint,
        "database": lab.database(Role.PROJECTOR).id,
        "parked": lane or lab.container("parked-events", Role.PROJECTOR).id,
    }
    said = [part for name, value in options.items() for part in (f"--{name}", value)]
    script = str(places.ROOT / "deploy" / "databricks" / "projection_job.py")
    secrets = {connections.LISTEN: target.listen, connections.COSMOS: target.cosmos}
    return [sys.executable, script, *said, *more], {**os.environ, **secrets}


def run(command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Run the job to its end and tell its triggers. Raises: `LabError` in one sentence if it fails or is killed.

    Its standard input stays open as long as this process lives (`WITH_STARTER`).
    """
    pipe = subprocess.PIPE
    with log.open("w", encoding="utf-8") as words:
        running = subprocess.Popen(
            command, env=environment, stdin=pipe, stdout=pipe, stderr=words, encoding="utf-8", errors="replace"
        )
        with running:
            for line in running.stdout or ():
                if line.startswith('{"batch"'):
                    click.echo(told(json.loads(line)))
                else:  # Java's own warnings come here too
                    words.write(line)
    if running.returncode:
        killed = running.returncode < 0
        why = f"was ended by signal {-running.returncode}" if killed else f"has failed: {last_words(log)}"
        raise LabError(f"the Spark job {why} (all that Spark said: {log})")


def fill(lab: Lab, orders: int) -> int:
    """A shop's traffic, by commands and relay; how many events that makes."""
    from tqdm import tqdm

    from labkit.events.relay import Relay
    from labkit.workload import Workload
    from labkit.write_model.handler import CommandHandler

    handler = CommandHandler(lab.container("write-model", "command"), lab.clock)
    traffic = Workload(lab.seed, lab.clock.now().date(), orders, CUSTOMERS, DAYS)
    for command, context in tqdm(list(traffic.commands()), leave=False, disable=not sys.stderr.isatty()):
        handler.handle(command, context)
    relay = Relay(lab.container("write-model", "relay"), lab.producer(), lab.container("relay-state", "relay"))
    while relay.run_once():
        pass
    return relay.published_events


def last_words(log: Path) -> str:
    """The last line that a person may make something of."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.removeprefix(": ").strip() for line in reversed(lines) if ERROR.match(line)), "?")


def told(trigger: Mapping[str, object]) -> str:
    ms = trigger["ms"]
    assert isinstance(ms, Mapping)
    return f"trigger {trigger['batch']:>3}  {trigger['events']:>7,} events  {ms['triggerExecution'] / 1000:6.1f} s"


def answer(tables: str) -> None:
    """What a T-SQL view says of the tables that Spark wrote."""
    from labkit.read_queries.synapse import Synapse

    synapse = Synapse(tables)
    try:
        click.echo(QUESTION)
        click.echo(synapse.query(QUESTION).to_string(index=False))
    finally:
        synapse.close()
