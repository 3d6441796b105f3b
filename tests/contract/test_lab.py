"""The lab on either target: its own database and hub here; on Azure, what exists beforehand stays.

"Azure" is played by the embedded one, reached by nothing but the environment's connection strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.eventhub import EventData

from labkit import settings
from labkit.errors import LocalOnly
from labkit.lab import CONTAINERS, Lab, open_lab
from labkit.settings import embedded
from localazure.handle import LocalAzure


def environment(azure: LocalAzure, hub: str, tables: Path) -> dict[str, str]:
    return {
        "COSMOS_CONNECTION": azure.cosmos_connection_string,
        "COSMOS_READONLY_CONNECTION": azure.cosmos_read_only_connection_string,
        "EVENTHUB_SEND_CONNECTION": azure.event_hubs_connection_string_for("send"),
        "EVENTHUB_LISTEN_CONNECTION": azure.event_hubs_connection_string_for("listen"),
        "EVENTHUB_NAME": hub,
        "READ_STORE_URL": str(tables),
        "COSMOS_DATABASE": hub,
    }


@pytest.fixture
def on_azure(azure: LocalAzure, fresh_name: str, tmp_path: Path) -> Iterator[settings.Target]:
    settings.spare_loopback_the_proxy()
    azure.create_event_hub(fresh_name, 2, ("monitor", "lessons"))
    target = settings.azure_of(environment(azure, fresh_name, tmp_path))
    assert target is not None
    yield target
    azure.delete_event_hub(fresh_name)


def containers(lab: Lab) -> set[str]:
    return {str(found["id"]) for found in lab.database("command").list_containers()}


def test_here_each_lab_has_a_database_and_a_hub_of_its_own(azure: LocalAzure, tmp_path: Path) -> None:
    target = embedded(azure, tmp_path)
    with open_lab("03", partitions=3, target=target) as one, open_lab("03", target=target) as other:
        assert one.target == "the embedded Azure"
        assert one.hub != other.hub
        assert one.hub.startswith("lab03-")
        assert containers(one) == set(CONTAINERS)
        assert (one.partition_ids, one.start_positions) == (("0", "1", "2"), {"0": -1, "1": -1, "2": -1})
        one.container("write-model", "command").create_item({"id": "x", "aggregateId": "x"})
        assert list(other.container("write-model", "query").read_all_items()) == []


def test_a_receipt_may_expire_and_nothing_does_by_default(azure: LocalAzure, tmp_path: Path) -> None:
    with open_lab("00", target=embedded(azure, tmp_path)) as lab:
        assert lab.container("write-model", "command").read()["defaultTtl"] == -1


def test_on_azure_the_hub_stays_and_reading_begins_at_its_end(on_azure: settings.Target) -> None:
    with open_lab("03", partitions=2, target=on_azure) as first:
        producer = first.producer("relay")
        producer.send_batch([EventData("one"), EventData("two")], partition_id="1")
        assert first.start_positions == {"0": -1, "1": -1}
    with open_lab("03", partitions=2, target=on_azure) as second:
        assert second.target == "Azure"
        assert second.hub == first.hub
        assert second.start_positions == {"0": -1, "1": 1}


def test_on_azure_what_a_hub_held_and_dropped_before_is_no_loss(azure: LocalAzure, on_azure: settings.Target) -> None:
    with open_lab("03", partitions=2, target=on_azure) as first:
        first.producer("relay").send_batch([EventData("one"), EventData("two")], partition_id="1")
        assert azure.faults.event_hubs.end_retention(hub=first.hub) >= 2
        with open_lab("03", partitions=2, target=on_azure) as second:
            assert second.start_positions["1"] >= 1


def test_on_azure_the_database_stays_and_the_containers_made_for_a_lesson_go(on_azure: settings.Target) -> None:
    with open_lab("03", partitions=2, target=on_azure) as kept:
        with open_lab("04", partitions=2, target=on_azure) as closed:
            assert len(containers(kept)) == 2 * len(CONTAINERS)
        assert closed.tables_url != kept.tables_url
        assert len(containers(kept)) == len(CONTAINERS)
        assert all(name.startswith("lab03-") for name in containers(kept))


def test_a_hub_with_other_partitions_than_the_lesson_asks_for_is_told_and_used(on_azure: settings.Target) -> None:
    with pytest.warns(UserWarning, match="has 2 partitions, the lesson asked for 4"):
        lab = open_lab("03", target=on_azure)
    assert lab.partition_ids == ("0", "1")
    lab.close()


def test_on_azure_nothing_can_be_broken_on_purpose(on_azure: settings.Target) -> None:
    with open_lab("03", partitions=2, target=on_azure) as lab, pytest.raises(LocalOnly, match="on Azure, "):
        _ = lab.faults


def test_a_container_that_nobody_made_is_refused_by_name(azure: LocalAzure, tmp_path: Path) -> None:
    with (
        open_lab("00", target=embedded(azure, tmp_path)) as lab,
        pytest.raises(LookupError, match="no container 'orders'; the lab has write-model"),
    ):
        lab.container("orders", "command")


def test_what_a_failed_opening_has_made_is_taken_away_again(
    azure: LocalAzure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_hub(*_: object) -> None:
        raise RuntimeError("no hub today")

    with open_lab("00", target=embedded(azure, tmp_path)) as lab:
        before = {found["id"] for found in lab.database("command").client_connection.ReadDatabases()}
        monkeypatch.setattr(type(azure), "create_event_hub", no_hub)
        with pytest.raises(RuntimeError, match="no hub today"):
            open_lab("00", target=embedded(azure, tmp_path))
        assert {found["id"] for found in lab.database("command").client_connection.ReadDatabases()} == before
