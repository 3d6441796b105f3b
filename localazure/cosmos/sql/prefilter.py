"""A condition for SQLite that lets a store skip documents the query cannot select.

Owns: which parts of WHERE have an SQLite form that is true at least wherever they are. Refuses to know: tables.

How: of what AND joins, comparisons of the item's own properties with constants: equal texts, and numbers with a
tolerance, because SQLite reads decimal fractions by another routine than ours. Texts in order of size are left out
(SQLite ends a text at a NUL), null and booleans too (JSON1 has no undefined, and gives 1 for true). Leaving a part out
only lets more documents through. Three parts at most: each costs a look into the JSON.

Source: sqlite.org/json1.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from localazure.cosmos.sql.tree import Binary, Expression, Identifier, In, Literal, Member, Parameter, Query, chain
from localazure.cosmos.sql.values import UNDEFINED, Value, double, is_number

Condition: TypeAlias = tuple[str, tuple[str | int | float, ...]]

MOST_PARTS: Final = 3
MOST_ITEMS: Final = 100
_TOLERANCE: Final = 1e-9
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_ -]+", re.ASCII)
_MIRRORED: Final = {"=": "=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def of(tree: Query, parameters: Mapping[str, Value], settled: Sequence[str] = ()) -> Condition | None:
    """The condition and its arguments; None when every document may be selected.

    `settled`: paths ("/customerId") that the store narrows by itself.
    """
    if tree.where is None or not tree.sources:
        return None
    first = tree.sources[0]
    if first.iterates or first.alias is None or not isinstance(first.origin, Identifier):
        return None
    parts: list[Condition] = []
    for test in chain(tree.where, "AND"):
        part = _part(test, first.alias, parameters, settled)
        if part is not None:
            parts.append(part)
    parts.sort(key=lambda part: (not part[0].startswith("id "), "BETWEEN" not in part[0] and " IN " not in part[0]))
    parts = parts[:MOST_PARTS]
    if not parts:
        return None
    return " AND ".join(text for text, _ in parts), tuple(value for _, values in parts for value in values)


def _part(test: Expression, alias: str, parameters: Mapping[str, Value], settled: Sequence[str]) -> Condition | None:
    if isinstance(test, In) and not test.negated:
        path, operator, constants = _path(test.subject, alias), "=", [_constant(i, parameters) for i in test.items]
    elif isinstance(test, Binary) and test.operator in _MIRRORED:
        path, operator = _path(test.left, alias), test.operator
        constants = [_constant(test.right, parameters)]
        if path is None:
            path, operator = _path(test.right, alias), _MIRRORED[operator]
            constants = [_constant(test.left, parameters)]
    else:
        return None
    if path is None or f"/{'/'.join(path)}" in settled or len(constants) > MOST_ITEMS:
        return None
    return _compared(path, operator, constants)


def _path(node: Expression, alias: str) -> tuple[str, ...] | None:
    names: list[str] = []
    while isinstance(node, Member):
        name = node.index.value if isinstance(node.index, Literal) else None
        if not isinstance(name, str) or _PLAIN_NAME.fullmatch(name) is None:
            return None
        names.append(name)
        node = node.source
    return tuple(reversed(names)) if names and isinstance(node, Identifier) and node.name == alias else None


def _constant(node: Expression, parameters: Mapping[str, Value]) -> Value:
    if isinstance(node, Literal):
        return node.value
    return parameters.get(node.name, UNDEFINED) if isinstance(node, Parameter) else UNDEFINED


def _compared(path: tuple[str, ...], operator: str, constants: list[Value]) -> Condition | None:
    held = "id" if path == ("id",) else "json_extract(body, '$.{}')".format(".".join(f'"{name}"' for name in path))
    if operator == "=" and all(type(value) is str and "\0" not in value and _is_text(value) for value in constants):
        return f"{held} IN ({', '.join('?' * len(constants))})", tuple(constants)
    if len(constants) != 1 or not is_number(constants[0]) or not math.isfinite(double(constants[0])):
        return None
    constant = double(constants[0])
    slack = abs(constant) * _TOLERANCE
    low, high = constant - slack, constant + slack
    if operator == "=":
        return f"{held} BETWEEN ? AND ?", (low, high)
    return (f"{held} <= ?", (high,)) if operator in ("<", "<=") else (f"{held} >= ?", (low,))


def _is_text(value: str) -> bool:
    """Whether SQLite can be given it: no lone surrogate."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
