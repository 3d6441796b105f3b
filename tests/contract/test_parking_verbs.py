"""`labkit parked` and `labkit rebuild`, as a person in another terminal uses them on a lab that is open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from labkit import settings
from labkit.errors import LabError
from labkit.lab import open_lab
from labkit.projections.query_container import QueryContainer
from labkit.projections.read_store import ReadStore
from labkit.projections.tables import ORDERS
from labkit.settings import embedded
from labkit.verbs.attaching import NoSuchLab, attach_lab, open_labs
from labkit.verbs.parked import parked, tables_of_spark
from labkit.verbs.rebuild import rebuild
from labkit.verbs.spark import own_lane
from labkit.write_model.orders import PayOrder
from localazure import daemon
from localazure.handle import LocalAzure
from tests.contract.shop import PATIENCE_SECONDS, Shop, Side, folded, opened


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("lab")
    yield folder
    daemon.stop(folder)


@contextmanager
def a_lab(data_dir: Path) -> Iterator[Shop]:
    target = settings.target({settings.DATA_DIR: str(data_dir)})
    with open_lab("03", partitions=1, target=target) as lab, opened(Side(lab), Path(lab.tables_url)) as shop:
        yield shop


@pytest.fixture
def shop(data_dir: Path) -> Iterator[Shop]:
    with a_lab(data_dir) as one:
        yield one


@pytest.fixture
def labkit(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    monkeypatch.setenv(settings.DATA_DIR, str(data_dir))
    return CliRunner()


def refused(result: Result) -> str:
    assert result.exit_code == 1
    assert isinstance(result.exception, LabError), result.output
    return str(result.exception)


def poisoned(shop: Shop) -> str:
    """Order 1 was created; poison is parked, and its payment behind it."""
    projector = shop.projector()
    shop.does(shop.created(1))
    shop.send(shop.order(1), b"poison")
    shop.does(PayOrder(shop.order(1)))
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    return shop.order(1)


def test_looked_at_discarded_and_replayed(shop: Shop, labkit: CliRunner) -> None:
    assert labkit.invoke(parked, ["list"]).output == "Nothing is parked.\n"
    order = poisoned(shop)
    head, line = labkit.invoke(parked, ["list"]).output.splitlines()
    assert head.split()[:3] == ["aggregate", "events", "first"]
    assert line.split()[:3] == [order, "2", "0-1"]
    assert line.endswith("cannot be read: not an event: JSON is malformed: invalid character (byte 0)")
    shown = labkit.invoke(parked, ["show", order]).output.splitlines()
    assert shown[1].strip() == "poison"
    assert shown[2].startswith("0-2 ")
    assert shown[3].endswith(" ...")
    assert labkit.invoke(parked, ["show", order, "--whole"]).output.splitlines()[3].endswith('"schemaVersion":1}')

    stays = labkit.invoke(parked, ["replay", order])
    assert stays.output.startswith(f"{order}: 0 applied, 0 were there, 2 stay parked (0-1: cannot be read")
    assert "stay parked" in refused(stays)
    left = labkit.invoke(parked, ["discard", order, "--why", "no event"], input="n\n")
    assert left.exit_code == 1
    assert len(shop.parking.events(order)) == 2
    gone = labkit.invoke(parked, ["discard", order, "--why", "no event"], input="y\n")
    assert gone.output.endswith("Discarded. No table has changed; 1 stay parked. Replay them next.\n")
    kept = shop.lab.container("parked-events", "projector").read_item("0-1", partition_key=order)
    assert (kept["discarded"]["why"], kept["discarded"]["hub"]) == ("no event", shop.lab.hub)

    done = labkit.invoke(parked, ["replay", "--all"])
    assert done.output == f"{order}: 1 applied, 0 were there, 0 stay parked\n"
    assert done.exit_code == 0
    assert shop.tables() == folded(shop.history())
    (document,) = shop.lab.container("query-model", "query").query_items(
        "SELECT * FROM c WHERE c.id = @id", parameters=[{"name": "@id", "value": order}], partition_key="customer-1"
    )
    assert (document["status"], document["version"]) == ("Paid", 2)
    assert QueryContainer(shop.lab.container("query-model", "projector")).came_to(shop.lab.hub) == ({}, None)


def test_without_a_query_container_a_replay_changes_the_tables_alone(shop: Shop, labkit: CliRunner) -> None:
    order = poisoned(shop)
    assert labkit.invoke(parked, ["discard", order, "--why", "no event", "--yes"]).exit_code == 0
    shop.lab.database("projector").delete_container("query-model")

    done = labkit.invoke(parked, ["replay", order])

    assert done.output == f"{order}: 1 applied, 0 were there, 0 stay parked\n", done.exception
    assert shop.tables() == folded(shop.history())


def test_the_lane_and_the_tables_of_spark_are_told_of_and_reached_apart(shop: Shop, labkit: CliRunner) -> None:
    order = poisoned(shop)
    assert f"Spark has no lane in {shop.lab.name}" in refused(labkit.invoke(parked, ["list", "--spark"]))
    lane = own_lane(shop.lab)
    assert "Spark" not in labkit.invoke(parked, ["list"]).output, "it holds nothing"
    for document in list(shop.lab.container("parked-events", "projector").read_all_items()):
        lane.upsert_item(document)
    its = Path(tables_of_spark(shop.lab))
    shutil.copytree(shop.lab.tables_url, its, ignore=shutil.ignore_patterns(its.name))

    told = labkit.invoke(parked, ["list"]).output.splitlines()
    assert told[-1] == "Spark's own lane holds 2 more: `parked list --spark` shows them."
    assert labkit.invoke(parked, ["list", "--spark"]).output.splitlines() == told[:-1]
    assert "poison" in labkit.invoke(parked, ["show", order, "--spark"]).output
    assert labkit.invoke(parked, ["discard", order, "--spark", "--why", "no event", "--yes"]).exit_code == 0
    done = labkit.invoke(parked, ["replay", "--all", "--spark"])

    assert done.output == f"{order}: 1 applied, 0 were there, 0 stay parked\n", done.exception
    assert ReadStore(str(its)).version_of(order) == 2
    assert (shop.store.version_of(order), len(shop.parking.events(order))) == (1, 2)


def test_requests_that_mean_nothing_are_refused_in_a_sentence(shop: Shop, labkit: CliRunner) -> None:
    order = poisoned(shop)
    assert refused(labkit.invoke(parked, ["replay"])) == "name the aggregates to replay, or say --all"
    assert refused(labkit.invoke(parked, ["replay", order, "--all"])) == "name the aggregates to replay, or say --all"
    assert "nothing of nobody is parked" in refused(labkit.invoke(parked, ["show", "nobody"]))
    assert "nothing of nobody is parked" in refused(labkit.invoke(parked, ["replay", "nobody"]))
    wrong = labkit.invoke(parked, ["discard", order, "0-99", "--why", "x", "--yes"])
    assert refused(wrong) == f"0-99 of {order} is not parked; parked are 0-1, 0-2"
    assert labkit.invoke(parked, ["discard", order]).exit_code == 2
    assert len(shop.parking.events(order)) == 2
    assert labkit.invoke(parked, ["discard", order, "0-2", "--why", "x", "--yes"]).exit_code == 0
    assert [event.place for event in shop.parking.events(order)] == ["0-1"]


def test_an_event_that_names_nobody_can_be_looked_at_and_discarded(shop: Shop, labkit: CliRunner) -> None:
    projector = shop.projector()
    shop.send("", b"poison of nobody")
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert labkit.invoke(parked, ["list"]).output.splitlines()[1].startswith('""')
    assert "poison of nobody" in labkit.invoke(parked, ["show", ""]).output
    assert labkit.invoke(parked, ["discard", "", "--all", "--why", "x", "--yes"]).exit_code == 0
    assert labkit.invoke(parked, ["list"]).output == "Nothing is parked.\n"


def test_a_rebuild_asks_before_it_changes_rows_and_goes_back(shop: Shop, labkit: CliRunner) -> None:
    projector = shop.projector()
    shop.does(shop.created(1), PayOrder(shop.order(1)))
    projector.wait_until_applied(shop.ends(), PATIENCE_SECONDS)
    assert "no earlier tables" in refused(labkit.invoke(rebuild, ["--rollback"]))
    shop.store.table(ORDERS).update({"status": "'Shipped'"})
    kept = labkit.invoke(rebuild, input="n\n")
    assert kept.exit_code == 1
    assert f"orders {shop.order(1)}: status Shipped -> Paid" in kept.output
    assert shop.store.current() is shop.store
    assert labkit.invoke(rebuild, ["--yes"]).output.endswith("`rebuild --rollback` goes back to them.\n")
    assert shop.tables() == folded(shop.history())
    assert labkit.invoke(rebuild, ["--rollback"]).exit_code == 0
    assert shop.store.current() is shop.store
    assert shop.tables()["orders"][0]["status"] == "Shipped"


def test_which_lab_is_meant_must_be_told_when_several_are_open(data_dir: Path, labkit: CliRunner) -> None:
    assert refused(labkit.invoke(parked, ["list"])) == "no lab is open: open one in a notebook first"
    with a_lab(data_dir) as one, a_lab(data_dir) as other:
        names = ", ".join(sorted([one.lab.name, other.lab.name]))
        assert refused(labkit.invoke(parked, ["list"])) == f"say which lab is meant; open are {names}"
        asked = labkit.invoke(rebuild, ["--lab", "lab03-nope"])
        assert refused(asked) == f"no lab 'lab03-nope' is open; open are {names}"
        assert labkit.invoke(parked, ["list", "--lab", other.lab.name]).output == "Nothing is parked.\n"
    assert refused(labkit.invoke(parked, ["list"])) == "no lab is open: open one in a notebook first"


def test_whoever_attaches_leaves_the_lab_as_it_was(shop: Shop, data_dir: Path) -> None:
    shop.does(shop.created(1))
    with attach_lab(target=settings.target({settings.DATA_DIR: str(data_dir)})) as guest:
        assert (guest.name, guest.hub, guest.tables_url) == (shop.lab.name, shop.lab.hub, shop.lab.tables_url)
        assert (guest.partition_ids, guest.start_positions) == (("0",), {"0": -1})
    assert len(shop.history()) == 1
    assert shop.ends() == {"0": 0}


def test_on_azure_a_lab_is_told_by_its_containers(azure: LocalAzure, tmp_path: Path, fresh_name: str) -> None:
    azure.create_event_hub(fresh_name, 2, ("monitor", "lessons"))
    local = embedded(azure, tmp_path)
    there = replace(local, local=None, database=fresh_name, hub=fresh_name)
    with open_lab("03", partitions=2, target=there) as one:
        assert open_labs(there) == [one.name]
        with attach_lab(target=there) as guest:
            assert guest.name == one.name
            assert guest.container("parked-events", "projector").id == f"{one.name}-parked-events"
        assert one.container("parked-events", "projector").read()["id"] == f"{one.name}-parked-events"
    with pytest.raises(NoSuchLab, match="no lab is open"):
        attach_lab(target=there)
