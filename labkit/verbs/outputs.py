"""What may stand in a committed notebook: outputs without traces of the machine or the moment. Pure.

Owns: which metadata stay, how outputs are joined and stripped, and what must not be there at all (secrets, host paths,
connection strings, addresses, ports, warnings). Refuses to know: how cells are executed, and where files are.

Same outputs in, same bytes out: that is what makes `render` repeatable. PNG layout: PNG specification, section 5.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nbformat import NotebookNode

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"pHYs", b"IDAT", b"IEND")
"""What draws the picture. The rest is text such as the name and version of the program that made it."""

FORBIDDEN: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "a connection string",
        re.compile(r"(AccountEndpoint|Endpoint|AccountKey|SharedAccessKey|SharedAccessSignature)="),
    ),
    ("a local port", re.compile(r"(127\.0\.0\.1|localhost|\[::1\]):\d+")),
    ("a host path", re.compile(r"(?<![\w.])(/(home|root|Users|tmp|var/folders)/|[A-Za-z]:\\Users\\)")),
    ("an object's address", re.compile(r"\bat 0x[0-9a-f]{6,}")),
)


def settled(notebook: NotebookNode, committed: NotebookNode, *, refresh_measured: bool) -> None:
    """Make an executed notebook fit to be committed, in place.

    `committed` is the same notebook before: cells tagged `measured` keep its outputs, unless asked to refresh.
    """
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python"))
    before = {cell.id: cell for cell in committed.cells}
    count = 0
    for cell in notebook.cells:
        cell.metadata = NotebookNode({"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {})
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        known = before.get(cell.id)
        if is_measured(cell) and not refresh_measured and known is not None and known.outputs:
            cell.outputs = known.outputs
        cell.outputs = list(_stripped(_joined(cell.outputs), count))


def is_measured(cell: NotebookNode) -> bool:
    return "measured" in cell.metadata.get("tags", [])


def objections(notebook: NotebookNode, secrets: Iterable[str], paths: Iterable[str]) -> list[str]:
    """Why an executed notebook must not be committed: one line per cell and reason."""
    literal = [("a key", text) for text in secrets if text] + [("a path of this machine", text) for text in paths]
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            reasons = [what for what, pattern in FORBIDDEN if any(pattern.search(text) for text in _texts(output))]
            reasons += [what for what, secret in literal if any(secret in text for text in _texts(output))]
            if output.output_type == "error":
                reasons.append(f"an error ({output.ename})")
            if output.output_type == "stream" and output.name == "stderr":
                reasons.append(f"a warning on stderr ({output.text.strip().splitlines()[0][:80]})")
            found += [f"cell {number} ({cell.id}) shows {reason}" for reason in reasons]
    return found


def _joined(outputs: list[NotebookNode]) -> Iterator[NotebookNode]:
    """Consecutive pieces of one stream as one: how a kernel cuts them depends on its timing."""
    pending: NotebookNode | None = None
    for output in outputs:
        if pending is not None and output.output_type == "stream" and output.name == pending.name:
            pending.text += output.text
            continue
        if pending is not None:
            yield pending
        pending = output if output.output_type == "stream" else None
        if pending is None:
            yield output
    if pending is not None:
        yield pending


def _stripped(outputs: Iterable[NotebookNode], count: int) -> Iterator[NotebookNode]:
    for output in outputs:
        if "data" in output:
            output.data = NotebookNode({kind: _content(kind, value) for kind, value in sorted(output.data.items())})
            output.metadata = _alt_texts(output.metadata)
        if output.output_type == "execute_result":
            output.execution_count = count
        output.pop("transient", None)
        yield output


def _alt_texts(metadata: Mapping[str, Any]) -> NotebookNode:
    """Of an output's metadata only what is said for those who cannot see a picture."""
    return NotebookNode({kind: NotebookNode(alt=about["alt"]) for kind, about in metadata.items() if "alt" in about})


def _content(kind: str, value: Any) -> Any:
    if kind != "image/png":
        return value
    picture = base64.b64decode(value)
    return base64.b64encode(without_metadata(picture)).decode("ascii") + "\n"


def without_metadata(picture: bytes) -> bytes:
    """A PNG with only the chunks that draw it."""
    if not picture.startswith(PNG_SIGNATURE):
        raise ValueError("an image/png output is not a PNG")
    kept = [PNG_SIGNATURE]
    at = len(PNG_SIGNATURE)
    while at < len(picture):
        (length,) = struct.unpack_from(">I", picture, at)
        end = at + 12 + length
        if picture[at + 4 : at + 8] in PNG_KEPT:
            kept.append(picture[at:end])
        at = end
    return b"".join(kept)


def _texts(output: Mapping[str, Any]) -> Iterator[str]:
    """Every text an output shows; pictures are not text."""
    if output.get("output_type") == "stream":
        yield output["text"]
    if output.get("output_type") == "error":
        yield from output["traceback"]
    for kind, value in output.get("data", {}).items():
        if not kind.startswith("image/"):
            yield value if isinstance(value, str) else repr(value)
