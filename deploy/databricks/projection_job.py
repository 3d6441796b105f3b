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
import tempfile
from pathlib import Path


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
    parser.add_argument("--master", help='a Spark of this machine, "local[2]"; without it, the cluster\'s')
    return parser.parse_args()


def main() -> None:
    chosen = options()
    root = Path(chosen.root)
    sys.path[:0] = [str(root / "deploy" / "databricks"), str(root)]
    from azure.cosmos import CosmosClient
    from spark_projection import sources
    from spark_projection.batches import Projection
    from spark_projection.progress import Progress
    from spark_projection.session import session
    from spark_projection.tables import Tables

    from labkit.projections.parking import ParkingLane

    spark = session(chosen.master)
    ship(spark, root)
    spark.streams.addListener(Progress())
    tables = Tables(chosen.tables)
    tables.make(spark)
    cosmos = CosmosClient.from_connection_string(os.environ["COSMOS_CONNECTION"])
    parked = cosmos.get_database_client(chosen.database).get_container_client(chosen.parked)
    place = sources.Place(chosen.hub, chosen.checkpoint, chosen.max_events)
    events = sources.events(spark, chosen.source, os.environ["EVENTHUB_LISTEN_CONNECTION"], place)
    query = (
        events.writeStream.foreachBatch(Projection(chosen.hub, tables, ParkingLane(parked)))
        .option("checkpointLocation", chosen.checkpoint)
        .queryName(f"projection of {chosen.hub}")
        .trigger(processingTime=f"{chosen.trigger_seconds} seconds")
        .start()
    )
    if chosen.until_caught_up:
        query.processAllAvailable()
        query.stop()
    else:
        query.awaitTermination()
    if chosen.master:
        spark.stop()


def ship(spark: object, root: Path) -> None:
    """Give the workers the modules that they fold with: the same files that the driver runs."""
    folder = Path(tempfile.mkdtemp())
    staged = folder / "modules"
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "labkit", staged / "labkit", ignore=leave_out)
    shutil.copytree(root / "deploy/databricks/spark_projection", staged / "spark_projection", ignore=leave_out)
    spark.sparkContext.addPyFile(shutil.make_archive(str(folder / "projection"), "zip", staged))


if __name__ == "__main__":
    main()
