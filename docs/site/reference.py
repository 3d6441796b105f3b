"""The reference: pages of Markdown from the docstrings of labkit, by its syntax trees; nothing is imported.

What is on a page: each module's docstring; its public functions and classes with their signatures, a class with its
fields and public methods; and the names with a docstring of their own. What has no docstring is shown by its signature.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

Definition = ast.FunctionDef | ast.AsyncFunctionDef


def page(title: str, about: str, modules: dict[str, Path]) -> str:
    """One page: `modules` by their dotted names, in this order."""
    parts = [f"# {title}", about]
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts += [f"## {name}", words(tree), *members(tree.body)]
    return "\n\n".join(part for part in parts if part) + "\n"


def members(body: list[ast.stmt]) -> Iterator[str]:
    for at, node in enumerate(body):
        if isinstance(node, Definition) and is_public(node.name):
            yield f"### {node.name}\n\n{code(signature(node))}\n\n{words(node)}"
        elif isinstance(node, ast.ClassDef) and is_public(node.name):
            yield f"### {node.name}\n\n{code(outline(node))}\n\n{words(node)}"
            yield from methods(node)
        elif (about := words_below(body, at)) and is_public(name := ast.unparse(target(node))):
            yield f"### {name}\n\n{about}"


def methods(node: ast.ClassDef) -> Iterator[str]:
    for one in node.body:
        if isinstance(one, Definition) and is_public(one.name) and not is_overload(one):
            yield f"{code(signature(one))}\n\n{words(one)}"


def outline(node: ast.ClassDef) -> str:
    """The class's first line, how it is made, and its fields."""
    bases = ", ".join(map(ast.unparse, [*node.bases, *node.keywords]))
    lines = [f"class {node.name}({bases}):" if bases else f"class {node.name}:"]
    lines += [f"    {signature(one)}" for one in node.body if isinstance(one, Definition) and one.name == "__init__"]
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign) and is_public(ast.unparse(one.target))]
    return "\n".join([*lines, *(f"    {ast.unparse(one)}" for one in fields)]) + ("" if lines[1:] or fields else " ...")


def signature(node: Definition) -> str:
    """As it is written, with its decorators that say what it is; a long one gets a line for each parameter."""
    kept = [one for one in map(ast.unparse, node.decorator_list) if one in ("property", "classmethod", "staticmethod")]
    before = "".join(f"@{one}\n" for one in kept) + ("async " if isinstance(node, ast.AsyncFunctionDef) else "")
    after = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{before}def {node.name}({ast.unparse(node.args)}){after}"


def words(node: ast.Module | ast.ClassDef | Definition) -> str:
    return in_markdown(ast.get_docstring(node) or "")


def words_below(body: list[ast.stmt], at: int) -> str:
    """The docstring under an assignment."""
    below = body[at + 1] if at + 1 < len(body) else None
    if target(body[at]) is None or not isinstance(below, ast.Expr) or not isinstance(below.value, ast.Constant):
        return ""
    return in_markdown(below.value.value) if isinstance(below.value.value, str) else ""


def target(node: ast.stmt) -> ast.expr | None:
    if isinstance(node, ast.AnnAssign):
        return node.target
    return node.targets[0] if isinstance(node, ast.Assign) else None


def in_markdown(docstring: str) -> str:
    """`Raises:` and `Source:` begin a paragraph each."""
    lines = []
    for line in docstring.splitlines():
        if line.startswith(("Raises:", "Source:")) and lines and lines[-1]:
            lines.append("")
        lines.append(line)
    return "\n".join(lines).strip()


def code(text: str) -> str:
    return f"```{{code-block}} python\n:class: signature\n{text}\n```"


def is_public(name: str) -> bool:
    return not name.startswith("_")


def is_overload(node: Definition) -> bool:
    return any(ast.unparse(one).endswith("overload") for one in node.decorator_list)
