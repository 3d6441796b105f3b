"""The Kafka source is not run here: what it would be asked, as text, and what becomes of its rows, on rows like them.

Source: the pages named in `sources`; the columns are those of Spark's Kafka source with headers.
"""

from __future__ import annotations

import pytest

from tests.spark.job import WITHOUT_SPARK

pytest.importorskip("pyspark", reason=WITHOUT_SPARK)

from pyspark.sql import SparkSession
from spark_projection.folding import EVENT_COLUMNS, text_of
from spark_projection.sources import Place, from_kafka, kafka_options

CONNECTION = "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=a2V5;EntityPath=o"
ROWS = "partition int, offset bigint, value binary, headers array<struct<key: string, value: binary>>"


def test_kafka_is_asked_at_the_namespace_with_the_connection_string_as_the_password() -> None:
    options = kafka_options(CONNECTION, Place("orders", "/checkpoint", 5_000))
    assert options["kafka.bootstrap.servers"] == "shop.servicebus.windows.net:9093"
    assert (options["kafka.security.protocol"], options["kafka.sasl.mechanism"]) == ("SASL_SSL", "PLAIN")
    login = options["kafka.sasl.jaas.config"]
    assert login.startswith("kafkashaded.")
    assert login.endswith(f' required username="$ConnectionString" password="{CONNECTION}";')
    assert (options["subscribe"], options["maxOffsetsPerTrigger"]) == ("orders", "5000")
    assert options["startingOffsets"] == "earliest", "the checkpoint says where to go on, and loss is an error:"
    assert options["failOnDataLoss"] == "true"
    assert options["includeHeaders"] == "true", "the aggregate's id of what cannot be read"
    closed_after_ms = 240_000
    for name in ("metadata.max.age.ms", "connections.max.idle.ms"):
        assert int(options[f"kafka.{name}"]) < closed_after_ms
    assert int(options["kafka.request.timeout.ms"]) >= 60_000


def test_a_row_of_kafka_becomes_an_event_whatever_headers_and_value_it_has(spark: SparkSession) -> None:
    named, other = ("aggregateId", b"\xa1\x07order-1"), ("traceparent", b"00")
    rows = [
        (3, 41, b"{}", [other, named]),
        (3, 42, b"none names it", [other]),
        (3, 43, b"no headers", None),
        (3, 44, None, []),
    ]

    events = from_kafka(spark.createDataFrame(rows, ROWS))

    assert events.columns == EVENT_COLUMNS.names
    assert [
        (one.hub_partition, one.sequence_number, bytes(one.body), text_of(one.named)) for one in events.collect()
    ] == [
        ("3", 41, b"{}", "order-1"),
        ("3", 42, b"none names it", ""),
        ("3", 43, b"no headers", ""),
        ("3", 44, b"", ""),
    ]
