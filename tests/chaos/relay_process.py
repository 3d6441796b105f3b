"""A relay in a process of its own, to be killed: reads where to work from its input, and runs until that is closed."""

from __future__ import annotations

import json
import sys

from azure.eventhub import EventHubProducerClient

from labkit.events.relay import Relay
from labkit.settings import spare_loopback_the_proxy
from tests.contract.projector_process import reached


def main() -> int:
    told = json.loads(sys.stdin.readline())
    spare_loopback_the_proxy()
    database = reached(told["cosmos"]).get_database_client(told["database"])
    producer = EventHubProducerClient.from_connection_string(told["send"], eventhub_name=told["hub"])
    write_model, state = map(database.get_container_client, ("write-model", "relay-state"))
    relay = Relay(write_model, producer, state, page_documents=50, lease_seconds=1.0)
    relay.start()
    sys.stdin.read()
    relay.stop()
    if relay.error is not None:
        raise relay.error
    return 0


if __name__ == "__main__":
    sys.exit(main())
