"""A shop, and the query API over its tables and documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from labkit.lab import Lab, open_lab
from labkit.settings import embedded
from localazure.handle import LocalAzure
from tests.contract.query_api.asked import asking
from tests.contract.shop import Shop, Side, opened


@pytest.fixture
def lab(azure: LocalAzure, tmp_path: Path) -> Iterator[Lab]:
    with open_lab("04", partitions=2, target=embedded(azure, tmp_path)) as one:
        yield one


@pytest.fixture
def shop(lab: Lab) -> Iterator[Shop]:
    with opened(Side(lab), Path(lab.tables_url)) as one:
        yield one


@pytest.fixture
def client(lab: Lab) -> Iterator[httpx.Client]:
    with asking(lab) as one:
        yield one
