"""The site as it is read: on a phone, by keyboard, by eyes that need contrast, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from labkit.verbs import places

PHONE: Final = {"width": 360, "height": 740}
CONTRAST_AT_LEAST: Final = 4.5
"""Of text, at level AA. Source: WCAG 2.2, success criterion 1.4.3, and its definition of the contrast ratio."""

FAINT_TEXT: Final = """atLeast => {
    const channels = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = colour => {
        const [r, g, b] = channels(colour).map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = element => {
        for (let one = element; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor, alpha = channels(colour)[3];
            if (alpha === undefined || alpha === 1) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const found = new Set();
    const texts = document.createTreeWalker(document.querySelector('.page'), NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility({visibilityProperty: true})) continue;
        const [one, other] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
        const ratio = (one + 0.05) / (other + 0.05);
        if (ratio < atLeast) found.add(`${ratio.toFixed(2)}: ${texts.currentNode.data.trim().slice(0, 30)}`);
    }
    return [...found];
}"""
TABS: Final = 40
OUTSIDE: Final = """() => {
    const one = document.activeElement, box = one.getBoundingClientRect();
    return box.right <= 0 || box.left >= innerWidth ? one.textContent.trim() || one.id : '';
}"""
SCROLLS: Final = """() => {
    const wide = [...document.querySelectorAll('article *')].filter(one =>
        one.scrollWidth > one.clientWidth && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX));
    const reached = one => one.tabIndex >= 0 || one.querySelector('a[href], [tabindex="0"]');
    const marked = document.querySelectorAll('article pre[tabindex="0"]');
    return [wide.filter(one => !reached(one)).length, wide.filter(one => one.matches('pre')).length, marked.length];
}"""
"""How many scroll sideways and cannot be reached, how many blocks of code scroll, how many are marked as doing so."""
REACHED_IN_VAIN: Final = """() =>
    [...document.querySelectorAll('article [tabindex="0"]')].filter(one => one.scrollWidth <= one.clientWidth).length"""
NOTEBOOKS: Final = [path.stem for path in places.notebooks()]
PAGES: Final = ("index", "notebooks/01_write_model", "docs/support", "docs/glossary", "reference/events")
"""One of each kind."""


def open_page(page: Page, site: Path, name: str) -> None:
    page.goto((site / f"{name}.html").as_uri())


def test_no_page_scrolls_sideways_on_a_phone_and_none_asks_the_network_for_anything(page: Page, site: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size(PHONE)
    wide = []
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        if (width := page.evaluate("document.documentElement.scrollWidth")) > PHONE["width"]:
            wide.append(f"{path.relative_to(site)}: {width}")
    assert wide == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_the_pictures_of_a_notebook_are_drawn_and_fit_a_phone(page: Page, site: Path) -> None:
    page.set_viewport_size(PHONE)
    open_page(page, site, "notebooks/01_write_model")
    drawn = page.locator("article img").evaluate_all(
        "all => Promise.all(all.map(one => one.decode().then(() => [one.naturalWidth, one.width])))"
    )
    assert len(drawn) == 3
    assert all(natural > 0 and 200 < width <= PHONE["width"] for natural, width in drawn), drawn


def test_the_menu_of_a_phone_leads_to_a_notebook(page: Page, site: Path) -> None:
    page.set_viewport_size(PHONE)
    open_page(page, site, "index")
    page.locator("header .nav-overlay-icon").click()
    page.get_by_role("link", name="02 · Events").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("02 · Events")


def test_the_search_finds_a_word_without_a_server(page: Page, site: Path) -> None:
    open_page(page, site, "index")
    page.get_by_role("textbox", name="Search").fill("continuation")
    page.keyboard.press("Enter")
    expect(page.locator("#search-results li a", has_text="Glossary").first).to_be_visible()


def test_the_keyboard_comes_first_to_the_way_past_the_menu_and_opens_a_solution(page: Page, site: Path) -> None:
    open_page(page, site, "notebooks/01_write_model")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Skip to content"
    solution = page.locator("details.solution").first
    expect(solution.locator("pre")).to_be_hidden()
    solution.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(solution.locator("pre")).to_be_visible()


@pytest.mark.parametrize(("width", "key"), [(360, "Tab"), (360, "Shift+Tab"), (1280, "Shift+Tab")])
def test_the_keyboard_comes_to_nothing_that_is_out_of_sight(page: Page, site: Path, width: int, key: str) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_page(page, site, "docs/architecture")
    lost = []
    for _ in range(TABS):
        page.keyboard.press(key)
        if outside := page.evaluate(OUTSIDE):
            lost.append(outside)
    assert lost == []


def test_what_scrolls_sideways_is_reached_by_keyboard_and_headings_have_a_rank(page: Page, site: Path) -> None:
    page.set_viewport_size(PHONE)
    for name in ("index", "notebooks/03_projections"):
        open_page(page, site, name)
        page.wait_for_function(f"(([lost, wide, marked]) => lost === 0 && wide > 0 && wide === marked)(({SCROLLS})())")
        ranks = page.locator(".caption[role=heading]").evaluate_all("all => all.map(one => one.ariaLevel)")
        assert set(ranks) == {"2"}


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_what_begins_to_scroll_when_the_window_gets_narrow_or_a_solution_opens_is_reached_too(
    page: Page, site: Path, notebook: str
) -> None:
    open_page(page, site, f"notebooks/{notebook}")
    page.set_viewport_size(PHONE)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.wait_for_function(f"({SCROLLS})()[1] > 0")
    page.wait_for_function(f"({SCROLLS})()[0] === 0")

    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_function(f"({REACHED_IN_VAIN})() === 0")


def test_the_menu_of_a_narrow_window_is_opened_and_followed_by_keyboard(page: Page, site: Path) -> None:
    page.set_viewport_size(PHONE)
    open_page(page, site, "index")
    while page.evaluate("document.activeElement.id") != "__navigation":
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement !== document.body"), "the menu is not among what Tab comes to"
    assert page.locator("header .nav-overlay-icon").evaluate("one => getComputedStyle(one).outlineStyle") == "solid"

    page.keyboard.press("Space")
    link = page.get_by_role("link", name="02 · Events").first
    expect(link).to_be_in_viewport()
    for _ in range(TABS):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip().startswith("02 · Events"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("02 · Events")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(browser: Browser, site: Path, scheme: str) -> None:
    with browser.new_context(color_scheme=scheme) as context:
        page = context.new_page()
        faint = {}
        for name in PAGES:
            open_page(page, site, name)
            faint[name] = page.evaluate(FAINT_TEXT, CONTRAST_AT_LEAST)
    assert faint == {name: [] for name in PAGES}


def test_the_check_of_contrast_sees_text_that_is_faint(page: Page) -> None:
    page.set_content('<div class="page" style="background: #fff"><p style="color: #aaa">faint</p><p>dark</p></div>')
    assert page.evaluate(FAINT_TEXT, CONTRAST_AT_LEAST) == ["2.32: faint"]
