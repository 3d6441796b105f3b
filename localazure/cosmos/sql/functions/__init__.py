"""The built-in functions by name: how many arguments each takes and what it gives.

Owns: the joint table, and the refusal of unknown names and wrong numbers of arguments. Refuses to know: how arguments
are evaluated.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/functions
"""

from __future__ import annotations

from typing import Final

from localazure.cosmos.sql.errors import SqlRefused
from localazure.cosmos.sql.functions import arrays, dates, items, mathematics, strings, types
from localazure.cosmos.sql.functions.signature import Function
from localazure.cosmos.sql.tree import Span

FUNCTIONS: Final[dict[str, Function]] = {
    **types.FUNCTIONS,
    **strings.FUNCTIONS,
    **arrays.FUNCTIONS,
    **mathematics.FUNCTIONS,
    **dates.FUNCTIONS,
    **items.FUNCTIONS,
}
CLOCK_FUNCTIONS: Final = dates.CLOCK_FUNCTIONS
# Those that may take long; they get the `Watch` of the run before their arguments.
WATCHED_FUNCTIONS: Final = frozenset(("REGEXMATCH",))


def function_named(name: str, argument_count: int, span: Span) -> Function:
    """The function of an upper-case `name`. Raises: SqlRefused SC2005 (no such name), SC2050 (wrong argument count)."""
    function = FUNCTIONS.get(name) or CLOCK_FUNCTIONS.get(name.removesuffix("STATIC"))
    if function is None:
        raise SqlRefused("SC2005", f"'{name}' is not a recognized built-in function name.", span.start, span.end)
    if argument_count < function.least:
        needed = "at least " if function.most != function.least else ""
        message = f"The {name} function requires {needed}{function.least} argument(s)."
        raise SqlRefused("SC2050", message, span.start, span.end)
    if function.most is not None and argument_count > function.most:
        limit = "at most " if function.most != function.least else ""
        message = f"The {name} function requires {limit}{function.most} argument(s)."
        raise SqlRefused("SC2050", message, span.start, span.end)
    return function
