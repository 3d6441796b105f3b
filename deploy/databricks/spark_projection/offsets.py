"""Spark's progress in a hub: what the checkpoint has noted, and how far the next trigger goes. Pure, but for one file.

An offset is hub partition -> the last sequence number read, -1 for none. Spark asks a Python source for its latest
offset without saying where it stands, so after a restart a source that hands out so many events a trigger does not know
from where to count. The last noted offset tells it.

Source: the offset log of Spark's `OffsetSeqLog`: `v1`, the metadata, then one line for each source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


class CheckpointDamaged(RuntimeError):
    """Where to go on from cannot be told."""


def last_noted(checkpoint: str) -> str:
    """The offset of the only source as it was last noted, as JSON; "" before the first batch. In a folder alone.

    Raises: `CheckpointDamaged`; of what a Python source raises itself at its start, Spark tells nothing.
    """
    noted = [path for path in Path(checkpoint, "offsets").glob("*") if path.name.isdecimal()]
    if not noted:
        return ""
    newest = max(noted, key=lambda path: int(path.name))
    lines = newest.read_text(encoding="utf-8", errors="replace").splitlines()
    with suppress(ValueError):
        if len(lines) > 2 and isinstance(json.loads(lines[-1]), dict):
            return lines[-1]
    raise CheckpointDamaged(f"{newest} holds no offset of the hub: delete the whole checkpoint folder, and begin again")


def waiting(after: Mapping[str, int], ends: Mapping[str, int]) -> dict[str, int]:
    """Hub partition -> how many events lie between."""
    return {part: max(end - after.get(part, -1), 0) for part, end in ends.items()}


def capped(after: Mapping[str, int], ends: Mapping[str, int], max_events: int) -> dict[str, int]:
    """How far a trigger goes: `max_events` in all, shared by what waits in each hub partition."""
    there = waiting(after, ends)
    room, left = max_events, sum(there.values())
    taken: dict[str, int] = {}
    for part in sorted(there, key=lambda part: there[part]):
        share = -(-room * there[part] // left) if left else 0
        taken[part] = min(share, there[part])
        room, left = room - taken[part], left - there[part]
    return {part: after.get(part, -1) + taken[part] for part in ends}
