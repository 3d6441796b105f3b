"""A client that is neither ours nor Microsoft's Python: `@azure/event-hubs` on Node.js, over the `rhea` library."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from localazure.handle import LocalAzure

HERE = Path(__file__).parent / "node"
INSTALLED = Path(__file__).parents[3] / ".lab" / "node" / "event-hubs"
FILES = ("package.json", "package-lock.json", "client.js")
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def node() -> str:
    """Node.js, with what `package-lock.json` names installed below `.lab`."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("node and npm are not installed")
    lock = INSTALLED / "package-lock.json"
    if not lock.exists() or lock.read_bytes() != (HERE / "package-lock.json").read_bytes():
        INSTALLED.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", INSTALLED)
        shutil.copy(HERE / "package-lock.json", INSTALLED / "package-lock.json")
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        installing = subprocess.run(command, cwd=INSTALLED, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
        if installing.returncode:
            lock.unlink()
            pytest.fail(f"npm ci: {installing.stderr.decode()[-500:]}")
    shutil.copy(HERE / "client.js", INSTALLED)
    return found


def test_what_the_javascript_client_sends_both_clients_receive(azure: LocalAzure, hub: str, node: str, read) -> None:
    command = [node, "client.js", azure.event_hubs_connection_string_for("manage"), hub]
    run = subprocess.run(command, cwd=INSTALLED, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert run.returncode == 0, run.stderr[-1_000:]
    saw = json.loads(run.stdout)
    assert saw["errors"] == []
    assert saw["partitionIds"] == ["0", "1"]
    assert saw["refusal"] == "UnauthorizedError"
    by_partition = {one: [event for event in saw["received"] if event["partition"] == one] for one in ("0", "1")}
    assert sum(map(len, by_partition.values())) == 52
    for events in by_partition.values():
        assert [event["sequence"] for event in events] == list(range(len(events)))
    assert max(event["length"] for event in saw["received"]) == 900_002
    ours = read(hub, len(by_partition["0"]), partition_id="0")
    assert [event.body_as_json() for event in ours[:50]] == [{"number": number} for number in range(50)]
    assert [event.properties[b"number"] for event in ours[:50]] == list(range(50))
