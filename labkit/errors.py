"""What the lab refuses, one exception each.

Refusals of the domain are values (`write_model.orders.Refusal`), not these.
"""

from __future__ import annotations


class LabError(Exception):
    """Base of everything below."""


class SettingsError(LabError):
    """The environment names some connections but not all, or one that cannot be read."""


class RoleError(LabError):
    """A role asked for a right that it does not have."""


class LocalOnly(LabError):
    """Only the embedded Azure can do this; the message says how to provoke the same on Azure."""


class NotYet(LabError, TimeoutError):
    """What a `wait_until_...` waited for did not happen in time."""
