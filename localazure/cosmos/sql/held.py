"""How much one sort, fold, DISTINCT, array, object or call of a query keeps in memory at once.

Owns: the sizes and the refusal beyond. Refuses to know: why something is kept.

How: by what Python says a thing takes. What is kept twice is counted once, by its identity: so what was added must stay
until the end. A sort of a container's own items is not counted: it keeps no more than was stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import getsizeof
from typing import Any, Final

from localazure.cosmos.sql import limits

_ENTRY_BYTES: Final = 80  # about what an entry of a set takes, with what it points to
_NUMBER_BYTES: Final = 8


class Held:
    """Begins empty. Every method raises SqlRefused SC3008 beyond `limits.LARGEST_HELD_BYTES`."""

    def __init__(self) -> None:
        self._bytes = 0
        self._known: set[int] = set()

    def add(self, value: Any) -> None:
        """A value or a row of values, at any depth."""
        known, waiting, added = self._known, [value], 0
        while waiting:
            held = waiting.pop()
            if isinstance(held, int | float):
                added += _NUMBER_BYTES
            elif id(held) not in known:
                known.add(id(held))
                added += getsizeof(held) + _ENTRY_BYTES
                if isinstance(held, dict):
                    waiting.extend(held.values())
                elif isinstance(held, list | tuple):
                    waiting.extend(held)
        self._grow(added)

    def add_key(self, key: Any) -> None:
        """Text, what `identity_key` gave (a pair with text or a number), or next to nothing. It need not stay."""
        text = key[1] if type(key) is tuple else key
        self._grow(_ENTRY_BYTES + (getsizeof(text) if type(text) is str else 0))

    def _grow(self, added: int) -> None:
        self._bytes += added
        limits.check_held(self._bytes)


def held(values: Iterable[Any]) -> Iterator[Any]:
    """`values`, each counted before it is given."""
    size = Held()
    for value in values:
        size.add(value)
        yield value
