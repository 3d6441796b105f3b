"""The keys of one embedded Azure: made at its first start, kept in `keys.json`, which only the owner can read.

Cosmos DB account keys are 64 random bytes, Event Hubs policy keys 32, both in base64 as in Azure. A policy is named
for what it may do: `send`, `listen`, `manage`; `RootManageSharedAccessKey` is Azure's own name for the whole namespace.

Source: learn.microsoft.com/azure/cosmos-db/secure-access-to-data,
learn.microsoft.com/azure/event-hubs/authorize-access-shared-access-signature
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from localazure import private_file
from localazure.errors import DataDamaged, KeyUnusable

ROOT_POLICY = "RootManageSharedAccessKey"
POLICIES = (ROOT_POLICY, "manage", "send", "listen")
FILE_NAME = "keys.json"


@dataclass(frozen=True, slots=True)
class Keys:
    """Every secret of one data folder; none shows in a repr."""

    cosmos_read_write: str = field(repr=False)
    cosmos_read_only: str = field(repr=False)
    event_hubs: Mapping[str, str] = field(repr=False)
    control_token: str = field(repr=False)

    def with_given(self, cosmos_key: str | None, eventhubs_key: str | None) -> Keys:
        """The same with the caller's own read-write key and root policy key, as an emulator's fixed keys are given.

        Raises: `KeyUnusable` for a Cosmos DB key that is not base64, or a policy key that a connection string cuts.
        """
        if cosmos_key is not None and not _is_base64(cosmos_key):
            raise KeyUnusable("--cosmos-key", "it is not base64")
        if eventhubs_key is not None and (not eventhubs_key.strip() or set(eventhubs_key) & set("; \t\r\n")):
            raise KeyUnusable("--eventhubs-key", "it is empty, or holds a blank or a semicolon")
        event_hubs = {**self.event_hubs, **({ROOT_POLICY: eventhubs_key} if eventhubs_key else {})}
        return replace(self, cosmos_read_write=cosmos_key or self.cosmos_read_write, event_hubs=event_hubs)

    def topic_key(self, topic: str) -> str:
        """The access key of an Event Grid topic: derived, so that it need not be kept."""
        secret = self.control_token.encode()
        return base64.b64encode(hmac.digest(secret, b"eventgrid/" + topic.encode(), hashlib.sha256)).decode("ascii")

    def save(self, data_dir: Path) -> None:
        private_file.write(data_dir / FILE_NAME, asdict(self))


def load(data_dir: Path) -> Keys | None:
    """The keys of `data_dir`; None before its first start. Raises: `DataDamaged`."""
    path = data_dir / FILE_NAME
    try:
        content = private_file.read(path)
        return None if content is None else _checked(Keys(**content))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataDamaged(path, str(error)) from error


def _checked(keys: Keys) -> Keys:
    """Raises: `ValueError` for a key that is missing or none; the message does not repeat it."""
    if set(POLICIES) - set(keys.event_hubs):
        raise ValueError("the key of a policy is missing")
    for key in (keys.cosmos_read_write, keys.cosmos_read_only):
        if not _is_base64(key):
            raise ValueError("a Cosmos DB key is not base64")
    for secret in (*keys.event_hubs.values(), keys.control_token):
        if not secret.strip() or not secret.isascii():
            raise ValueError("a key is empty or not ASCII")
    return keys


def load_or_make(data_dir: Path, *, cosmos_key: str | None = None, eventhubs_key: str | None = None) -> Keys:
    """The keys of `data_dir`, made and saved if there are none; given keys replace the saved ones."""
    found = load(data_dir)
    keys = (found or _make()).with_given(cosmos_key, eventhubs_key)
    if keys != found:
        keys.save(data_dir)
    return keys


def _make() -> Keys:
    return Keys(
        cosmos_read_write=_random_key(64),
        cosmos_read_only=_random_key(64),
        event_hubs={policy: _random_key(32) for policy in POLICIES},
        control_token=secrets.token_urlsafe(32),
    )


def _is_base64(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) > 0
    except ValueError:
        return False


def _random_key(size_bytes: int) -> str:
    return base64.b64encode(secrets.token_bytes(size_bytes)).decode("ascii")
