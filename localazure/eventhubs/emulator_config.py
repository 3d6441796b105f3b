"""Hubs as Microsoft's Event Hubs emulator has them written down: its `Config.json`.

Owns: reading that file. Refuses to know: how hubs are made; logging and anything else in the file is not ours.

Source: learn.microsoft.com/azure/event-hubs/overview-emulator and test-locally-with-event-hub-emulator (Config.json:
`UserConfig.NamespaceConfig[].Entities[]` with `Name`, `PartitionCount` as text, `ConsumerGroups[].Name`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WantedHub:
    """One entity of the file."""

    name: str
    partition_count: int
    consumer_groups: tuple[str, ...]


def read_config(text: str) -> list[WantedHub]:
    """Every Event Hub of every namespace. Raises: `ValueError` with what is wrong."""
    try:
        namespaces = json.loads(text)["UserConfig"]["NamespaceConfig"]
        return [_hub(entity) for namespace in namespaces for entity in _entities(namespace)]
    except KeyError as missing:
        raise ValueError(f"the emulator's configuration lacks {missing}") from None
    except TypeError:
        raise ValueError("the emulator's configuration has another form") from None


def _entities(namespace: dict[str, Any]) -> list[dict[str, Any]]:
    if namespace.get("Type", "EventHub") != "EventHub":
        raise ValueError(f"a namespace of type {namespace['Type']!r} is not supported, only EventHub")
    entities: list[dict[str, Any]] = namespace["Entities"]
    return entities


def _hub(entity: dict[str, Any]) -> WantedHub:
    groups = tuple(str(group["Name"]) for group in entity.get("ConsumerGroups") or ())
    return WantedHub(str(entity["Name"]), int(entity["PartitionCount"]), groups)
