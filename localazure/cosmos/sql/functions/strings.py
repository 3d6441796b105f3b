"""String functions, and those that read a value from text.

Owns: their meaning; a wrong type gives undefined. Refuses to know: evaluation.

Known gap: patterns are those of PyPI's `regex`, which ends a match after a time, and no PCRE engine's: `(?:a){e<=1}` is
a fuzzy match here and literal text there.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/concat and its neighbours contains, endswith, index-of, left,
length, lower, ltrim, regexmatch, replace, replicate, reverse, right, rtrim, startswith, stringequals, stringjoin,
stringsplit, stringtoarray, stringtoboolean, stringtonull, stringtonumber, stringtoobject, substring, tostring, trim,
upper
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from localazure.cosmos.sql.errors import OutOfTime
from localazure.cosmos.sql.functions.signature import Function
from localazure.cosmos.sql.limits import check_size
from localazure.cosmos.sql.values import UNDEFINED, Value, as_json, number, read_json, whole
from localazure.cosmos.sql.watch import Watch

if TYPE_CHECKING:
    import regex

LONGEST_REPLICATION_CHARACTERS: Final = 10_000
LONGEST_MATCH_SECONDS: Final = 1.0  # ours; the service's engine bounds its steps and does not say how many
SHORTEST_MATCH_SECONDS: Final = 0.001
_JSON_NUMBER: Final = re.compile(r"\s*-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?\s*", re.ASCII)


def _are_text(*values: Value) -> bool:
    return all(type(value) is str for value in values)


def _text_only(function: Callable[[str], Value]) -> Callable[[Value], Value]:
    return lambda value: function(value) if type(value) is str else UNDEFINED


def concat(*values: Value) -> Value:
    if not _are_text(*values):
        return UNDEFINED
    check_size(sum(map(len, values)))
    return "".join(values)


def _comparison(test: Callable[[str, str], bool]) -> Callable[..., Value]:
    """A test of two texts with an optional third argument: ignore case."""

    def compare(text: Value, other: Value, ignore_case: Value = False) -> Value:
        if not _are_text(text, other) or type(ignore_case) is not bool:
            return UNDEFINED
        return test(text.lower(), other.lower()) if ignore_case else test(text, other)

    return compare


def index_of(text: Value, sought: Value, start: Value = 0) -> Value:
    """The first place of `sought` from `start`, -1 if there is none."""
    begin = whole(start)
    if not _are_text(text, sought) or begin is None:
        return UNDEFINED
    return text.find(sought, max(begin, 0))


def last_index_of(text: Value, sought: Value, start: Value = None) -> Value:
    """The last place of `sought` that lies before or at `start`, -1 if there is none."""
    if not _are_text(text, sought) or (start is not None and whole(start) is None):
        return UNDEFINED
    end = len(text) if start is None else max((whole(start) or 0) + 1, 0)
    return text.rfind(sought, 0, end)


def left(text: Value, count: Value) -> Value:
    most = whole(count)
    return text[: max(most, 0)] if type(text) is str and most is not None else UNDEFINED


def right(text: Value, count: Value) -> Value:
    most = whole(count)
    if type(text) is not str or most is None:
        return UNDEFINED
    return text[-most:] if most > 0 else ""


def _trim(strip: Callable[[str, str | None], str]) -> Callable[..., Value]:
    def trim(text: Value, characters: Value = None) -> Value:
        if type(text) is not str or not (characters is None or type(characters) is str):
            return UNDEFINED
        return strip(text, characters)

    return trim


def _several(test: Callable[[str, str], bool], decisive: bool, ignore_case: bool) -> Callable[..., Value]:
    """CONTAINS of several texts: `decisive` for any of them decides; else undefined if one is no text."""
    one = _comparison(test)

    def apply(text: Value, *sought: Value) -> Value:
        found = [one(text, each, ignore_case) for each in sought]
        return decisive if decisive in found else UNDEFINED if UNDEFINED in found else not decisive

    return apply


def _contains(text: str, other: str) -> bool:
    return other in text


def replace(text: Value, old: Value, new: Value) -> Value:
    if not _are_text(text, old, new):
        return UNDEFINED
    if not old:
        return text
    check_size(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def replicate(text: Value, times: Value) -> Value:
    """Undefined beyond 10,000 characters, and for a negative count."""
    count = whole(times)
    if type(text) is not str or count is None or count < 0 or len(text) * count > LONGEST_REPLICATION_CHARACTERS:
        return UNDEFINED
    return text * count if text else text


def substring(text: Value, start: Value, length: Value) -> Value:
    """Zero-based; a start or length outside the text is cut to it."""
    first, count = whole(start), whole(length)
    if type(text) is not str or first is None or count is None:
        return UNDEFINED
    begin = max(first, 0)
    return text[begin : begin + max(count, 0)]


def regex_match(watch: Watch, text: Value, pattern: Value, modifiers: Value = "") -> Value:
    """`modifiers`: m, s, i, x. A pattern that is none gives undefined.

    Raises: OutOfTime for one that backtracks too long.
    """
    if not _are_text(text, pattern, modifiers) or not set(modifiers) <= set("msix"):
        return UNDEFINED
    compiled = _regex(pattern, modifiers)
    if compiled is None:
        return UNDEFINED
    watch.look()
    try:
        found = compiled.search(text, timeout=max(min(watch.left(), LONGEST_MATCH_SECONDS), SHORTEST_MATCH_SECONDS))
    except TimeoutError as error:
        raise OutOfTime from error
    return found is not None


@lru_cache(maxsize=256)
def _regex(pattern: str, modifiers: str) -> regex.Pattern[str] | None:
    import regex  # asked for by few queries, and slow to import

    flags = {"m": regex.MULTILINE, "s": regex.DOTALL, "i": regex.IGNORECASE, "x": regex.VERBOSE}
    try:
        return regex.compile(pattern, sum(flags[modifier] for modifier in set(modifiers)), cache_pattern=False)
    except (regex.error, OverflowError, RecursionError, ValueError, KeyError):
        return None


def string_join(items: Value, separator: Value) -> Value:
    if type(items) is not list or type(separator) is not str or not _are_text(*items):
        return UNDEFINED
    check_size(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


def string_split(text: Value, separator: Value) -> Value:
    if not _are_text(text, separator):
        return UNDEFINED
    return text.split(separator) if separator else [text]


def to_string(value: Value) -> Value:
    """A string as it is, a number as short as possible, everything else as JSON."""
    if type(value) is str:
        return value
    return json.dumps(as_json(value), separators=(",", ":"), ensure_ascii=False)


def _read_json(text: str) -> Value:
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        return UNDEFINED


def string_to_array(text: str) -> Value:
    value = _read_json(text)
    return value if type(value) is list else UNDEFINED


def string_to_object(text: str) -> Value:
    value = _read_json(text)
    return value if type(value) is dict else UNDEFINED


def string_to_boolean(text: str) -> Value:
    return {"true": True, "false": False}.get(text.strip(), UNDEFINED)


def string_to_null(text: str) -> Value:
    return None if text.strip() == "null" else UNDEFINED


def string_to_number(text: str) -> Value:
    if _JSON_NUMBER.fullmatch(text) is None:
        return UNDEFINED
    value = _read_json(text.strip())
    return number(value) if type(value) is float else value


FUNCTIONS: Final = {
    "CONCAT": Function(2, None, concat),
    "CONTAINS": Function(2, 3, _comparison(_contains)),
    "CONTAINS_ALL_CI": Function(2, None, _several(_contains, False, True), defined=False),
    "CONTAINS_ALL_CS": Function(2, None, _several(_contains, False, False), defined=False),
    "CONTAINS_ANY_CI": Function(2, None, _several(_contains, True, True), defined=False),
    "CONTAINS_ANY_CS": Function(2, None, _several(_contains, True, False), defined=False),
    "ENDSWITH": Function(2, 3, _comparison(lambda text, other: text.endswith(other))),
    "INDEX_OF": Function(2, 3, index_of),
    "LASTINDEXOF": Function(2, 3, last_index_of),
    "LEFT": Function(2, 2, left),
    "LENGTH": Function(1, 1, _text_only(len)),
    "LOWER": Function(1, 1, _text_only(str.lower)),
    "LTRIM": Function(1, 2, _trim(str.lstrip)),
    "REGEXMATCH": Function(2, 3, regex_match),
    "REPLACE": Function(3, 3, replace),
    "REPLICATE": Function(2, 2, replicate),
    "REVERSE": Function(1, 1, _text_only(lambda text: text[::-1])),
    "RIGHT": Function(2, 2, right),
    "RTRIM": Function(1, 2, _trim(str.rstrip)),
    "STARTSWITH": Function(2, 3, _comparison(lambda text, other: text.startswith(other))),
    "STRINGEQUALS": Function(2, 3, _comparison(lambda text, other: text == other)),
    "STRINGJOIN": Function(2, 2, string_join),
    "STRINGSPLIT": Function(2, 2, string_split),
    "STRINGTOARRAY": Function(1, 1, _text_only(string_to_array)),
    "STRINGTOBOOLEAN": Function(1, 1, _text_only(string_to_boolean)),
    "STRINGTONULL": Function(1, 1, _text_only(string_to_null)),
    "STRINGTONUMBER": Function(1, 1, _text_only(string_to_number)),
    "STRINGTOOBJECT": Function(1, 1, _text_only(string_to_object)),
    "SUBSTRING": Function(3, 3, substring),
    "TOSTRING": Function(1, 1, to_string),
    "TRIM": Function(1, 2, _trim(str.strip)),
    "UPPER": Function(1, 1, _text_only(str.upper)),
}
