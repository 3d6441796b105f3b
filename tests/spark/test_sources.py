"""The Kafka source is not run here: what it would be asked, as text. Source: the tutorial named in `sources`."""

from __future__ import annotations

from tests.spark import job

assert job.BUNDLE.is_dir()  # and on the path, for what follows
from spark_projection.sources import Place, kafka_options  # noqa: E402

CONNECTION = "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=a2V5;EntityPath=o"


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
