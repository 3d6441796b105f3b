"""JupyterLab as a learner has it: a server on copies of the notebooks, and one notebook open in a browser.

What is waited for is the notebook's own model and the kernel's own status, asked of the application in the page: the
prompts and the idle dot say "done" while a dialog waits, or before the first cell has begun.
"""

from __future__ import annotations

import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Page

from labkit import settings
from labkit.verbs import copies, places

START_SECONDS: Final = 120
STOP_SECONDS: Final = 60
ADDRESS: Final = re.compile(r"https?://127\.0\.0\.1:\d+/lab\?token=\w+")
OPTIONS: Final = ("--no-browser", "--port=0", "--LabApp.expose_app_in_browser=True")
SERVE: Final = f"""
import sys
from pathlib import Path
from labkit.verbs import lab
root = Path(sys.argv[1])
lab.open_jupyterlab(root, root / "my_lab", "student", {OPTIONS})
"""
"""As `lab.py lab` does it, on copies elsewhere: the learner's own in my_lab are left alone."""

CELLS: Final = """() => {
    const panel = window.jupyterapp.shell.currentWidget;
    return Array.from(panel.content.model.cells).map(cell => ({
        id: cell.id,
        kind: cell.type,
        ran: cell.type === 'code' && cell.executionCount !== null,
        outputs: cell.type === 'code' ? cell.outputs.toJSON() : [],
    }));
}"""
IS_READY: Final = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    return panel?.context?.isReady && panel.sessionContext?.session?.kernel?.status === 'idle';
}"""
HAS_RUN: Final = """id => {
    const panel = window.jupyterapp.shell.currentWidget;
    const cell = Array.from(panel.content.model.cells).find(one => one.id === id);
    return cell.executionCount !== null && panel.sessionContext.session.kernel.status === 'idle';
}"""
GO_TO: Final = """async id => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.activeCellIndex = Array.from(notebook.model.cells).findIndex(one => one.id === id);
    await notebook.scrollToItem(notebook.activeCellIndex);
}"""


class JupyterLab:
    """The server process; `with` ends it, its kernels and the embedded Azure that they started."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state"
        copies.bring(folder / "my_lab", places.notebooks())
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(folder)],
            env={**os.environ, settings.DATA_DIR: str(self._state)},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._addresses: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := ADDRESS.search(line):
                self._addresses.put(found[0])

    def __enter__(self) -> JupyterLab:
        self.address = self._addresses.get(timeout=START_SECONDS)
        self._wait_until_it_listens(time.monotonic() + START_SECONDS)
        return self

    def _wait_until_it_listens(self, deadline: float) -> None:
        """It says where a few milliseconds before it does."""
        address = urlsplit(self.address)
        while True:
            try:
                socket.create_connection((address.hostname, address.port), timeout=START_SECONDS).close()
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=STOP_SECONDS)
        self._reader.join(timeout=STOP_SECONDS)
        settings.stop_embedded(self._state)


@dataclass(frozen=True)
class Notebook:
    """One notebook in the page, with its kernel connected and idle."""

    page: Page

    @classmethod
    def opened(cls, page: Page, server: JupyterLab, name: str) -> Notebook:
        page.goto(server.address.replace("/lab?", f"/lab/tree/my_lab/{name}.ipynb?"))
        page.wait_for_function(IS_READY)
        return cls(page)

    def cells(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate(CELLS)
        return found

    def outputs(self, cell_id: str) -> list[dict[str, Any]]:
        return next(cell["outputs"] for cell in self.cells() if cell["id"] == cell_id)

    def go_to(self, cell_id: str) -> None:
        self.page.evaluate(GO_TO, cell_id)

    def run(self, item: str) -> None:
        """Choose from the menu *Run*, as a hand would."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def wait_until_run(self, cell_id: str) -> None:
        """Until the model has the cell's number and the kernel says that it is idle."""
        self.page.wait_for_function(HAS_RUN, arg=cell_id)

    def write(self, cell_id: str, source: str) -> None:
        """Type into a cell, in the place of what is there."""
        self.go_to(cell_id)
        editor = self.page.locator(".jp-Notebook .jp-mod-active .cm-content")
        editor.click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(source)
