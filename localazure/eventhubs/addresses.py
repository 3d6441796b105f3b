"""What a link or a token points at: a hub, one of its partitions, a consumer group's view of one, or a service node.

Owns: the forms of an address, with or without scheme and host. Names of hubs and consumer groups are compared without
case, as on Azure. Refuses to know: whether the entity exists.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide (addresses);
azure-eventhub 5.15.1, `_producer.py` and `_consumer_client.py` (`/Partitions/`, `/ConsumerGroups/`).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

CBS = "$cbs"
MANAGEMENT = "$management"
DEFAULT_GROUP = "$default"


@dataclass(frozen=True, slots=True)
class Address:
    """`node` is `$cbs`, `$management` or empty; the other parts are None where the address does not name them."""

    hub: str | None = None
    group: str | None = None
    partition: str | None = None
    node: str = ""

    @property
    def path(self) -> str:
        """The address as tokens are compared with it."""
        parts = [self.hub or ""]
        parts += [] if self.group is None else ["consumergroups", self.group]
        parts += [] if self.partition is None else ["partitions", self.partition]
        return "/".join(parts)


def parse_address(text: str) -> Address | None:
    """The address, or None if it has a form that no entity has."""
    parts = path_of(text)
    if parts and parts[-1].lower() in (CBS, MANAGEMENT):
        return Address(hub=parts[0] if len(parts) > 1 else None, node=parts[-1].lower())
    match [part.lower() for part in parts]:
        case [hub]:
            return Address(hub)
        case [hub, "partitions", partition]:
            return Address(hub, partition=partition)
        case [hub, "consumergroups", group]:
            return Address(hub, group)
        case [hub, "consumergroups", group, "partitions", partition]:
            return Address(hub, group, partition)
        case _:
            return None


def path_of(text: str) -> list[str]:
    """The path's segments, whether the text is a URI or a bare path."""
    path = urlsplit(text).path if "://" in text else text.partition("?")[0]
    return [unquote(part) for part in path.split("/") if part]


def covers(scope: str, wanted: str) -> bool:
    """Whether a token for `scope` is good for `wanted`: the same host, and a path that begins with the scope's."""
    if "://" not in scope or "://" not in wanted:
        return False
    if urlsplit(scope).hostname != urlsplit(wanted).hostname:
        return False
    outer = [part.lower() for part in path_of(scope)]
    return [part.lower() for part in path_of(wanted)][: len(outer)] == outer
