"""The hash that spreads partition keys over a hub is Azure's own, and the same on both sides."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labkit.events.partition_key import partition_of
from localazure.eventhubs.partition_key import partition_of as of_the_service

VECTORS = {
    "7": -15263,
    "131": 30562,
    "7149583486996073602": 12977,
    "FWfAT": -22341,
    "sOdeEAsyQoEuEFPGerWO": -6503,
    "FAyAIctPeCgmiwLKbJcyswoHglHVjQdvtBowLACDNORsYvOcLddNJYDmhAVkbyLOrHTKLneMNcbgWVlasVywOByANjs": 5226,
    "1XYM6!(7(lF5wq4k4m*e$Nc!1ezLJv*1YK1Y-C^*&B$O)lq^iUkG(TNzXG;Zi#z2Og*Qq0#^*k):vXh$3,C7We7%W0meJ;b3,rQCg^J;^twXgs5E$$hWKxqp": 23950,  # noqa: E501
    "E(x;RRIaQcJs*P;D&jTPau-4K04oqr:lF6Z):ERpo&;9040qyV@G1_c9mgOs-8_8/10Fwa-7b7-yP!T-!IH&968)FWuI;(^g$2fN;)HJ^^yTn:": -29304,  # noqa: E501
    "!c*_!I@1^c": 15372,
    "p4*!jioeO/z-!-;w:dh": -3104,
    "$0cb": 26269,
    "-4189260826195535198": 453,
}
"""Key -> hash: the vectors that the test suites of Azure's SDKs share."""

keys = st.text(st.characters(max_codepoint=127), max_size=60)


@pytest.mark.parametrize("count", [1, 4, 7, 32])
@pytest.mark.parametrize(("key", "code"), VECTORS.items())
def test_the_partition_follows_from_the_published_numbers(key: str, code: int, count: int) -> None:
    assert partition_of(key, [str(number) for number in range(count)]) == str(code % count)


@given(keys.filter(bool), st.integers(1, 32))
@example("x" * 12, 32)
@example("x" * 24, 32)
@example("x" * 13, 32)
def test_the_relay_chooses_the_partition_that_the_embedded_azure_would(key: str, count: int) -> None:
    assert partition_of(key, [str(number) for number in range(count)]) == str(of_the_service(key, count))


def test_many_orders_spread_evenly() -> None:
    ids = ["0", "1", "2", "3"]
    chosen = [partition_of(f"order-20260105-{number:05}", ids) for number in range(4_000)]
    assert all(800 < chosen.count(partition) < 1_200 for partition in ids)
