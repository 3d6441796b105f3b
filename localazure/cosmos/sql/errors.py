"""The refusals of the query language: each names the service's SQL error code and where in the text it stands.

The codes SC1001, SC1002, SC1010, SC1012, SC2001, SC2005, SC2022, SC2050, SC3005 and SC3020 are those the service was
seen to use, with its words; where only the words are known, or neither, code and words are formed after these.

Source: the messages as the service returns them, `{"errors":[{"severity":"Error","location":{"start":7,"end":8},
"code":"SC1001","message":"Syntax error, incorrect syntax near 'FORM'."}]}`
"""

from __future__ import annotations

import json


class SqlRefused(Exception):
    """A query that the service answers with 400: `code` (SC...), `message`, and the half-open span `start`..`end`."""

    def __init__(self, code: str, message: str, start: int | None = None, end: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.start = start
        self.end = end

    def as_service_text(self) -> str:
        """The JSON text the service puts into its answer's message."""
        error: dict[str, object] = {"severity": "Error"}
        if self.start is not None and self.end is not None:
            error["location"] = {"start": self.start, "end": self.end}
        error |= {"code": self.code, "message": self.message}
        return json.dumps({"errors": [error]}, separators=(",", ":"), ensure_ascii=False)


class OutOfTime(Exception):
    """A run took longer than it may, or nobody waits for it any more: the service answers 408, or a shorter page."""


class NonFiniteResult(Exception):
    """A result holds NaN or an infinity, which JSON cannot: the service refuses the query with 400, sub-status 4001."""
