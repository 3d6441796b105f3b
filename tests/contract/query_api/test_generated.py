"""Requests that schemathesis makes up from the query API's own document, good ones and bad, on tables with orders.

Every answer must be one that the document names, in the form it gives there, and never a server error but those that it
names. The number of requests is bounded and they are the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error, positive_data_acceptance

from labkit.lab import open_lab
from labkit.projections.query_container import QueryContainer
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Synapse
from labkit.settings import embedded
from localazure.handle import LocalAzure
from tests.unit.read_queries.conftest import Tables

EXAMPLES = 25
"""For each operation; schemathesis adds a few of its own."""

NOT_HELD_TO = [positive_data_acceptance, not_a_server_error]
"""Two days in the wrong order, or an id whose day is in no calendar: no schema can say that. A write that never comes
is 504, which the document names; that there is no other 5xx is asserted here."""


nobody: Any = None
schema = schemathesis.openapi.from_dict(query_app(nobody, nobody, "").openapi())


@pytest.fixture(scope="module")
def url(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        open_lab("04", target=embedded(azure, tmp_path_factory.mktemp("tables"))) as lab,
        Synapse(lab.tables_url) as all_,
    ):
        made = [Tables.an_order(f"{n}", day=n) for n in range(1, 9)]
        Tables(Path(lab.tables_url)).write([*made, Tables.a_customer("1", "Ada")])
        QueryContainer(lab.container("query-model", "projector")).write(made)
        container = QueryContainer(lab.container("query-model", "query"))
        yield lab.serve(query_app(all_, container, lab.hub, wait_at_most_seconds=0.05)).url


@schema.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_names(case: schemathesis.Case, url: str) -> None:
    answer = case.call_and_validate(base_url=url, excluded_checks=NOT_HELD_TO)
    assert answer.status_code < 500 or answer.status_code == 504
