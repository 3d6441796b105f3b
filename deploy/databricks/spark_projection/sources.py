"""Where events come from, behind one function: the Kafka endpoint of Event Hubs, or `azure-eventhub` in the workers.

Spark has a source for neither by itself: Databricks ships the Kafka connector, and `pip install pyspark` ships none.
Both give the same four columns (`folding.EVENT_COLUMNS`), at most `max_events` for each trigger, and keep the place in
each hub partition as Spark's own progress, in the checkpoint. The Kafka endpoint's offset of an event is its sequence
number, so what is parked has the same place in the lane from either.

Not tried here: the Kafka source against Event Hubs. The embedded one speaks AMQP only; its options are tested as text,
and what becomes of its rows on rows of the same schema.
Source: learn.microsoft.com/azure/event-hubs/event-hubs-kafka-spark-tutorial and ../apache-kafka-configurations;
github.com/Azure/azure-event-hubs-for-kafka/issues/130 (offset and sequence number).
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
NAMED = "get(filter(headers, header -> header.key = 'aggregateId'), 0).value"
"""Not `[0]`: where no header has this key, that ends the query, as Spark 4 and Runtime 17 are strict (ANSI)."""
PATIENCE = {
    "kafka.request.timeout.ms": "60000",
    "kafka.metadata.max.age.ms": "180000",
    "kafka.connections.max.idle.ms": "180000",
}
"""As Event Hubs asks its clients: it closes a connection after 240 s without a word."""


@dataclass(frozen=True, slots=True)
class Place:
    """The hub, where the progress in it is kept, and how many events one trigger takes at most."""

    hub: str
    checkpoint: str
    max_events: int


def events(spark: SparkSession, kind: Literal["kafka", "azure-eventhub"], connection: str, place: Place) -> DataFrame:
    """The hub as a stream with the columns of `EVENT_COLUMNS`, from its beginning or from where the checkpoint ends."""
    if kind == "kafka":
        return from_kafka(spark.readStream.format("kafka").options(**kafka_options(connection, place)).load())
    from spark_projection.hub_source import EventHubSource  # azure-eventhub, which no cluster needs

    spark.dataSource.register(EventHubSource)
    options = {"hub": place.hub, "max_events": str(place.max_events), "after": last_noted(place.checkpoint)}
    return spark.readStream.format(EventHubSource.name()).options(**options).load()


def from_kafka(rows: DataFrame) -> DataFrame:
    """The rows of the Kafka source with the columns of `EVENT_COLUMNS`. A Kafka client may send no value at all."""
    return rows.select(
        f.col("partition").cast("string").alias("hub_partition"),
        f.col("offset").alias("sequence_number"),
        f.coalesce("value", f.lit(b"")).alias("body"),
        f.expr(NAMED).alias("named"),
    )


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
        **PATIENCE,
    }
