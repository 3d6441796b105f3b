"""What most contract tests begin with; a module that needs another lab has a fixture of that name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey

from labkit.lab import Lab, open_lab
from labkit.settings import embedded
from labkit.write_model.handler import CommandHandler
from localazure.handle import LocalAzure
from tests.contract.shop import Shop, Side, opened


@pytest.fixture
def lab(azure: LocalAzure, tmp_path: Path) -> Iterator[Lab]:
    """A lab of the test's own. Faults that it arms are gone afterwards."""
    with open_lab("00", partitions=2, target=embedded(azure, tmp_path)) as one:
        yield one
        one.faults.clear()


@pytest.fixture(scope="module")
def client(azure: LocalAzure) -> Iterator[CosmosClient]:
    """Of Cosmos DB alone, for one module: a new one asks for the account first."""
    with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
        yield client


@pytest.fixture
def container(client: CosmosClient, fresh_name: str) -> Iterator[ContainerProxy]:
    """Empty, in a database of the test's own; single documents may expire."""
    database = client.create_database(fresh_name)
    yield database.create_container("items", PartitionKey("/pk"), default_ttl=-1)
    client.delete_database(fresh_name)


@pytest.fixture
def write_model(lab: Lab) -> ContainerProxy:
    return lab.container("write-model", "command")


@pytest.fixture
def handler(lab: Lab, write_model: ContainerProxy) -> CommandHandler:
    return CommandHandler(write_model, lab.clock)


@pytest.fixture(scope="module")
def side(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """One hub partition, and one for the module: connecting costs the SDK most of a second each time."""
    with open_lab("03", partitions=1, target=embedded(azure, tmp_path_factory.mktemp("tables"))) as lab:
        yield Side(lab)


@pytest.fixture
def shop(side: Side, tmp_path: Path) -> Iterator[Shop]:
    with opened(side, tmp_path) as one:
        yield one
