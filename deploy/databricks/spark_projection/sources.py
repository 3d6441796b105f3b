"""Where events come from, behind one function: the Kafka endpoint of Event Hubs, or `azure-eventhub` in the workers.

Spark has a source for neither by itself: Databricks ships the Kafka connector, and `pip install pyspark` ships none.
Both give the same four columns (`folding.EVENT_COLUMNS`), at most `max_events` for each trigger, and keep the place in
each hub partition as Spark's own progress, in the checkpoint.

Not tried here: the Kafka source. The embedded Event Hubs speaks AMQP only; its options are tested as text.
Source: learn.microsoft.com/azure/event-hubs/event-hubs-kafka-spark-tutorial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from spark_projection.offsets import last_noted

KAFKA_PORT = 9093
LOGIN_MODULE = "kafkashaded.org.apache.kafka.common.security.plain.PlainLoginModule"
"""The name under which Databricks ships Kafka's client."""


@dataclass(frozen=True, slots=True)
class Place:
    """The hub, where the progress in it is kept, and how many events one trigger takes at most."""

    hub: str
    checkpoint: str
    max_events: int


def events(spark: SparkSession, kind: Literal["kafka", "azure-eventhub"], connection: str, place: Place) -> DataFrame:
    """The hub as a stream with the columns of `EVENT_COLUMNS`, from its beginning or from where the checkpoint ends."""
    if kind == "kafka":
        stream = spark.readStream.format("kafka").options(**kafka_options(connection, place)).load()
        return stream.select(
            f.col("partition").cast("string").alias("hub_partition"),
            f.col("offset").alias("sequence_number"),
            f.col("value").alias("body"),
            f.expr("filter(headers, header -> header.key = 'aggregateId')[0].value").alias("named"),
        )
    from spark_projection.hub_source import EventHubSource  # azure-eventhub, which no cluster needs

    spark.dataSource.register(EventHubSource)
    options = {"hub": place.hub, "max_events": str(place.max_events), "after": last_noted(place.checkpoint)}
    return spark.readStream.format(EventHubSource.name()).options(**options).load()


def kafka_options(connection: str, place: Place) -> Mapping[str, str]:
    """Event Hubs as a Kafka cluster: the namespace is the server, the connection string the password."""
    endpoint = dict(part.partition("=")[::2] for part in connection.split(";"))["Endpoint"]
    host = endpoint.removeprefix("sb://").strip("/").partition(":")[0]
    return {
        "kafka.bootstrap.servers": f"{host}:{KAFKA_PORT}",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "PLAIN",
        "kafka.sasl.jaas.config": f'{LOGIN_MODULE} required username="$ConnectionString" password="{connection}";',
        "subscribe": place.hub,
        "startingOffsets": "earliest",
        "failOnDataLoss": "true",
        "includeHeaders": "true",
        "maxOffsetsPerTrigger": str(place.max_events),
    }
