"""Which hub partition a partition key belongs to: the hash of Azure's SDKs, taken from azure-eventhub itself.

One batch of the SDK holds one partition key or goes to one partition id. Whoever wants many aggregates in one batch
must know their partition beforehand, and then sends by partition id.

The hash (Bob Jenkins' lookup3, folded to 16 bits) is that of azure-eventhub's buffered producer, which does not export
it; the unit test holds it to the test vectors that Azure's SDKs share. The rule by which the service itself spreads
keys is documented only as stable: on Azure, one producer by key and another by this hash may choose different
partitions for one aggregate. So all events of an aggregate go through the relay.
Source: azure-eventhub 5.15.1, `_buffered_producer/_partition_resolver.py`;
learn.microsoft.com/dotnet/api/azure.messaging.eventhubs.producer.eventhubbufferedproducerclient (the warning)
Known gap: of letters beyond ASCII, which no id of this domain has, the .NET and Java SDKs hash the UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from azure.eventhub._buffered_producer._partition_resolver import generate_hash_code


@lru_cache(maxsize=65_536)
def _index(partition_key: str, partition_count: int) -> int:
    return int(generate_hash_code(partition_key)) % partition_count  # type: ignore[no-untyped-call]


def partition_of(partition_key: str, partition_ids: Sequence[str]) -> str:
    """The id of the hub partition that this key belongs to; `partition_ids` in the hub's own order."""
    return partition_ids[_index(partition_key, len(partition_ids))]
