"""A browser that is on the machine, driven by playwright; none is fetched.

Where there is none, these tests are deselected; in CI they fail, and say what to install.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

COMMANDS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES: Final = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
)
"""Where Chrome is on systems that do not put it on the PATH."""

WAIT_MS: Final = 120_000.0
"""For whatever a page is waited for; ten times what it takes on a quiet machine."""

expect.set_options(timeout=WAIT_MS)  # which the context's own does not reach


def executable() -> str | None:
    on_path = [found for name in COMMANDS if (found := shutil.which(name))]
    return next(iter([*on_path, *(place for place in PLACES if Path(place).exists())]), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if executable() or os.environ.get("CI") == "true":
        return
    here = Path(__file__).parent
    without = [item for item in items if item.path.is_relative_to(here)]
    items[:] = [item for item in items if item not in without]
    config.hook.pytest_deselected(items=without)


@pytest.fixture(scope="module")  # while it runs, so does an event loop: no test elsewhere could begin one
def browser() -> Iterator[Browser]:
    path = executable()
    if path is None:
        pytest.fail(f"no browser here: install Chromium (Debian: apt install chromium), as one of {COMMANDS}")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--disable-dev-shm-usage"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(WAIT_MS)
        yield context.new_page()
