"""What can go wrong with the embedded Azure as a program; each says what happened, why, and what to do."""

from __future__ import annotations

from pathlib import Path


class LocalAzureError(RuntimeError):
    """The embedded Azure could not do what was asked of it."""


class PortBusy(LocalAzureError):
    """A port that was asked for is taken."""

    def __init__(self, service: str, port: int) -> None:
        flag = {"Cosmos DB": "--cosmos-port", "Event Hubs": "--eventhubs-port"}[service]
        super().__init__(
            f"Port {port} for {service} is in use by another program; stop that program, "
            f"or choose another port with {flag}."
        )


class AlreadyServing(LocalAzureError):
    """Another process serves this data folder."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"Another process already serves the data folder {data_dir.name!r}; attach to it, "
            "or stop it first (`python lab.py down`)."
        )


class FolderUnusable(LocalAzureError):
    """The data folder cannot be written, or holds something that is not the embedded Azure's."""

    def __init__(self, data_dir: Path, reason: str) -> None:
        super().__init__(
            f"The data folder {data_dir.name!r} cannot be used ({reason}); give a folder that you may write to."
        )


class DataDamaged(LocalAzureError):
    """A file of the data folder is not what was written there."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The file {path.name!r} in the data folder cannot be read ({reason}); move the folder away to keep it, "
            "or start afresh with `python lab.py reset`."
        )


class NotAnswering(LocalAzureError):
    """A process serves the folder and does not answer."""

    def __init__(self, data_dir: Path, pid: object) -> None:
        who = "A process" if pid is None else f"Process {pid}"
        super().__init__(
            f"{who} serves the data folder {data_dir.name!r} and does not answer. Try again in a moment; if it stays "
            "so, end that process: what it has acknowledged is on disk."
        )


class KeyUnusable(LocalAzureError):
    """A key that was given is none."""

    def __init__(self, flag: str, reason: str) -> None:
        super().__init__(f"The key given with {flag} cannot be used ({reason}); the folder's keys are as they were.")


class TlsUnavailable(LocalAzureError):
    """TLS was asked for and nothing can make a certificate."""

    def __init__(self) -> None:
        super().__init__(
            "TLS needs the package `cryptography`; add it to the environment (`python -m pip install cryptography`), "
            "or start without TLS: both SDKs accept the plain loopback endpoints."
        )


class HubUnusable(LocalAzureError):
    """A hub that was asked for at the start cannot be made."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The hub {name!r} cannot be made: {reason}.")


class StartFailed(LocalAzureError):
    """The daemon did not come up."""


class NotRunning(LocalAzureError):
    """Nothing serves this data folder (any more)."""


class ControlRefused(LocalAzureError):
    """The control route said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
