"""`kill -9` in the middle of a lesson: the next command, the relay and the reader go on, and nothing is lost."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError

from labkit.documents import is_unanswered
from labkit.events.envelope import from_json
from labkit.events.reading import HubReader
from labkit.events.relay import Relay
from labkit.lab import Lab, open_lab
from labkit.settings import embedded
from labkit.write_model import handler as handlers
from labkit.write_model.handler import Accepted, CommandHandler, Context
from labkit.write_model.orders import CreateOrder, Item
from localazure import daemon
from tests.contract.daemon.processes import eventually


@pytest.mark.skipif(sys.platform == "win32", reason="only on systems that know kill -9")
def test_a_killed_server_costs_a_moment_and_nothing_else(tmp_path: Path) -> None:
    azure = daemon.attach(tmp_path / "azure")
    target = replace(embedded(azure, tmp_path / "tables"), detach=azure.close)
    try:
        with open_lab("00", partitions=2, target=target) as lab:
            orders_travel_across_a_kill(lab, tmp_path / "azure")
    finally:
        daemon.stop(tmp_path / "azure")


def orders_travel_across_a_kill(lab: Lab, data_dir: Path) -> None:
    write_model = lab.container("write-model", "command")
    relay = Relay(lab.container("write-model", "relay"), lab.producer(), lab.container("relay-state", "relay"))
    relay.start()
    with HubReader(lab.async_consumer("monitor", "lessons"), lab.start_positions) as reader:
        for number in range(4):
            if number == 2:
                running = daemon.status(data_dir)
                assert running is not None
                os.kill(running.pid, signal.SIGKILL)
            relay.wait_until_published(place(CommandHandler(write_model, lab.clock), number), timeout_seconds=60)
        relay.stop()
        received = {from_json(one.body).event_id for one in reader.read_to_end(40)}
    assert relay.error is None
    stored = {handlers.history(write_model, f"order-20260105-{number:04}")[0].event_id for number in range(4)}
    assert received == stored


def place(handler: CommandHandler, number: int) -> str:
    """The token of a new order; asks again with the same key as long as there is no answer."""
    command = CreateOrder(f"order-20260105-{number:04}", "customer-1", (Item("tea", 1, Decimal("4.50")),))
    tokens: list[str] = []

    def answered() -> bool:
        try:
            outcome = handler.handle(command, Context(f"place-{number}"))
        except AzureError as error:
            if not is_unanswered(error):
                raise
            return False
        assert isinstance(outcome, Accepted)
        tokens.append(outcome.token)
        return True

    assert eventually(answered)
    return tokens[0]
