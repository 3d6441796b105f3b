"""A partial update as a step: read, test the condition, patch, write, all in one turn.

Source: learn.microsoft.com/azure/cosmos-db/partial-document-update (conditions are `FROM <alias> WHERE ...`)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from localazure.cosmos import charges, patches, sql, steps, writes
from localazure.cosmos.documents import Conditions
from localazure.cosmos.drafts import address_of, draft_of
from localazure.cosmos.errors import BadRequest, PreconditionFailed, RequestTimeout
from localazure.cosmos.partitioning import KeyValues
from localazure.cosmos.resources import Container
from localazure.cosmos.steps import Done, Step
from localazure.cosmos.writes import Turn

CONDITION_PREFIX = "SELECT VALUE true "


def patch(container: Container, key: KeyValues | None, id: str, body: Any, conditions: Conditions) -> Step:
    """Raises: `BadRequest` for a body that is no patch."""
    if not isinstance(body, dict):
        raise BadRequest("The patch is not a JSON object.")
    address = address_of(container.key, key, id)
    holds = _condition(body.get("condition"))

    def step(turn: Turn) -> Done:
        current = writes.get(turn, address)
        conditions.check(current)
        document = json.loads(current.body)
        if not holds(document, turn.watch):
            raise PreconditionFailed("The document does not meet the condition of the patch.")
        patched = patches.apply(document, body.get("operations"), container.key.paths)
        row = writes.replace(turn, id, draft_of(container, key, patched), Conditions())
        return Done(steps.OK, row, charges.point_write(len(row.body)))

    return step


def _condition(text: Any) -> Callable[[Any, sql.Watch], bool]:
    """Whether a document meets `FROM <alias> WHERE ...`. Raises: `BadRequest` for what is no such text."""
    if text is None:
        return lambda _, __: True
    try:
        query = sql.compile_query(sql.parse(f"{CONDITION_PREFIX}{text}"))
        if not query.streaming:
            raise BadRequest(f"The condition {text!r} of the patch is not of the form FROM <alias> WHERE ...")
    except sql.SqlRefused as refusal:
        raise BadRequest(refusal.as_service_text()) from refusal
    except RecursionError as refusal:
        raise BadRequest("The condition of the patch is nested too deeply.") from refusal

    def holds(document: Any, watch: sql.Watch) -> bool:
        try:
            return any(True for _ in query.start({}, watch=watch).outputs(document))
        except RecursionError as refusal:
            raise BadRequest("The condition of the patch is nested too deeply.") from refusal
        except sql.OutOfTime as refusal:
            raise RequestTimeout("The condition of the patch took longer than an operation may.") from refusal
        except sql.SqlRefused as refusal:
            raise BadRequest(f"The condition of the patch cannot be evaluated: {refusal}") from refusal

    return holds
