"""AMQP over WebSocket, on the same port, through the SDK's own transport.

The SDK forgets the port of a connection string here; as a custom endpoint it keeps it.
"""

from __future__ import annotations

from typing import Any

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, TransportType
from azure.eventhub.aio import EventHubProducerClient as AsyncProducerClient

from localazure.handle import LocalAzure


def _over(azure: LocalAzure, hub: str) -> dict[str, Any]:
    endpoint = f"sb://127.0.0.1:{azure.eventhubs_port}"
    websocket = TransportType.AmqpOverWebsocket
    return {"eventhub_name": hub, "transport_type": websocket, "custom_endpoint_address": endpoint}


async def test_the_asyncio_client_sends_over_websocket(azure: LocalAzure, hub: str) -> None:
    text = azure.event_hubs_connection_string_for("send")
    async with AsyncProducerClient.from_connection_string(text, **_over(azure, hub)) as producer:
        await producer.send_batch([EventData("x" * 200_000)], partition_id="0")
        assert (await producer.get_partition_properties("0"))["last_enqueued_sequence_number"] == 0


def test_events_are_sent_and_received_over_websocket(azure: LocalAzure, hub: str) -> None:
    over = {**_over(azure, hub), "socket_timeout": 0.2}
    with EventHubProducerClient.from_connection_string(
        azure.event_hubs_connection_string_for("send"), **over
    ) as producer:
        producer.send_batch([EventData(f"{number}" * 30_000) for number in range(9)], partition_id="0")
    client = EventHubConsumerClient.from_connection_string(
        azure.event_hubs_connection_string_for("listen"), consumer_group="$Default", **over
    )
    bodies: list[str] = []

    def on_events(_: object, events: list[EventData]) -> None:
        bodies.extend(event.body_as_str() for event in events)
        if len(bodies) == 9:
            client.close()

    client.receive_batch(on_events, partition_id="0", starting_position="-1", max_wait_time=0.2)
    assert bodies == [f"{number}" * 30_000 for number in range(9)]
