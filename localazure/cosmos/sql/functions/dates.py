"""Date and time functions over texts of the form YYYY-MM-DDThh:mm:ss.fffffffZ.

Owns: the calendar in ticks of 100 ns, the parts and their short names. Refuses to know: time zones (everything is UTC)
and the clock: the current time comes in nanoseconds from outside.

How: a point in time is a whole number of nanoseconds since 1970. Text that is no such time, a part that does not exist
and a result outside the years 1 to 9999 give undefined.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/datetimeadd and its neighbours datetimebin, datetimediff,
datetimeformat, datetimefromparts, datetimepart, datetimetoticks, datetimetotimestamp, getcurrentdatetime,
getcurrentticks, getcurrenttimestamp, tickstodatetime, timestamptodatetime
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import date
from typing import Final

from localazure.cosmos.sql.errors import SqlRefused
from localazure.cosmos.sql.functions.signature import Function
from localazure.cosmos.sql.values import UNDEFINED, Value, is_number, whole

NANOSECONDS_PER_TICK: Final = 100
_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_WINDOWS_EPOCH: Final = (date(1601, 1, 1).toordinal() - _EPOCH_DAY) * _DAY

_TEXT: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,7}))?)?Z?", re.ASCII)
_SPANS: Final = {
    "day": _DAY,
    "hour": 3600 * _SECOND,
    "minute": 60 * _SECOND,
    "second": _SECOND,
    "millisecond": 1_000_000,
    "microsecond": 1_000,
    "nanosecond": 1,
}
_NAMES: Final = {
    "year": ("year", "yyyy", "yy"),
    "month": ("month", "mm", "m"),
    "day": ("day", "dd", "d"),
    "hour": ("hour", "hh"),
    "minute": ("minute", "mi", "n"),
    "second": ("second", "ss", "s"),
    "millisecond": ("millisecond", "ms"),
    "microsecond": ("microsecond", "mcs"),
    "nanosecond": ("nanosecond", "ns"),
}
# What a pattern of DATETIMEFORMAT is made of, and where each of it stands in a written time.
_SPECIFIER: Final = re.compile(r"\\.|d+|f+|F+|g+|h+|H+|K|m+|M+|s+|t+|y+|z+", re.DOTALL)
_PLACES: Final = {
    "yyyy": slice(0, 4),
    "MM": slice(5, 7),
    "dd": slice(8, 10),
    "HH": slice(11, 13),
    "mm": slice(14, 16),
    "ss": slice(17, 19),
}
_FRACTION_DIGITS: Final = 7
_PARTS: Final = {name: part for part, names in _NAMES.items() for name in names}


def _whole(value: Value) -> bool:
    return whole(value) is not None and whole(value) == value


def read(text: Value) -> int | None:
    """Nanoseconds since 1970; None for what is no time."""
    found = _TEXT.fullmatch(text) if type(text) is str else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    fraction = int((found.group(7) or "0").ljust(9, "0"))
    return _point(year, month, day, hour, minute, second, fraction)


def _point(year: int, month: int, day: int, hour: int, minute: int, second: int, nanoseconds: int) -> int | None:
    if not (1 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]):
        return None
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60 and 0 <= nanoseconds < _SECOND):
        return None
    seconds = ((date(year, month, day).toordinal() - _EPOCH_DAY) * 24 + hour) * 3600 + minute * 60 + second
    return seconds * _SECOND + nanoseconds


def write(point: int | None) -> Value:
    """The text of a point in time; undefined outside the calendar."""
    if point is None:
        return UNDEFINED
    ordinal = point // _DAY + _EPOCH_DAY
    if not date.min.toordinal() <= ordinal <= date.max.toordinal():
        return UNDEFINED
    ticks = point % _DAY // NANOSECONDS_PER_TICK
    seconds, fraction = divmod(ticks, 10_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:07}"
    return f"{date.fromordinal(ordinal).isoformat()}T{clock}Z"


def _part(name: Value) -> str | None:
    return _PARTS.get(name.lower()) if type(name) is str else None


def add(part_name: Value, count: Value, text: Value) -> Value:
    part, point = _part(part_name), read(text)
    if part is None or point is None or not _whole(count):
        return UNDEFINED
    if part in _SPANS:
        return write(point + int(count) * _SPANS[part])
    day = date.fromordinal(point // _DAY + _EPOCH_DAY)
    months = day.year * 12 + day.month - 1 + int(count) * (12 if part == "year" else 1)
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        return UNDEFINED
    kept = min(day.day, calendar.monthrange(year, month + 1)[1])
    return write((date(year, month + 1, kept).toordinal() - _EPOCH_DAY) * _DAY + point % _DAY)


def bin_(text: Value, part_name: Value, size: Value = 1, start: Value = "1970-01-01T00:00:00.0000000Z") -> Value:
    """The beginning of the bin of `size` parts, counted from `start`, that the time falls into."""
    part, point, origin = _part(part_name), read(text), read(start)
    if part not in _SPANS or point is None or origin is None or origin < _WINDOWS_EPOCH:
        return UNDEFINED
    if not _whole(size) or size <= 0:
        return UNDEFINED
    width = int(size) * _SPANS[part]
    return write(origin + (point - origin) // width * width)


def difference(part_name: Value, start: Value, end: Value) -> Value:
    """How many boundaries of the part lie between the two times."""
    part, first, last = _part(part_name), read(start), read(end)
    if part is None or first is None or last is None:
        return UNDEFINED
    if part in _SPANS:
        return last // _SPANS[part] - first // _SPANS[part]
    early, late = (date.fromordinal(point // _DAY + _EPOCH_DAY) for point in (first, last))
    years = late.year - early.year
    return years if part == "year" else years * 12 + late.month - early.month


def from_parts(*parts: Value) -> Value:
    """Year, month, day, and optionally hour, minute, second, ticks."""
    if not all(_whole(part) for part in parts):
        return UNDEFINED
    year, month, day, hour, minute, second, ticks = [int(part) for part in parts] + [0] * (7 - len(parts))
    return write(_point(year, month, day, hour, minute, second, ticks * NANOSECONDS_PER_TICK))


def part_of(part_name: Value, text: Value) -> Value:
    part, point = _part(part_name), read(text)
    if part is None or point is None:
        return UNDEFINED
    day = date.fromordinal(point // _DAY + _EPOCH_DAY)
    if part in ("year", "month", "day"):
        return int(getattr(day, part))
    within = point % _DAY
    if part in ("hour", "minute", "second"):
        return within // _SPANS[part] % (24 if part == "hour" else 60)
    return within % _SECOND // _SPANS[part]


def format_(text: Value, pattern: Value) -> Value:
    """The time written after a pattern of `yyyy`, `MM`, `dd`, `HH`, `mm`, `ss`, `f` to `fffffff` and the same in `F`.

    A character after a backslash stands for itself, and so do all that no pattern of dates is made of. `F` leaves out
    the zeros at the end. Raises: SqlRefused for the patterns of dates that the page does not show (`M`, `MMM`, `tt`).
    """
    point = read(text)
    if point is None or type(pattern) is not str:
        return UNDEFINED
    written = str(write(point))
    return _SPECIFIER.sub(lambda found: _specified(found, written), pattern)


def _specified(found: re.Match[str], written: str) -> str:
    """`written`: the time as YYYY-MM-DDThh:mm:ss.fffffffZ."""
    specifier = found.group()
    if specifier[0] == "\\":
        return specifier[1:]
    if specifier in _PLACES:
        return written[_PLACES[specifier]]
    if specifier[0] in "fF" and len(specifier) <= _FRACTION_DIGITS:
        digits = written[20 : 20 + len(specifier)]
        return digits if specifier[0] == "f" else digits.rstrip("0")
    raise SqlRefused("SC2060", f"The format specifier '{specifier}' of DATETIMEFORMAT is not supported.")


def _of_text(convert: Callable[[int], int]) -> Callable[[Value], Value]:
    return lambda text: UNDEFINED if (point := read(text)) is None else convert(point)


def _to_text(nanoseconds_each: int) -> Callable[[Value], Value]:
    return lambda count: write(int(count) * nanoseconds_each) if _whole(count) else UNDEFINED


def ago(now: int, part_name: Value, count: Value) -> Value:
    return add(part_name, -count if is_number(count) else UNDEFINED, write(now))


FUNCTIONS: Final = {
    "DATETIMEADD": Function(3, 3, add),
    "DATETIMEBIN": Function(2, 4, bin_),
    "DATETIMEDIFF": Function(3, 3, difference),
    "DATETIMEFORMAT": Function(2, 2, format_),
    "DATETIMEFROMPARTS": Function(3, 7, from_parts),
    "DATETIMEPART": Function(2, 2, part_of),
    "DAY": Function(1, 1, lambda text: part_of("day", text)),
    "MONTH": Function(1, 1, lambda text: part_of("month", text)),
    "YEAR": Function(1, 1, lambda text: part_of("year", text)),
    "DATETIMETOTICKS": Function(1, 1, _of_text(lambda point: point // NANOSECONDS_PER_TICK)),
    "DATETIMETOTIMESTAMP": Function(1, 1, _of_text(lambda point: point // 1_000_000)),
    "IS_DATETIME": Function(1, 1, lambda value: read(value) is not None, defined=False),
    "TICKSTODATETIME": Function(1, 1, _to_text(NANOSECONDS_PER_TICK)),
    "TIMESTAMPTODATETIME": Function(1, 1, _to_text(1_000_000)),
}

# Functions of the current time: the first argument is the clock's, in nanoseconds since 1970.
CLOCK_FUNCTIONS: Final = {
    "AGO": Function(2, 2, ago),
    "GETCURRENTDATETIME": Function(0, 0, write),
    "GETCURRENTTICKS": Function(0, 0, lambda now: now // NANOSECONDS_PER_TICK),
    "GETCURRENTTIMESTAMP": Function(0, 0, lambda now: now // 1_000_000),
    "NOW": Function(0, 0, write),
}
