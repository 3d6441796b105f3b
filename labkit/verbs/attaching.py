"""A lab that another process has open: which there are, and how a verb joins one of them."""

from __future__ import annotations

from labkit import Lab, owners, settings
from labkit.documents import client_of
from labkit.errors import LabError
from labkit.settings import Role, Target

LANE_ENDING = "-parked-events"
"""On Azure a lab is known by its container of this name; so is what the job of deploy/databricks projects."""


class NoSuchLab(LabError, LookupError):
    """Which lab is meant cannot be told, or it is not open; the message lists those that are."""


def open_labs(target: Target) -> list[str]:
    """The names of the labs that are open on this Azure; on Azure itself also of those that were left behind."""
    if target.owners:
        return owners.owned(target.owners)
    if target.database is None:
        return []
    with client_of(target.cosmos_for(Role.MONITOR)) as client:
        found = client.get_database_client(target.database).list_containers()
        return sorted(one["id"].removesuffix(LANE_ENDING) for one in found if one["id"].endswith(LANE_ENDING))


def attach_lab(name: str | None = None, *, target: Target | None = None) -> Lab:
    """A lab that is open, in this process or another one; without a name, the only one there is.

    Raises: `NoSuchLab` naming the labs that are open if it is none of them, or not to be told; `SettingsError`.
    """
    chosen = target or settings.target()
    there = open_labs(chosen)
    if name not in there and (name is not None or len(there) != 1):
        chosen.detach()
        listed = f"open are {', '.join(there)}" if there else "no lab is open: open one in a notebook first"
        asked = f"no lab {name!r} is open" if name else "say which lab is meant"
        raise NoSuchLab(f"{asked}; {listed}" if there else listed)
    found = name or there[0]
    return Lab(found.removeprefix("lab").partition("-")[0], chosen, attached_to=found)
