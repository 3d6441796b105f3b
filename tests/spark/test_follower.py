"""The receivers that Spark's workers keep: a task gets the range that it names, whatever the receiver did before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.eventhub import EventData
from spark_projection import follower

from labkit.lab import Lab, open_lab
from labkit.settings import embedded
from localazure.handle import LocalAzure
from tests.spark.job import WITHOUT_SPARK

EVENTS = 60


@pytest.fixture
def lab(own_azure: LocalAzure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """One hub partition with sixty events."""
    target = embedded(own_azure, tmp_path)
    with open_lab("03", partitions=1, target=target) as one:
        monkeypatch.setenv(follower.CONNECTION, target.listen)
        monkeypatch.setattr(follower, "_kept", {})
        one.producer().send_batch([EventData(str(number).encode()) for number in range(EVENTS)], partition_id="0")
        yield one
        for kept in follower._kept.values():
            kept.stop()


def taken(lab: Lab, after: int, last: int) -> list[int]:
    arrivals = follower.followed(lab.hub, "0", after).take(after, last)
    assert [one.body for one in arrivals] == [str(one.sequence_number).encode() for one in arrivals]
    return [one.sequence_number for one in arrivals]


def test_ranges_are_taken_one_after_the_other_over_one_connection(lab: Lab) -> None:
    assert taken(lab, -1, 19) == list(range(20))
    first = follower.followed(lab.hub, "0", 19)
    assert taken(lab, 19, 39) == list(range(20, 40))
    assert follower.followed(lab.hub, "0", 39) is first


def test_a_range_that_another_worker_took_is_passed_over(lab: Lab) -> None:
    assert taken(lab, -1, 9) == list(range(10))
    assert taken(lab, 29, 39) == list(range(30, 40))


def test_a_range_that_was_taken_before_is_taken_again_by_a_new_receiver(lab: Lab) -> None:
    assert taken(lab, -1, 29) == list(range(30))
    first = follower.followed(lab.hub, "0", 29)

    assert taken(lab, 9, 19) == list(range(10, 20))
    assert follower.followed(lab.hub, "0", 19) is not first


def test_what_retention_has_dropped_is_no_shorter_range_but_an_error(lab: Lab) -> None:
    lab.faults.event_hubs.end_retention()
    lab.producer().send_batch([EventData(str(number).encode()) for number in range(60, 80)], partition_id="0")

    with pytest.raises(follower.EventsLost, match=r"^10 of 60 events behind 9 in hub partition 0 are left"):
        taken(lab, 9, 69)


def test_a_hub_that_is_not_there_is_the_services_own_error(lab: Lab) -> None:
    with pytest.raises(Exception, match=r"not[ -]found|could not be found"):
        follower.followed("no-such-hub", "0", -1).take(-1, 1)


def test_spark_is_told_what_the_hub_holds_and_gets_it_range_by_range(lab: Lab) -> None:
    pytest.importorskip("pyspark", reason=WITHOUT_SPARK)
    from spark_projection.hub_source import HubStreamReader, Range

    lab.faults.event_hubs.end_retention()
    lab.producer().send_batch([EventData(str(number).encode()) for number in range(60, 80)], partition_id="0")
    reader = HubStreamReader(lab.hub, 15, "")

    begin = reader.initialOffset()
    assert begin == {"0": 59}, "what retention has dropped before the first batch is no loss"
    first = reader.latestOffset()
    assert first == {"0": 74}
    (wanted,) = reader.partitions(begin, first)
    assert wanted == Range("0", 59, 74)
    (batch,) = reader.read(wanted)
    assert batch["sequence_number"].to_pylist() == list(range(60, 75))
    assert batch["body"].to_pylist() == [str(number).encode() for number in range(60, 75)]

    assert reader.latestOffset() == {"0": 79}
    assert reader.partitions({"0": 79}, {"0": 79}) == []
    assert HubStreamReader(lab.hub, 4, '{"0": 70}').latestOffset() == {"0": 74}, "after a restart, from what was noted"
