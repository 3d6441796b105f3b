"""What Spark's Python workers do with a batch: name the aggregate of each event, and fold. Arrow in, Arrow out. Pure.

Owns the columns that pass between Spark and the workers. The meaning of the events, and the rule by which one is
applied, dropped or parked, are those of `labkit.projections.folds`: the same code that the projector runs.

Two passes. The first one reads each event, so that Spark knows its aggregate and its day. Spark then brings together
what belongs to one aggregate (its events and its current row) and the second one folds each such part whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from labkit.projections.folds import Arrival, Parked, fold, read
from labkit.projections.rows import (
    CUSTOMER_COLUMNS,
    ORDER_COLUMNS,
    CustomerRow,
    OrderRow,
    Row,
    from_arrow,
    to_arrow,
)

EVENT_COLUMNS = pa.schema(
    [
        ("hub_partition", pa.string()),
        ("sequence_number", pa.int64()),
        ("body", pa.binary()),
        ("named", pa.binary()),
    ]
)
"""What each source gives. `named` is the value of the application property `aggregateId`, as it came."""
READ_COLUMNS = pa.schema(
    [*EVENT_COLUMNS, ("aggregate_id", pa.string()), ("aggregate_type", pa.string()), ("created_day", pa.date32())]
)
"""`aggregate_type` is null for an event that cannot be read, `created_day` for all but those of orders."""
PARKED_COLUMNS = pa.schema([*EVENT_COLUMNS, ("aggregate_id", pa.string()), ("reason", pa.string())])
FOLDED_COLUMNS = pa.schema(
    [
        ("orders", pa.struct(ORDER_COLUMNS)),
        ("customers", pa.struct(CUSTOMER_COLUMNS)),
        ("parked", pa.struct(PARKED_COLUMNS)),
    ]
)
"""One of the three is set in each row: an order as it is now, a customer, or an event to park."""

SHORT_TEXT, LONG_TEXT = 0xA1, 0xB1
"""How AMQP begins an encoded text: then one or four bytes of length. No UTF-8 text begins so."""


def text_of(value: bytes | None) -> str:
    """A property's value as text. The Kafka endpoint hands on what an AMQP client sent as AMQP encoded it.

    Source: github.com/Azure/azure-event-hubs-for-kafka/issues/56; AMQP 1.0, part 1, 1.6.20.
    """
    if not value:
        return ""
    head = {SHORT_TEXT: 2, LONG_TEXT: 5}.get(value[0], 0)
    return value[head:].decode("utf-8", "replace")


def arrivals(events: pa.Table) -> list[Arrival]:
    """The rows of `EVENT_COLUMNS` as the folds take them."""
    columns = (events[name].to_pylist() for name in EVENT_COLUMNS.names)
    return [Arrival(part, number, body, text_of(named)) for part, number, body, named in zip(*columns, strict=True)]


def name_aggregates(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """`EVENT_COLUMNS` to `READ_COLUMNS`."""
    for batch in batches:
        events = pa.Table.from_batches([batch]).select(EVENT_COLUMNS.names).cast(EVENT_COLUMNS)
        readings = [read(arrival) for arrival in arrivals(events)]
        kinds = [reading.event.aggregate_type if reading.event else None for reading in readings]
        days = [reading.day for reading in readings]
        added = ([r.aggregate_id for r in readings], pa.string()), (kinds, pa.string()), (days, pa.date32())
        columns = [*events.columns, *(pa.array(values, kind) for values, kind in added)]
        yield from pa.Table.from_arrays(columns, schema=READ_COLUMNS).combine_chunks().to_batches()


def folding(lane: Mapping[str, int]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What folds one part: all events and the current rows of some aggregates, to `FOLDED_COLUMNS`.

    `lane`: aggregate id -> the sequence number of its first parked event, of those that the batch meets.
    """

    def fold_part(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = list(batches)
        if held:
            part = pa.Table.from_batches(held)
            yield from folded(part, lane).combine_chunks().to_batches()

    return fold_part


def folded(part: pa.Table, lane: Mapping[str, int]) -> pa.Table:
    """One part folded, in the order in which its events arrived."""
    current: dict[str, Row] = {row.order_id: row for row in from_arrow(OrderRow, rows_of(part, "orders"))}
    current |= {row.customer_id: row for row in from_arrow(CustomerRow, rows_of(part, "customers"))}
    events = part.filter(pc.is_valid(part["hub_partition"]))
    came = sorted(arrivals(events), key=lambda arrival: (arrival.hub_partition, arrival.sequence_number))
    result = fold(map(read, came), current, lane)
    rows = result.rows.values()
    return pa.concat_tables(
        [
            one_column("orders", to_arrow(ORDER_COLUMNS, (row for row in rows if isinstance(row, OrderRow)))),
            one_column("customers", to_arrow(CUSTOMER_COLUMNS, (row for row in rows if isinstance(row, CustomerRow)))),
            one_column("parked", parked_table(result.parked)),
        ]
    )


def rows_of(part: pa.Table, column: str) -> pa.Table:
    """The current rows in a part, with the columns of their read model."""
    kind = FOLDED_COLUMNS.field(column).type
    structs = part[column].filter(pc.is_valid(part[column])).cast(kind)
    return pa.Table.from_struct_array(structs)


def one_column(column: str, rows: pa.Table) -> pa.Table:
    """`FOLDED_COLUMNS` with these rows in one column, and null in the others."""
    columns = [
        rows.to_struct_array() if field.name == column else pa.nulls(rows.num_rows, field.type)
        for field in FOLDED_COLUMNS
    ]
    return pa.Table.from_arrays(columns, schema=FOLDED_COLUMNS)


def parked_table(parked: Iterable[Parked]) -> pa.Table:
    rows = [
        {
            "hub_partition": one.arrival.hub_partition,
            "sequence_number": one.arrival.sequence_number,
            "body": one.arrival.body,
            "named": one.arrival.named.encode(),
            "aggregate_id": one.aggregate_id,
            "reason": one.reason,
        }
        for one in parked
    ]
    return pa.Table.from_pylist(rows, PARKED_COLUMNS)
