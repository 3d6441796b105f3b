"""Date and time functions.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/date-time-functions
"""

from __future__ import annotations

from typing import Final

from localazure.cosmos.sql.functions.signature import Function

FUNCTIONS: Final[dict[str, Function]] = {}
