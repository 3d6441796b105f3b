"""Text that a client sends: whether it is any, and the whole numbers it says in headers, tokens and paths.

Owns: how long such a number may be. Python reads no text of more than 4,300 digits and SQLite keeps no integer of more
than 64 bits, so what is longer is refused before either sees it.
"""

from __future__ import annotations

from localazure.cosmos.errors import BadRequest

MOST_DIGITS = 18
"""The longest that always fits 64 bits."""


def is_whole(text: str) -> bool:
    """Whether `text` is a number of 0 or more, in digits only, that fits 64 bits."""
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS


def whole_number(text: str, what: str) -> int:
    """The number `text` says. Raises: `BadRequest` naming `what` it should have been."""
    if not is_whole(text):
        raise BadRequest(f"The {what} {text[:80]!r} is no whole number of at most {MOST_DIGITS} digits.")
    return int(text)


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold it: JSON can escape half of a surrogate pair, which is no text."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
