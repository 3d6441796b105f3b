"""What an operation is charged, in request units (RU).

Documented: point reads and point writes by item size, as Microsoft's table has them, with straight lines between its
sizes and the smallest row below 1 KB; strong and bounded staleness double reads. A transactional batch costs the sum
of its operations.
Estimates, stated as such (Azure publishes no formula): a query or feed page costs `PAGE_BASE_RU` and a tenth of a 1
KB read for each KB it loaded; metadata costs `METADATA_RU`, as does each document deleted with its partition key; an
operation that is refused (404, 409, 412, 400), alone or in a batch, costs `REFUSED_RU`, whatever it would have cost;
what is refused before it reaches its partition, a query plan among it, costs nothing. Index policies lower the price of
writes on Azure by amounts that are not documented, so they change nothing here. Lessons chart only the documented part.

Source: learn.microsoft.com/azure/cosmos-db/understand-request-unit-consumption
"""

from __future__ import annotations

from bisect import bisect_left

KB = 1024
TABLE = (
    (1, 1.00, 4.95),
    (2, 1.04, 6.29),
    (4, 1.14, 6.67),
    (8, 1.33, 7.04),
    (16, 1.67, 9.52),
    (32, 2.19, 11.23),
    (64, 4.76, 22.67),
    (128, 9.95, 48.19),
    (256, 20.28, 98.29),
    (512, 40.95, 184.57),
    (1024, 145.90, 625.00),
    (2048, 291.80, 1250.00),
)
"""(item size in KB, read RU, write RU)"""

SIZES = tuple(size * KB for size, _, _ in TABLE)
READS = tuple(read for _, read, _ in TABLE)
WRITES = tuple(write for _, _, write in TABLE)

METADATA_RU = 1.0
REFUSED_RU = 1.0
PAGE_BASE_RU = 2.0
DOUBLED_READS = frozenset({"Strong", "BoundedStaleness"})


def point_read(size_bytes: int, consistency: str | None = None) -> float:
    charge = _interpolate(size_bytes, READS)
    return round(charge * 2 if consistency in DOUBLED_READS else charge, 2)


def point_write(size_bytes: int) -> float:
    return round(_interpolate(size_bytes, WRITES), 2)


def page(loaded_bytes: int) -> float:
    """An estimate, see the head."""
    return round(PAGE_BASE_RU + 0.1 * READS[0] * loaded_bytes / KB, 2)


def _interpolate(size_bytes: int, prices: tuple[float, ...]) -> float:
    above = bisect_left(SIZES, size_bytes)
    if above == 0:
        return prices[0]
    if above == len(SIZES):
        return prices[-1] * size_bytes / SIZES[-1]
    share = (size_bytes - SIZES[above - 1]) / (SIZES[above] - SIZES[above - 1])
    return prices[above - 1] + share * (prices[above] - prices[above - 1])
