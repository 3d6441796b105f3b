"""The projection as a Spark job: Event Hubs -> the same fold -> the same Delta tables, without an end.

Run by a Databricks job (`resources/projection.job.yml`) and, on this machine, by `python3 lab.py spark`. What differs
between the two is said by options; the secrets are in the environment: `EVENTHUB_LISTEN_CONNECTION` and
`COSMOS_CONNECTION` (the parking lane). Writes one line of JSON for each trigger.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming import StreamingQuery


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="the folder that holds labkit/ and deploy/databricks/")
    parser.add_argument("--source", choices=("kafka", "azure-eventhub"), required=True)
    parser.add_argument("--hub", required=True)
    parser.add_argument("--tables", required=True, help="folder or abfss:// URL of the read models' tables")
    parser.add_argument("--checkpoint", required=True, help="where Spark keeps its progress")
    parser.add_argument("--database", required=True, help="Cosmos DB database that holds the parking lane")
    parser.add_argument("--parked", default="parked-events", help="its container")
    parser.add_argument("--max-events", type=int, default=100_000, help="at most so many for each trigger")
    parser.add_argument("--trigger-seconds", type=float, default=0.0, help="0: the next one begins at once")
    parser.add_argument("--until-caught-up", action="store_true", help="end when the hub's end is reached")
    parser.add_argument("--with-starter", action="store_true", help="end when the standard input ends")
    parser.add_argument("--master", help='a Spark of this machine, "local[2]"; without it, the cluster\'s')
    return parser.parse_args()


def main() -> None:
    chosen = options()
    if chosen.with_starter:
        end_with_starter()
    root = Path(chosen.root)
    sys.path[:0] = [str(root / "deploy" / "databricks"), str(root)]
    from pyspark import SparkFiles
    from spark_projection.progress import Progress
    from spark_projection.session import session, while_java_runs

    spark = session(chosen.master)
    with while_java_runs():
        # in Spark's own scratch, which its Java deletes however this process ends
        spark.sparkContext.addPyFile(modules_of(root, Path(SparkFiles.getRootDirectory(), "modules")))
        spark.streams.addListener(Progress())
        query = started(spark, chosen)
        if chosen.until_caught_up:
            query.processAllAvailable()
            query.stop()
        else:
            query.awaitTermination()
        if chosen.master:
            spark.stop()


def end_with_starter() -> None:
    """From now on this process ends when the other end of its standard input does, be it by `kill -9`.

    Its Java watches for its end in the same way (`PythonGatewayServer`), and the workers for that of Java.
    """

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)  # whatever the other threads wait for

    threading.Thread(target=watch, daemon=True).start()


def started(spark: SparkSession, chosen: argparse.Namespace) -> StreamingQuery:
    """The query, from the hub to the tables; what is missing of these is made first."""
    from spark_projection import sources
    from spark_projection.batches import Projection
    from spark_projection.tables import Tables

    from labkit.documents import client_of
    from labkit.projections.parking import ParkingLane

    tables = Tables(chosen.tables)
    tables.make(spark)
    cosmos = client_of(os.environ["COSMOS_CONNECTION"])
    parked = cosmos.get_database_client(chosen.database).get_container_client(chosen.parked)
    place = sources.Place(chosen.hub, chosen.checkpoint, chosen.max_events)
    events = sources.events(spark, chosen.source, os.environ["EVENTHUB_LISTEN_CONNECTION"], place)
    return (
        events.writeStream.foreachBatch(Projection(chosen.hub, tables, ParkingLane(parked)))
        .option("checkpointLocation", chosen.checkpoint)
        .queryName(f"projection of {chosen.hub}")
        .trigger(processingTime=f"{chosen.trigger_seconds} seconds")
        .start()
    )


def modules_of(root: Path, folder: Path) -> str:
    """A zip of the modules that the workers fold with, compiled from the files that the driver runs."""
    folder.mkdir(exist_ok=True)
    archive = folder / "projection.zip"
    with zipfile.PyZipFile(str(archive), "w") as compiled:
        for package in (root / "labkit", root / "deploy" / "databricks" / "spark_projection"):
            copy = shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
            compiled.writepy(str(copy))
    return str(archive)


if __name__ == "__main__":
    main()
