"""Spark's progress in a hub: what the checkpoint has noted, and how far the next trigger goes. Pure, but for one file.

An offset is hub partition -> the last sequence number read, -1 for none. Spark asks a Python source for its latest
offset without saying where it stands, so after a restart a source that hands out so many events a trigger does not know
from where to count. The last noted offset tells it.

Source: the offset log of Spark's `OffsetSeqLog`: `v1`, the metadata, then one line for each source.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def last_noted(checkpoint: str) -> str:
    """The offset of the only source as it was last noted, as JSON; "" before the first batch. In a folder alone."""
    noted = [path for path in Path(checkpoint, "offsets").glob("*") if path.name.isdecimal()]
    if not noted:
        return ""
    return max(noted, key=lambda path: int(path.name)).read_text(encoding="utf-8").splitlines()[-1]


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
