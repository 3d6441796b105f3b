"""AMQP over WebSocket, on the same port, through the SDK's own transport.

The SDK forgets the port of a connection string here; as a custom endpoint it keeps it.
"""

from __future__ import annotations

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, TransportType

from localazure.handle import LocalAzure


def test_events_are_sent_and_received_over_websocket(azure: LocalAzure, hub: str) -> None:
    over = {
        "eventhub_name": hub,
        "transport_type": TransportType.AmqpOverWebsocket,
        "custom_endpoint_address": f"sb://127.0.0.1:{azure.eventhubs_port}",
        "socket_timeout": 0.2,
    }
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
