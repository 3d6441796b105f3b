"""What `$management` answers: the properties of a hub and of a partition.

Owns: the two READ operations and their maps. Everything else is refused with 501. Refuses to know: links and rights.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide (management);
azure-eventhub 5.15.1, `_client_base.py` (the keys that the SDK reads).
"""

from __future__ import annotations

from localazure.amqp import encode
from localazure.eventhubs.hub import Hub, Partition
from localazure.eventhubs.refusals import NotImplementedHere
from localazure.eventhubs.requests import Request

HUB_TYPE, PARTITION_TYPE = "com.microsoft:eventhub", "com.microsoft:partition"


def is_partition_request(request: Request) -> bool:
    """Whether a partition is asked for, not the hub. Raises: `NotImplementedHere` for any other operation or type."""
    operation, kind = request.properties.get("operation"), request.properties.get("type")
    if operation != "READ" or kind not in (HUB_TYPE, PARTITION_TYPE):
        raise NotImplementedHere(f"the operation {operation!r} on {kind!r} is not implemented")
    return bool(kind == PARTITION_TYPE)


def hub_properties(hub: Hub) -> bytes:
    return encode.map_of(
        (
            (encode.string("name"), encode.string(hub.name)),
            (encode.string("type"), encode.string(HUB_TYPE)),
            (encode.string("created_at"), encode.timestamp(hub.created_ms)),
            (encode.string("partition_count"), encode.int_(len(hub.partitions))),
            (encode.string("partition_ids"), encode.array_of_strings([one.number for one in hub.partitions])),
        )
    )


def partition_properties(hub: Hub, partition: Partition, first_sequence: int) -> bytes:
    tail = partition.tail
    return encode.map_of(
        (
            (encode.string("name"), encode.string(hub.name)),
            (encode.string("type"), encode.string(PARTITION_TYPE)),
            (encode.string("partition"), encode.string(partition.number)),
            (encode.string("begin_sequence_number"), encode.long(first_sequence)),
            (encode.string("last_enqueued_sequence_number"), encode.long(tail.next_sequence - 1)),
            (encode.string("last_enqueued_offset"), encode.string(str(tail.last_offset))),
            (encode.string("last_enqueued_time_utc"), encode.timestamp(tail.last_enqueued_ms)),
            (encode.string("is_partition_empty"), encode.boolean(first_sequence >= tail.next_sequence)),
        )
    )
