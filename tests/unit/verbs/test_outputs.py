"""What `render` lets into a committed notebook."""

from __future__ import annotations

import base64
import io
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode, v4

from labkit.verbs import outputs


def notebook(*shown: NotebookNode, tags: tuple[str, ...] = (), **metadata: Any) -> NotebookNode:
    cell = v4.new_code_cell("1", id="shows", execution_count=9, outputs=list(shown))
    cell.metadata = NotebookNode(NotebookNode(metadata) | ({"tags": list(tags)} if tags else {}))
    return v4.new_notebook(cells=[v4.new_markdown_cell("# 01", id="title"), cell], metadata={"papermill": {"x": 1}})


def stream(text: str, name: str = "stdout") -> NotebookNode:
    return v4.new_output("stream", name=name, text=text)


def settled(book: NotebookNode, committed: NotebookNode | None = None, *, refresh: bool = False) -> NotebookNode:
    outputs.settled(book, committed if committed is not None else notebook(), refresh_measured=refresh)
    nbformat.validate(book)
    return book


def picture(**metadata: str) -> bytes:
    from matplotlib.figure import Figure

    file = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(file, metadata=metadata)
    return file.getvalue()


def test_of_the_metadata_only_the_kernel_the_language_and_the_tags_stay() -> None:
    book = settled(notebook(tags=("local-only",), execution={"iopub.execute_input": "2026"}, collapsed=True))

    assert book.metadata == {"kernelspec": outputs.KERNEL, "language_info": {"name": "python"}}
    assert book.cells[1].metadata == {"tags": ["local-only"]}
    assert book.cells[1].execution_count == 1


def test_the_pieces_of_a_stream_become_one_however_the_kernel_cut_them() -> None:
    whole = settled(notebook(stream("a\nb\n")))
    pieces = settled(notebook(stream("a\n"), stream("b\n")))

    assert nbformat.writes(whole) == nbformat.writes(pieces)


def test_a_picture_loses_its_metadata_and_nothing_it_draws() -> None:
    from matplotlib.image import imread

    old, new = picture(Title="made on 2026-01-05"), picture(Software="another")

    assert old != new
    assert outputs.without_metadata(old) == outputs.without_metadata(new)
    assert b"2026" not in outputs.without_metadata(old)
    assert (imread(io.BytesIO(outputs.without_metadata(old))) == imread(io.BytesIO(old))).all()


def test_of_an_outputs_metadata_only_the_pictures_alt_text_stays() -> None:
    shown = v4.new_output("display_data", {"image/png": base64.b64encode(picture()).decode("ascii")})
    shown.metadata = NotebookNode({"image/png": {"alt": "A white square.", "width": 9}, "text/plain": {"at": "2026"}})
    assert settled(notebook(shown)).cells[1].outputs[0].metadata == {"image/png": {"alt": "A white square."}}


def test_a_measured_cell_keeps_what_was_committed_until_asked_to_refresh() -> None:
    committed = notebook(stream("1.5 s\n"), tags=("measured",))
    again = notebook(stream("1.7 s\n"), tags=("measured",))

    assert settled(nbformat.from_dict(again), committed).cells[1].outputs[0].text == "1.5 s\n"
    assert settled(nbformat.from_dict(again), committed, refresh=True).cells[1].outputs[0].text == "1.7 s\n"


def test_another_cell_does_not_keep_what_was_committed() -> None:
    assert settled(notebook(stream("2\n")), notebook(stream("1\n"))).cells[1].outputs[0].text == "2\n"


@pytest.mark.parametrize(
    "text",
    [
        "AccountEndpoint=" + "http://x/;",
        "Endpoint=" + "sb://x;Shared" + "AccessKey=abc",
        "http://127.0.0.1:" + "8081/",
        "localhost:" + "5672",
        "/home/" + "ann/lab",
        "'/tmp/" + "x'",
        "C:\\" + "Users\\ann",
        "<Thing object at 0x" + "7f00aa11bb22>",
        "holds s3cr3t inside",
        "/srv/lab/.lab/tables",
    ],
)
@pytest.mark.parametrize("kind", ["stream", "text/plain", "text/html"])
def test_secrets_hosts_and_addresses_are_objected_to_wherever_they_are_shown(text: str, kind: str) -> None:
    shown = stream(text) if kind == "stream" else v4.new_output("display_data", data={kind: text})

    found = outputs.objections(notebook(shown), secrets=["s3cr3t"], paths=["/srv/lab"])

    assert found
    assert all(line.startswith("cell 2 (shows) shows ") for line in found)
    assert not any("s3cr3t" in line for line in found)


def test_an_error_and_a_warning_are_objected_to() -> None:
    error = v4.new_output("error", ename="ValueError", evalue="no", traceback=["..."])

    assert outputs.objections(notebook(error), (), ()) == ["cell 2 (shows) shows an error (ValueError)"]
    assert outputs.objections(notebook(stream("careful\n", "stderr")), (), ()) == [
        "cell 2 (shows) shows a warning on stderr (careful)"
    ]


def test_ordinary_output_meets_no_objection() -> None:
    shown = v4.new_output("display_data", data={"text/plain": "order-20260105-a  Paid  12.50", "image/png": encoded()})

    assert outputs.objections(notebook(stream("3 events at version 2\n"), shown), ["s3cr3t"], ["/srv/lab"]) == []


def encoded() -> str:
    return base64.b64encode(picture()).decode()
