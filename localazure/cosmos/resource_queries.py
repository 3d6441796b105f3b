"""Queries over the account's own resources (databases, containers, offers): the same SQL, over a list in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localazure.cosmos.indexing import DEFAULT_POLICY
from localazure.cosmos.partitioning import MAXIMUM, MINIMUM
from localazure.cosmos.queries import KeyRange, Prefilter, Scope, Stored, answer_query

MOST_RESOURCES = 1000


@dataclass(frozen=True, slots=True)
class _Resources:
    """A list of resources as a container of one physical partition."""

    entries: Sequence[Mapping[str, Any]]
    rid: str = ""
    partition_key_paths: Sequence[str] = ("/id",)
    indexing_policy: Mapping[str, Any] = field(default_factory=lambda: DEFAULT_POLICY)

    def ranges(self) -> Sequence[KeyRange]:
        return [KeyRange("0", MINIMUM, MAXIMUM)]

    def effective_key(self, values: Sequence[Any]) -> str:
        return MINIMUM

    def scan(self, scope: Scope, after: str | None, prefilter: Prefilter | None) -> Iterator[Stored]:
        first = 0 if after is None else int(after) + 1
        for index in range(first, len(self.entries)):
            yield Stored(str(index), json.dumps(self.entries[index]))


def answer(entries: Sequence[Mapping[str, Any]], headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    """The resources that the query selects. Raises: `QueryRefused`."""
    wanted = {
        "x-ms-documentdb-isquery": "True",
        "x-ms-documentdb-query-enablecrosspartition": "True",
        "x-ms-max-item-count": str(MOST_RESOURCES),
        "content-type": headers.get("content-type", "application/query+json"),
    }
    chosen: list[dict[str, Any]] = json.loads(answer_query(_Resources(entries), wanted, body).body)["Documents"]
    return chosen
