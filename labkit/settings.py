"""Which Azure the lab talks to, and what each role may do there.

The environment decides: no connection string at all means the embedded Azure, all of them mean Azure, some of them is
an error that names the missing ones. This is the only module of `labkit` that imports `localazure`.

Not known here: containers, hubs in use, clients (see `labkit.lab`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from labkit import connections
from labkit.errors import LocalOnly, RoleError, SettingsError

if TYPE_CHECKING:
    from localazure import LocalAzure
    from localazure.daemon import Running

DATA_DIR = "LAB_DATA_DIR"
"""Optional: where the embedded Azure keeps its data; `.lab` beside the package if it is not set."""

LOOPBACK = ("127.0.0.1", "localhost")


class Role(StrEnum):
    """Who is asking. The rights of each are in `RIGHTS`."""

    COMMAND = "command"
    RELAY = "relay"
    PROJECTOR = "projector"
    QUERY = "query"
    MONITOR = "monitor"


@dataclass(frozen=True, slots=True)
class Rights:
    cosmos: Literal["read-write", "read-only"]
    event_hubs: Literal["send", "listen"] | None


RIGHTS: Mapping[Role, Rights] = {
    Role.COMMAND: Rights("read-write", None),
    Role.RELAY: Rights("read-write", "send"),
    Role.PROJECTOR: Rights("read-write", "listen"),
    Role.QUERY: Rights("read-only", None),
    Role.MONITOR: Rights("read-only", "listen"),
}


def the_role(name: str) -> Role:
    """Raises: `RoleError` for a role that the lab does not have."""
    try:
        return Role(name)
    except ValueError:
        raise RoleError(f"no role {name!r}; the lab knows {', '.join(Role)}") from None


NO_FAULTS = (
    "faults on purpose exist in the embedded Azure only; on Azure, cut the network of this machine, "
    "lower the throughput of the container, or disable the hub in the portal to see the same"
)
NO_WEBHOOKS = (
    "on Azure a subscription belongs to the topic's resource: give the webhook an https address that Azure can "
    "reach, and make it with `az eventgrid event-subscription create --event-delivery-schema cloudeventschemav1_0`"
)


@dataclass(frozen=True, slots=True)
class Topic:
    """Where alerts are published."""

    endpoint: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """One Azure: its connection strings (never shown), and what is there beforehand or can be made."""

    cosmos: str = field(repr=False)
    cosmos_read_only: str = field(repr=False)
    send: str = field(repr=False)
    listen: str = field(repr=False)
    tables_root: str
    """Folder or `abfss://` URL below which the read models' tables are kept."""
    local: LocalAzure | None = None
    """The embedded Azure, which makes hubs, topics and faults; None on Azure."""
    database: str | None = None
    """The database that exists beforehand; None: the lab makes one of its own."""
    hub: str | None = None
    """The hub that exists beforehand; None: the lab makes one of its own."""
    named_topic: Topic | None = None
    """The topic that exists beforehand, if one is named."""
    detach: Callable[[], object] = lambda: None
    owners: Path | None = None
    """Where open labs are noted, so that the next one deletes what a killed process left; None: nowhere."""

    @property
    def name(self) -> str:
        return "Azure" if self.local is None else "the embedded Azure"

    def here(self, instead: str) -> LocalAzure:
        """The embedded Azure. Raises: `LocalOnly` on Azure, saying what to do there `instead`."""
        if self.local is None:
            raise LocalOnly(instead)
        return self.local

    def topic(self, name: str) -> Topic:
        """The topic of this name, made if this Azure makes topics; else the one there is. Raises: `SettingsError`."""
        if self.local is not None:
            self.local.create_topic(name)
            return Topic(self.local.topic_endpoint(name), self.local.topic_key(name))
        if self.named_topic is None:
            raise SettingsError(connections.TOPIC_MISSING)
        return self.named_topic

    def cosmos_for(self, role: Role) -> str:
        return self.cosmos if RIGHTS[role].cosmos == "read-write" else self.cosmos_read_only

    def event_hubs_for(self, role: Role, right: Literal["send", "listen"]) -> str:
        """Raises: `RoleError` if the role does not hold this right."""
        if RIGHTS[role].event_hubs != right:
            held = RIGHTS[role].event_hubs or "none"
            raise RoleError(f"the role {role.value!r} may not {right} (its right on Event Hubs: {held})")
        return self.send if right == "send" else self.listen


def target(environ: Mapping[str, str] | None = None) -> Target:
    """The Azure that the environment asks for; the embedded one is started if it is not running.

    Raises: `SettingsError` if some of the connections are named, but not all, or one of them is no connection string;
    `LocalAzureError` if the embedded Azure does not start.
    """
    chosen = os.environ if environ is None else environ
    azure = azure_of(chosen)
    if azure is not None:
        return azure
    import localazure

    folder = data_dir(chosen)
    azure_here = localazure.attach(folder)
    return replace(embedded(azure_here, folder / "tables"), detach=azure_here.close, owners=folder / "labs")


def azure_of(environ: Mapping[str, str]) -> Target | None:
    """The target on Azure, None if no connection is named.

    Raises: `SettingsError` if some are, but not all, or one is no connection string; it never tells the value.
    """
    found = connections.named_in(environ)
    if found is None:
        return None
    topic = connections.topic_in(environ)
    return Target(
        cosmos=found[connections.COSMOS],
        cosmos_read_only=found[connections.COSMOS_READ_ONLY],
        send=found[connections.SEND],
        listen=found[connections.LISTEN],
        tables_root=found[connections.READ_STORE].rstrip("/"),
        named_topic=Topic(*topic) if all(topic) else None,
        database=environ.get(connections.DATABASE) or connections.DATABASE_NAME,
        hub=found[connections.HUB],
    )


def embedded(azure: LocalAzure, tables: Path) -> Target:
    """A target on this embedded Azure, with the read models' tables in this folder. Who started it stops it."""
    spare_loopback_the_proxy()
    return Target(
        cosmos=azure.cosmos_connection_string,
        cosmos_read_only=azure.cosmos_read_only_connection_string,
        send=azure.event_hubs_connection_string_for("send"),
        listen=azure.event_hubs_connection_string_for("listen"),
        tables_root=str(tables),
        local=azure,
    )


def data_dir(environ: Mapping[str, str]) -> Path:
    """Where the embedded Azure keeps its data: absolute, as notebooks run in different working folders."""
    beside_the_package = Path(__file__).resolve().parent.parent / ".lab"
    return Path(environ.get(DATA_DIR) or beside_the_package).resolve()


def start_embedded(folder: Path) -> None:
    """Start the embedded Azure of `folder`, unless it runs. Raises: `LocalAzureError`."""
    import localazure

    localazure.attach(folder).close()


def embedded_status(folder: Path) -> Running | None:
    """The embedded Azure of `folder`, if it runs. Raises: `LocalAzureError` if it runs and does not answer."""
    from localazure import daemon

    return daemon.found(folder)


def stop_embedded(folder: Path) -> bool:
    """Stop the embedded Azure of `folder`; False if it did not run. Raises: `LocalAzureError`."""
    from localazure import daemon

    return daemon.stop(folder)


def spare_loopback_the_proxy() -> None:
    """Keep the HTTP clients of this process from asking a proxy for the loopback interface."""
    for name in ("NO_PROXY", "no_proxy"):
        listed = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join([*listed, *(host for host in LOOPBACK if host not in listed)])
