"""What the environment says of an Azure: the variables that name one, and the form of its connection strings.

Refuses to know: the embedded Azure, and who may use which connection (`labkit.settings`). No refusal tells a value,
which may be a key.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from labkit.errors import SettingsError

TOPIC_ENDPOINT = "EVENTGRID_TOPIC_ENDPOINT"
TOPIC_KEY = "EVENTGRID_TOPIC_KEY"
"""Optional, both or none: the Event Grid topic that alerts are published to; its schema is CloudEvents 1.0."""
COSMOS = "COSMOS_CONNECTION"
COSMOS_READ_ONLY = "COSMOS_READONLY_CONNECTION"
SEND = "EVENTHUB_SEND_CONNECTION"
LISTEN = "EVENTHUB_LISTEN_CONNECTION"
SEND_AND_LISTEN = "EVENTHUB_CONNECTION"
HUB = "EVENTHUB_NAME"
READ_STORE = "READ_STORE_URL"
DATABASE = "COSMOS_DATABASE"
"""Optional: the database that exists beforehand on Azure; `DATABASE_NAME` if it is not set."""
DATABASE_NAME = "cqrs-lab"

_HUB_PARTS = {"Endpoint": "sb://", "SharedAccessKeyName": "", "SharedAccessKey": ""}
_COSMOS_PARTS = {"AccountEndpoint": "http", "AccountKey": ""}
PARTS: Mapping[str, Mapping[str, str]] = {
    COSMOS: _COSMOS_PARTS,
    COSMOS_READ_ONLY: _COSMOS_PARTS,
    SEND: _HUB_PARTS,
    LISTEN: _HUB_PARTS,
}
"""Variable -> what its connection string must say, and how each part begins."""

VARIABLES = (*PARTS, SEND_AND_LISTEN, HUB, READ_STORE, DATABASE, TOPIC_ENDPOINT, TOPIC_KEY)
"""All that name an Azure."""
TOPIC_MISSING = f"for alerts on Azure, set {TOPIC_ENDPOINT} and {TOPIC_KEY} to those of a topic"


def named_in(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Variable -> value, of all that must be set; None if none is.

    Raises: `SettingsError` if some are, but not all, or one is no connection string.
    """
    both = dict.fromkeys((SEND, LISTEN), environ.get(SEND_AND_LISTEN, ""))
    found = {name: environ.get(name, both.get(name, "")) for name in (*PARTS, HUB, READ_STORE)}
    missing = [name for name, value in found.items() if not value]
    if len(missing) == len(found):
        return None
    if missing:
        raise SettingsError(
            f"for Azure, set {' and '.join(missing)} too ({SEND_AND_LISTEN} serves for sending and listening); "
            "for the embedded Azure, set none of them"
        )
    for name, parts in PARTS.items():
        must_be_a_connection_string(name if environ.get(name) else SEND_AND_LISTEN, found[name], parts)
    return found


def topic_in(environ: Mapping[str, str]) -> tuple[str, str]:
    """Endpoint and key of the topic for alerts, "" if none is named. Raises: `SettingsError` for half of the two."""
    topic = environ.get(TOPIC_ENDPOINT, ""), environ.get(TOPIC_KEY, "")
    if any(topic) and not all(topic):
        raise SettingsError(f"{TOPIC_ENDPOINT} and {TOPIC_KEY} belong together: set both, or none of them")
    return topic


def must_be_a_connection_string(name: str, value: str, parts: Mapping[str, str]) -> None:
    """Raises: `SettingsError` naming the variable and the part that is missing or mistyped; the value is a secret."""
    told = dict(part.partition("=")[::2] for part in value.strip().split(";") if part)
    for part, beginning in parts.items():
        value_of_part = told.get(part, "")
        if not value_of_part.startswith(beginning) or value_of_part == beginning:
            form = ";".join(f"{known}={start}..." for known, start in parts.items())
            raise SettingsError(f"{name} is no connection string: it has no {part}={beginning}... (its form: {form})")
    try:
        base64.b64decode(told.get("AccountKey", ""), validate=True)
    except ValueError:
        raise SettingsError(f"{name} is no connection string: its AccountKey is no base64; copy it whole") from None
