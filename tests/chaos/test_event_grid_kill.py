"""`kill -9` while events are published and delivered: what was accepted reaches the webhook, at least once.

Each round starts the server on the same folder, publishes from a thread, kills the process in the midst of it. After
the last round a server delivers what is left. CHAOS_ROUNDS sets how many rounds; a few run by default.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient

from localazure import keys
from localazure.handle import ControlClient
from tests.webhook import Webhook

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "3"))
EVENTS_A_REQUEST = 5
ACCEPTED_BEFORE_KILL = 60


@contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], EventGridPublisherClient, ControlClient]]:
    """A server process of its own; killed at the end."""
    command = [sys.executable, "-m", "localazure", "serve", "--data", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        found = keys.load(folder)
        assert found is not None
        credential = AzureKeyCredential(found.topic_key("alerts"))
        control = ControlClient(urlsplit(told["control_url"]).port or 0, told["control_token"])
        with EventGridPublisherClient(f"{told['eventgrid_endpoint']}alerts/api/events", credential) as client:
            yield process, client, control
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


class Publishing(threading.Thread):
    """Publishes until the server is gone; `accepted` holds the ids that were acknowledged."""

    def __init__(self, client: EventGridPublisherClient, name: str) -> None:
        super().__init__(daemon=True)
        self.accepted: list[str] = []
        self.enough = threading.Event()
        self._client = client
        self._name = name

    def run(self) -> None:
        number = 0
        try:
            while True:
                ids = [f"{self._name}-{number + one}" for one in range(EVENTS_A_REQUEST)]
                number += EVENTS_A_REQUEST
                events = [CloudEvent(source="/chaos", type="t", id=one) for one in ids]
                self._client.send(events)
                self.accepted += ids
                if len(self.accepted) >= ACCEPTED_BEFORE_KILL:
                    self.enough.set()
        except AzureError:
            self.enough.set()


@pytest.mark.chaos
def test_what_was_accepted_before_the_kill_reaches_the_webhook(tmp_path: Path) -> None:
    hook = Webhook()
    accepted: list[str] = []
    for turn in range(ROUNDS):
        with served(tmp_path) as (process, client, control):
            control("POST", "/topics", {"name": "alerts"})
            subscription = {"name": "alerts", "endpoint": hook.url, "policy": {"time_scale": 0.01}}
            control("POST", "/topics/alerts/subscriptions", subscription)
            publishing = Publishing(client, f"round{turn}")
            publishing.start()
            assert publishing.enough.wait(60)
            process.kill()
            process.wait(20)
            publishing.join(60)
            assert len(publishing.accepted) >= ACCEPTED_BEFORE_KILL
            accepted += publishing.accepted
    with served(tmp_path) as (_, _, control):
        hook.wait_until(lambda hook: set(accepted) <= {event["id"] for event in hook.taken}, 60)
        while control("GET", "/counters")["event_grid"]["pending"]:
            hook.wait_until(lambda _: True)
    hook.stop()
