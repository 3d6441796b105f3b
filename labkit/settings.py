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
from typing import TYPE_CHECKING, Literal, NoReturn

from labkit import connections
from labkit.errors import LabError, LocalOnly, RoleError, SettingsError

if TYPE_CHECKING:
    from localazure import LocalAzure
    from localazure.daemon import Running
    from localazure.faults import Faults

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


@dataclass(frozen=True, slots=True)
class Topic:
    """Where alerts are published, and how a webhook is subscribed: (name, URL, how it is served)."""

    endpoint: str
    key: str = field(repr=False)
    subscribe: Callable[[str, str, Mapping[str, object]], None]


def _nothing(*_: object) -> None:
    """What is there beforehand need not be made, and stays."""


@dataclass(frozen=True, slots=True)
class Target:
    """One Azure: its connection strings (never shown), and what only one of the two kinds can do."""

    name: Literal["the embedded Azure", "Azure"]
    cosmos: str = field(repr=False)
    cosmos_read_only: str = field(repr=False)
    send: str = field(repr=False)
    listen: str = field(repr=False)
    tables_root: str
    """Folder or `abfss://` URL below which the read models' tables are kept."""
    faults: Callable[[], Faults]
    topic: Callable[[str], Topic]
    """The topic of this name, made if this Azure makes topics."""
    database: str | None = None
    """The database that exists beforehand; None: the lab makes one of its own."""
    hub: str | None = None
    """The hub that exists beforehand; None: the lab makes one of its own."""
    create_hub: Callable[[str, int, tuple[str, ...]], None] = _nothing
    delete_hub: Callable[[str], None] = _nothing
    delete_topic: Callable[[str], None] = _nothing
    detach: Callable[[], None] = _nothing
    owners: Path | None = None
    """Where open labs are noted, so that the next one deletes what a killed process left; None: nowhere."""

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
    `LabError` with the embedded Azure's reason if it does not start.
    """
    chosen = os.environ if environ is None else environ
    azure = azure_of(chosen)
    if azure is not None:
        return azure
    folder = data_dir(chosen)
    azure_here = _attached(folder)
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
        name="Azure",
        cosmos=found[connections.COSMOS],
        cosmos_read_only=found[connections.COSMOS_READ_ONLY],
        send=found[connections.SEND],
        listen=found[connections.LISTEN],
        tables_root=found[connections.READ_STORE].rstrip("/"),
        faults=_no_faults,
        topic=lambda name: _topic_on_azure(*topic),
        database=environ.get(connections.DATABASE) or connections.DATABASE_NAME,
        hub=found[connections.HUB],
    )


def _topic_on_azure(endpoint: str, key: str) -> Topic:
    """Raises: `SettingsError` if the environment names none."""
    if not endpoint:
        raise SettingsError(connections.TOPIC_MISSING)
    return Topic(endpoint, key, lambda name, url, policy: _no_webhooks())


def embedded(azure: LocalAzure, tables: Path) -> Target:
    """A target on this embedded Azure, with the read models' tables in this folder. Who started it stops it."""
    spare_loopback_the_proxy()
    return Target(
        name="the embedded Azure",
        cosmos=azure.cosmos_connection_string,
        cosmos_read_only=azure.cosmos_read_only_connection_string,
        send=azure.event_hubs_connection_string_for("send"),
        listen=azure.event_hubs_connection_string_for("listen"),
        tables_root=str(tables),
        faults=lambda: azure.faults,
        topic=lambda name: _topic_here(azure, name),
        create_hub=azure.create_event_hub,
        delete_hub=lambda name: azure.delete_event_hub(name) if name in azure.event_hub_names() else None,
        delete_topic=lambda name: azure.delete_topic(name) if name in azure.topic_names() else None,
    )


def _topic_here(azure: LocalAzure, name: str) -> Topic:
    azure.create_topic(name)

    def subscribe(subscription: str, url: str, policy: Mapping[str, object]) -> None:
        azure.subscribe_webhook(name, subscription, url, **policy)

    return Topic(azure.topic_endpoint(name), azure.topic_key(name), subscribe)


def data_dir(environ: Mapping[str, str]) -> Path:
    """Where the embedded Azure keeps its data: absolute, as notebooks run in different working folders."""
    beside_the_package = Path(__file__).resolve().parent.parent / ".lab"
    return Path(environ.get(DATA_DIR) or beside_the_package).resolve()


def start_embedded(folder: Path) -> Running:
    """The embedded Azure of `folder`, started unless it runs. Raises: `LabError` with its own reason."""
    _attached(folder).close()
    running = embedded_status(folder)
    if running is None:
        raise LabError("the embedded Azure stopped again as soon as it had started")
    return running


def _attached(folder: Path) -> LocalAzure:
    import localazure
    from localazure.errors import LocalAzureError

    try:
        return localazure.attach(folder)
    except LocalAzureError as error:
        raise LabError(str(error)) from error


def embedded_status(folder: Path) -> Running | None:
    """The embedded Azure of `folder`, if it answers."""
    from localazure import daemon

    return daemon.status(folder)


def stop_embedded(folder: Path) -> bool:
    """Stop the embedded Azure of `folder`; False if it did not run. Raises: `LabError` if it does not stop in time."""
    from localazure import daemon, errors

    try:
        return daemon.stop(folder)
    except errors.LocalAzureError as error:
        raise LabError(str(error)) from error


def spare_loopback_the_proxy() -> None:
    """Keep the HTTP clients of this process from asking a proxy for the loopback interface."""
    for name in ("NO_PROXY", "no_proxy"):
        listed = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join([*listed, *(host for host in LOOPBACK if host not in listed)])


def _no_webhooks() -> NoReturn:
    raise LocalOnly(
        "on Azure a subscription belongs to the topic's resource: give the webhook an https address that Azure can "
        "reach, and make it with `az eventgrid event-subscription create --event-delivery-schema cloudeventschemav1_0`"
    )


def _no_faults() -> NoReturn:
    raise LocalOnly(
        "faults on purpose exist in the embedded Azure only; on Azure, cut the network of this machine, "
        "lower the throughput of the container, or disable the hub in the portal to see the same"
    )
