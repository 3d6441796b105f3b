"""Requests that schemathesis makes up from the API's own document, good ones and bad, on the embedded Cosmos DB.

Every answer must be one that the document names, in the form it gives there, and never a server error. The number of
requests is bounded and they are the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import positive_data_acceptance

from labkit.lab import open_lab
from labkit.settings import embedded
from labkit.write_model.api import command_app
from labkit.write_model.handler import CommandHandler
from localazure.handle import LocalAzure

EXAMPLES = 15
"""For each operation; schemathesis adds a few of its own."""

NOT_HELD_TO = [positive_data_acceptance]
"""A body of the right form may still be refused: an order's day has to be near today, which no schema can say."""


nobody: Any = None
schema = schemathesis.openapi.from_dict(command_app(nobody).openapi())


@pytest.fixture(scope="module")
def url(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_lab("00", target=embedded(azure, tmp_path_factory.mktemp("tables"))) as lab:
        yield lab.serve(command_app(CommandHandler(lab.container("write-model", "command"), lab.clock))).url


@schema.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_names(case: schemathesis.Case, url: str) -> None:
    case.call_and_validate(base_url=url, excluded_checks=NOT_HELD_TO)
