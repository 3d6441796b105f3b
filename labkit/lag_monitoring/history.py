"""The Delta table `lag_samples`: what the monitor has seen, kept over restarts and there for whoever asks with SQL.

Owns the table: its columns, appending, reading back, and its upkeep (small files are made one, old rows deleted).
Refuses to know what a measure means (`measures`) and when samples are taken (`monitor`).

A row holds what was read, so that a sample comes back whole, and beside it the measures themselves, for readers that
know no Python. The monitor is the one writer.
Known gap: what was sampled since the last append is lost when the process is killed.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from labkit.lag_monitoring.measures import LagSample

log = logging.getLogger(__name__)

NAME = "lag_samples"
COMPACT_EVERY_APPENDS = 100
KEEP_DAYS = 30

_MOMENT, _COUNT, _SECONDS = pa.timestamp("us", tz="UTC"), pa.int64(), pa.float64()
_NUMBERS = [(name, _COUNT) for name in ("first_retained", "last_enqueued", "applied")]
_PARTITION = pa.struct([("partition_id", pa.string()), *_NUMBERS, ("oldest_unapplied_at", _MOMENT)])
_OUTBOX = pa.struct([("events", _COUNT), ("oldest_at", _MOMENT), ("is_at_least", pa.bool_())])
_TIMES = ("oldest_parked_at", "relay_beat_at", "projector_beat_at", "newest_event_at", "newest_update_at")
MEASURES = {"lag_events": _COUNT, "lost_events": _COUNT} | dict.fromkeys(
    ("outbox_seconds", "lag_seconds", "staleness_seconds", "naive_seconds"), _SECONDS
)
COLUMNS = pa.schema(
    [
        pa.field("sampled_at", _MOMENT, nullable=False),
        ("partitions", pa.list_(_PARTITION)),
        ("outbox", _OUTBOX),
        ("parked_events", _COUNT),
        *((name, _MOMENT) for name in _TIMES),
        *MEASURES.items(),
    ]
)


class LagHistory:
    """The table below `tables_url`, made if it is missing; `abfss://` with its `storage_options`."""

    def __init__(self, tables_url: str, storage_options: Mapping[str, str] | None = None) -> None:
        self.url = f"{tables_url.rstrip('/')}/{NAME}"
        self._options = dict(storage_options) if storage_options else None
        self._appends = 0
        DeltaTable.create(self.url, COLUMNS, mode="ignore", storage_options=self._options)

    def append(self, samples: Sequence[LagSample]) -> None:
        """In one commit: all of them or none."""
        if not samples:
            return
        rows = pa.Table.from_pylist([_row(sample) for sample in samples], COLUMNS)
        write_deltalake(self.url, rows, mode="append", storage_options=self._options)
        self._appends += 1
        if self._appends % COMPACT_EVERY_APPENDS == 0:
            try:
                self.keep(samples[-1].at)
            except (OSError, DeltaError) as error:  # the samples are in the table: they must not be written again
                log.warning("the history is not compacted: %r", error)

    def keep(self, now: dt.datetime) -> None:
        """Delete what is older than `KEEP_DAYS`, and make one file of many."""
        table = DeltaTable(self.url, storage_options=self._options)
        oldest = (now - dt.timedelta(days=KEEP_DAYS)).isoformat()
        table.delete(f"sampled_at < arrow_cast('{oldest}', 'Timestamp(Microsecond, Some(\"UTC\"))')")
        table.optimize.compact()
        table.vacuum(dry_run=False)

    def samples(self) -> list[LagSample]:
        """All that are kept, oldest first."""
        table = pa.table(DeltaTable(self.url, storage_options=self._options).scan()).select(COLUMNS.names)
        return list(map(_sample, table.cast(COLUMNS).sort_by("sampled_at").to_pylist()))


def _row(sample: LagSample) -> dict[str, Any]:
    read = msgspec.to_builtins(sample, builtin_types=(dt.datetime,))
    return {"sampled_at": read.pop("at"), **read, **{name: getattr(sample, name) for name in MEASURES}}


def _sample(row: Mapping[str, Any]) -> LagSample:
    return msgspec.convert({**row, "at": row["sampled_at"]}, LagSample)
