"""What Spark's workers do with a batch, without Spark: the same events, the same outcome as our fold."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spark_projection import folding
from spark_projection.offsets import CheckpointDamaged, capped, last_noted

from labkit.projections.folds import Arrival, fold, read
from labkit.projections.rows import CustomerRow, OrderRow, Row, from_arrow, to_arrow
from tests.unit.projections.streams import CUSTOMER, ORDER, arrivals, event, life_of

REGISTERED = event(CUSTOMER, 1, "CustomerRegistered", {"name": "Ada"})
COUNTS = st.dictionaries(st.sampled_from("0123"), st.integers(0, 50), min_size=1)


def events_table(came: list[Arrival]) -> pa.Table:
    rows = [
        {
            "hub_partition": one.hub_partition,
            "sequence_number": one.sequence_number,
            "body": one.body,
            "named": one.named.encode(),
        }
        for one in came
    ]
    return pa.Table.from_pylist(rows, folding.EVENT_COLUMNS)


def part(came: list[Arrival], current: list[Row]) -> pa.Table:
    """As Spark brings it: the current rows and the events, in any order."""
    tables = [events_table(came)]
    for column, kind in (("orders", OrderRow), ("customers", CustomerRow)):
        rows = [row for row in current if isinstance(row, kind)]
        schema = pa.schema(list(folding.FOLDED_COLUMNS.field(column).type))
        tables.append(pa.table({column: to_arrow(schema, rows).to_struct_array()}))
    for column in ("orders", "customers"):
        tables.append(pa.table({column: pa.nulls(0, folding.FOLDED_COLUMNS.field(column).type)}))
    whole = pa.concat_tables(tables, promote_options="default")
    return whole.take(random.Random(1).sample(range(whole.num_rows), whole.num_rows))


def outcome(
    came: list[Arrival], current: list[Row], lane: dict[str, int]
) -> tuple[dict[str, Row], list[tuple[str, str]]]:
    found = pa.Table.from_batches(folding.folding(lane)(part(came, current).to_batches(max_chunksize=2)))
    orders = from_arrow(OrderRow, folding.rows_of(found, "orders"))
    customers = from_arrow(CustomerRow, folding.rows_of(found, "customers"))
    rows: dict[str, Row] = {row.order_id: row for row in orders} | {row.customer_id: row for row in customers}
    return rows, [(one["aggregate_id"], one["reason"]) for one in found["parked"].to_pylist() if one]


@pytest.mark.parametrize("there", [0, 2])
def test_a_part_is_folded_as_the_projector_folds_it(there: int) -> None:
    whole = arrivals(*life_of(), REGISTERED, b"no event", event("order-20260105-b", 7, "OrderPaid"))
    came, earlier = whole[there:] + whole[:1], whole[:there]
    current = fold(map(read, earlier), {}, {}).rows

    expected = fold(map(read, sorted(came, key=lambda one: one.sequence_number)), current, {})

    assert outcome(came, list(current.values()), {}) == (
        expected.rows,
        [(one.aggregate_id, one.reason) for one in expected.parked],
    )


def test_what_arrives_behind_a_parked_event_is_parked() -> None:
    rows, parked = outcome(arrivals(*life_of(), REGISTERED, first=10), [], {ORDER: 3})

    assert set(rows) == {CUSTOMER}
    assert [who for who, _ in parked] == [ORDER] * 4


def test_each_event_is_named_by_its_aggregate_and_its_day() -> None:
    came = events_table(arrivals(life_of()[0], REGISTERED, b"no event"))

    named = pa.Table.from_batches(folding.name_aggregates(came.to_batches()))

    assert named["aggregate_id"].to_pylist() == [ORDER, CUSTOMER, ""]
    assert named["aggregate_type"].to_pylist() == ["Order", "Customer", None]
    assert [day and f"{day:%Y%m%d}" for day in named["created_day"].to_pylist()] == ["20260105", None, None]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"order-1", "order-1"),
        (b"\xa1\x07order-1", "order-1"),
        (b"\xb1\x00\x00\x00\x07order-1", "order-1"),
        (b"\xffno text", "\ufffdno text"),
        (b"", ""),
        (None, ""),
    ],
)
def test_a_name_is_read_as_plain_or_as_amqp_text(value: bytes | None, text: str) -> None:
    assert folding.text_of(value) == text


@given(waiting=COUNTS, at=st.integers(-1, 10), most=st.integers(1, 200))
def test_a_trigger_takes_what_it_may_and_never_too_much(waiting: dict[str, int], at: int, most: int) -> None:
    after = dict.fromkeys(waiting, at)
    ends = {one: at + count for one, count in waiting.items()}

    goal = capped(after, ends, most)

    assert all(after[one] <= goal[one] <= ends[one] for one in waiting)
    assert sum(goal[one] - after[one] for one in waiting) == min(most, sum(waiting.values()))


def test_a_hub_partition_that_nothing_is_known_of_is_read_from_its_beginning() -> None:
    assert capped({}, {"0": 4, "1": -1}, 100) == {"0": 4, "1": -1}


def test_the_last_noted_offset_is_that_of_the_highest_batch(tmp_path: Path) -> None:
    assert last_noted(str(tmp_path)) == ""
    (tmp_path / "offsets").mkdir()
    for batch in (2, 10, 9):
        (tmp_path / "offsets" / str(batch)).write_text(
            f'v1\n{{"batchWatermarkMs":0}}\n{{"0":{batch}}}', encoding="utf-8"
        )
    (tmp_path / "offsets" / ".10.crc").write_bytes(b"\0")

    assert last_noted(str(tmp_path)) == '{"0":10}'


@pytest.mark.parametrize("content", ["", "garbage", 'v1\n{"batchWatermarkMs":0}', 'v1\n{}\n{"0":1', "v1\n{}\n7"])
def test_a_damaged_checkpoint_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "offsets").mkdir()
    (tmp_path / "offsets" / "3").write_text(content, encoding="utf-8")

    with pytest.raises(CheckpointDamaged, match=r"3 holds no offset of the hub: delete the whole checkpoint folder"):
        last_noted(str(tmp_path))
