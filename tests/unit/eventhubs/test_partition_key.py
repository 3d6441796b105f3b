"""Azure's partition key hash, against the vectors of Azure's own SDKs and the SDK installed here."""

from __future__ import annotations

import pytest
from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver
from hypothesis import given
from hypothesis import strategies as st

from localazure.eventhubs.partition_key import lookup3, partition_of

VECTORS = {
    "7": -15_263,
    "131": 30_562,
    "7149583486996073602": 12_977,
    "FWfAT": -22_341,
    "sOdeEAsyQoEuEFPGerWO": -6_503,
    "!c*_!I@1^c": 15_372,
    "p4*!jioeO/z-!-;w:dh": -3_104,
    "$0cb": 26_269,
    "-4189260826195535198": 453,
}
"""Azure/azure-sdk-for-net, `PartitionResolverTests.cs`: key -> folded hash."""


@pytest.mark.parametrize(("key", "folded"), VECTORS.items())
def test_the_folded_hash_is_that_of_azures_sdks(key: str, folded: int) -> None:
    primary, secondary = lookup3(key.encode())
    mine = (primary ^ secondary) & 0xFFFF
    assert (mine - 0x10000 if mine >= 0x8000 else mine) == folded


@given(st.text(alphabet=st.characters(max_codepoint=127), min_size=1, max_size=80), st.integers(1, 32))
def test_every_key_goes_where_the_sdks_buffered_producer_sends_it(key: str, count: int) -> None:
    resolver = PartitionResolver([str(number) for number in range(count)])
    assert str(partition_of(key, count)) == resolver.get_partition_id_by_partition_key(key)


def test_a_key_beyond_ascii_is_hashed_as_utf_8() -> None:
    assert lookup3("é".encode()) != lookup3("é".encode("latin-1"))
    assert partition_of("é" * 40, 32) in range(32)
