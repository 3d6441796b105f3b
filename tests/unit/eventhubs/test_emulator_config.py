"""The Config.json of Microsoft's emulator, read; and its hubs made by the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from localazure.eventhubs.emulator_config import WantedHub, read_config
from localazure.handle import LocalAzure


def _config(**entity: Any) -> str:
    whole = {"Name": "eh1", "PartitionCount": "2", "ConsumerGroups": [{"Name": "cg1"}], **entity}
    namespace = {"Type": "EventHub", "Name": "emulatorNs1", "Entities": [whole]}
    return json.dumps({"UserConfig": {"NamespaceConfig": [namespace], "LoggingConfig": {"Type": "File"}}})


def test_names_counts_and_groups_are_read() -> None:
    assert read_config(_config()) == [WantedHub("eh1", 2, ("cg1",))]
    assert read_config(_config(PartitionCount=4, ConsumerGroups=None)) == [WantedHub("eh1", 4, ())]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "lacks 'UserConfig'"),
        ("[]", "another form"),
        ("no json", "Expecting value"),
        (_config().replace('"Type": "EventHub"', '"Type": "ServiceBus"'), "'ServiceBus' is not supported"),
        (_config().replace('"Name": "eh1", ', ""), "lacks 'Name'"),
        (_config(PartitionCount="two"), "two"),
    ],
)
def test_what_is_wrong_is_told(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_config(text)


def test_the_command_makes_them_in_a_folder_that_is_served(tmp_path: Path) -> None:
    import localazure

    file = tmp_path / "Config.json"
    file.write_text(_config(), encoding="utf-8")
    command = [sys.executable, "-m", "localazure", "hub", "import", str(file), "--data", str(tmp_path / "data")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "Nothing serves" in refused.stderr
    with localazure.start(tmp_path / "data") as azure:
        assert isinstance(azure, LocalAzure)
        subprocess.run(command, capture_output=True, check=True)
        assert azure.event_hub_names() == ["eh1"]
