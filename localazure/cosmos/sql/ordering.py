"""What ORDER BY asks of the indexing policy.

Owns: which ORDER BY clauses the service can serve from its indexes, and whether documents without the path come along.
Refuses to know: sorting.

How: an ORDER BY over several paths needs a composite index with exactly those paths in that order, all directions as
declared or all reversed. One over a single path needs the path indexed; documents that lack it are results only if the
policy includes that very path, not merely `/*`.

Source: learn.microsoft.com/azure/cosmos-db/index-policy (composite indexes, precedence of paths),
learn.microsoft.com/azure/cosmos-db/nosql/query/order-by (remarks)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from localazure.cosmos.sql.tree import Expression, Identifier, Literal, Member, OrderItem, Query


class OrderRefused(Exception):
    """An ORDER BY that no index serves; the message is the service's."""


def check(tree: Query, policy: Mapping[str, Any]) -> None:
    """Raises: OrderRefused."""
    paths = [_document_path(item, tree) for item in tree.order_by]
    if len(paths) > 1 and not _has_composite(policy, paths, [item.descending for item in tree.order_by]):
        raise OrderRefused(
            "The order by query does not have a corresponding composite index that it can be served from."
        )
    if len(paths) == 1 and not _is_indexed(policy, paths[0]):
        raise OrderRefused("The index path corresponding to the specified order-by item is excluded.")


def sorts_undefined(tree: Query, policy: Mapping[str, Any]) -> bool:
    """Whether documents without the path of a single ORDER BY are results, too."""
    if len(tree.order_by) != 1:
        return True
    path = _document_path(tree.order_by[0], tree)
    wanted = (_written(path) + "/?", _written(path) + "/*")
    return any(included.get("path", "").replace('"', "") in wanted for included in policy.get("includedPaths", ()))


def _document_path(item: OrderItem, tree: Query) -> tuple[str, ...]:
    names: list[str] = []
    node: Expression = item.expression
    while isinstance(node, Member):
        if not isinstance(node.index, Literal):
            raise _unsupported()
        names.append(str(node.index.value) if isinstance(node.index.value, str) else "[]")
        node = node.source
    if not isinstance(node, Identifier) or not names:
        raise _unsupported()
    first = tree.sources[0]
    if node.name != first.alias or first.iterates:
        raise OrderRefused("Order-by over correlated collections is not supported.")
    return tuple(reversed(names))


def _unsupported() -> OrderRefused:
    return OrderRefused("Unsupported ORDER BY clause. ORDER BY item expression could not be mapped to a document path.")


def _written(path: Sequence[str]) -> str:
    return "/" + "/".join(path)


def _has_composite(policy: Mapping[str, Any], paths: list[tuple[str, ...]], descending: list[bool]) -> bool:
    wanted = [_written(path) for path in paths]
    for index in policy.get("compositeIndexes", ()):
        declared = [entry.get("path", "").replace('"', "").rstrip("/?") for entry in index]
        directions = [entry.get("order", "ascending") == "descending" for entry in index]
        if declared == wanted and directions in (descending, [not direction for direction in descending]):
            return True
    return False


def _is_indexed(policy: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """The most precise path that covers this one decides; without any the path is indexed if there is no policy."""
    if str(policy.get("indexingMode", "consistent")).lower() == "none":
        return False
    included = max(_precisions(policy.get("includedPaths", ({"path": "/*"},)), path), default=-1)
    excluded = max(_precisions(policy.get("excludedPaths", ()), path), default=-1)
    return included >= excluded and included >= 0


def _precisions(entries: Sequence[Mapping[str, Any]], path: tuple[str, ...]) -> Iterator[int]:
    for entry in entries:
        names = [name.strip('"') for name in str(entry.get("path", "")).strip("/").split("/")]
        *parts, end = names
        if end == "?" and parts == list(path):
            yield 2 * len(parts) + 1
        elif end == "*" and parts == list(path[: len(parts)]):
            yield 2 * len(parts)
