"""`python -m tests.browser.screenshot`: the README's picture of JupyterLab, made anew. Look at what it made."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from labkit.verbs import places
from tests.browser.conftest import WAIT_MS, executable
from tests.browser.jupyterlab import JupyterLab, Notebook

PICTURE = places.ROOT / "docs" / "pictures" / "jupyterlab.png"
NAME, SHOWN, STOPS_AT = "02_events", "s5-throttle", "exercise-1-check"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, JupyterLab(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable())
        page = browser.new_page(viewport={"width": 1120, "height": 800})
        page.set_default_timeout(WAIT_MS)
        notebook = Notebook.opened(page, server, NAME)
        notebook.run("Run All Cells")
        notebook.wait_until_run(STOPS_AT)
        notebook.go_to(SHOWN)
        picture = page.locator(".jp-Notebook .jp-mod-active img")
        picture.evaluate("image => image.decode().then(() => image.scrollIntoView({block: 'end'}))")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
