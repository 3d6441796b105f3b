"""Whole answers that are asked for in parts again and again, kept while the files stand that they rest on.

Owns which wholes are kept, and for how long. A part is cut out of the rows that the T-SQL of the whole has found, so
the view stays the meaning; and an answer tells the versions of the tables as they are now, because only files hold
rows: a commit that leaves these alone (of positions, of other days) changes nothing. Refuses to know what is asked.

A whole is found once so many parts of it were asked for, from the same files, as cost together what it costs: whether
more are to come or not, that is at most twice what would have been best. Until then each question finds its own rows.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from labkit.read_queries.questions import Question
from labkit.read_queries.synapse import Answer, Synapse, resting_on
from labkit.read_queries.tables import TableVersion

ROWS_PER_QUESTION = 5_000
"""To find so many rows and to sort them takes as much processor time as a question for one of them."""
ROWS_AT_MOST = 300_000
"""Of one whole; a larger one is not kept."""
ALL_ROWS_AT_MOST = 1_000_000
"""Of all wholes together: some 130 MB of orders."""


@dataclass(slots=True)
class Whole:
    files: Mapping[str, Sequence[str]]
    """Table -> files in which the rows are found."""
    asked: int = 0
    """How many parts were asked for."""
    rows: pa.Table | None = None
    """In the order of the parts' key."""


class Kept:
    """Answers questions as `Synapse` does. Threads may share it."""

    def __init__(self, synapse: Synapse) -> None:
        self._synapse = synapse
        self._wholes: OrderedDict[tuple[object, ...], Whole] = OrderedDict()  # what was asked for last comes last
        self._lock = threading.Lock()

    def answer(self, question: Question) -> Answer:
        """As `question.answer` would. Raises: as that does."""
        if (part := question.part) is None:
            return question.answer(self._synapse)
        tables = self._synapse.tables_of(part.of.tsql)
        files = {name: table.chosen(part.of.days) for name, table in tables.items()}
        if any(table.partition_by and not files[name] for name, table in tables.items()):
            return question.answer(self._synapse)  # of days without orders there is no end
        whole = self._noted((part.of.tsql, *part.of.parameters.values()), files)
        if whole.rows is not None:
            return resting_on(tables, part.cut(whole.rows))
        if not pays(whole, part.of, tables):
            return question.answer(self._synapse)
        answer = part.of.answer(self._synapse)
        rows = answer.rows.sort_by(part.key).combine_chunks()
        if answer.tables == tables:
            self._keep(whole, rows)
        return replace(answer, rows=part.cut(rows))

    def _noted(self, key: tuple[object, ...], files: Mapping[str, Sequence[str]]) -> Whole:
        with self._lock:
            known = self._wholes.pop(key, None)
            self._wholes[key] = whole = known if known and known.files == files else Whole(files)
            whole.asked += 1
        return whole

    def _keep(self, whole: Whole, rows: pa.Table) -> None:
        with self._lock:
            whole.rows = rows
            while sum(len(each.rows or ()) for each in self._wholes.values()) > ALL_ROWS_AT_MOST:
                self._wholes.popitem(last=False)


def pays(whole: Whole, asked: Question, tables: Mapping[str, TableVersion]) -> bool:
    """Whether so many parts were asked for that the whole would not have cost more."""
    by_days = [table for table in tables.values() if table.partition_by]
    counts = [table.rows(asked.days) for table in by_days or tables.values()]
    rows = ROWS_AT_MOST + 1 if None in counts else sum(count or 0 for count in counts)
    return rows <= min(ROWS_AT_MOST, whole.asked * ROWS_PER_QUESTION)
