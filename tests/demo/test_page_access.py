"""For a keyboard, a screen reader, the dark, and a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.demo.browser import AGENT, SUPERVISOR, Demo
from tests.demo.conftest import Windows
from tests.support.web import grave

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
KINDS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"color_scheme": "light", **PHONE},
}


@pytest.mark.node
@pytest.mark.parametrize("kind", KINDS)
async def test_axe_finds_nothing_serious(running: Demo, windows: Windows, kind: str) -> None:
    window = await windows(running, **KINDS[kind])
    page = window.page
    # Colours are measured when they have come to rest.
    await page.emulate_media(reduced_motion="reduce")
    await expect(page.locator(".person").first).to_be_visible()
    assert await grave(page) == []
    await window.sign_in(SUPERVISOR)
    await expect(page.locator(".card").first).to_be_visible()
    await page.locator("#chat-list button").first.click()
    await expect(page.locator("#chat-messages li").first).to_be_visible()
    assert await grave(page) == []
    await page.locator(".card").first.click()
    await expect(page.locator("#detail")).to_be_visible()
    assert await grave(page) == []


async def test_all_can_be_done_from_the_keyboard(running: Demo, windows: Windows) -> None:
    page = (await windows(running)).page
    await page.locator(f'[data-email="{AGENT}@centro.example"]').press("Enter")
    await expect(page.locator("#light")).to_have_attribute("data-state", "live")
    conversation = page.locator("#chat-list button").first
    await conversation.press("Enter")
    await expect(page.get_by_label("Your answer")).to_be_focused()
    await page.keyboard.type("Desde el teclado")
    await page.keyboard.press("Enter")
    await expect(page.locator("#chat-messages p", has_text="Desde el teclado")).to_have_count(1)
    await page.locator("input[name=mode][value=hub]").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("input[name=mode][value=direct]")).to_be_checked()
    card = page.locator(".card").first
    await card.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#detail")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#detail")).not_to_be_visible()


async def test_focus_stays_where_it_is_while_the_page_moves(
    running: Demo, windows: Windows
) -> None:
    page = (await windows(running, SUPERVISOR)).page
    third = page.locator("#chat-list button").nth(2)
    await third.focus()
    name = await page.evaluate("document.activeElement.querySelector('b')?.textContent")
    for _ in range(3):
        first = await page.locator("#chat-list b").first.inner_text()
        await expect(page.locator("#chat-list b").first).not_to_have_text(first)
    assert await page.evaluate("document.activeElement.querySelector('b')?.textContent") == name


async def test_no_width_needs_scrolling_sideways(running: Demo, windows: Windows) -> None:
    page = (await windows(running, AGENT)).page
    await expect(page.locator("#prospect-rows tr").first).to_be_visible()
    for width in (360, 390, 768, 1024, 1500):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_light_and_dark_follow_the_system_until_somebody_chooses(
    running: Demo, windows: Windows
) -> None:
    page = (await windows(running, AGENT, color_scheme="dark")).page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(ground)
    await page.get_by_role("button", name="Light or dark").click()
    await page.wait_for_function(f"{ground} !== '{dark}'")
    await page.reload()
    await page.wait_for_function(f"{ground} !== '{dark}'")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_pictures_are_kept_to_look_at(running: Demo, windows: Windows, kind: str) -> None:
    folder = Path(__file__).parents[2] / "docs" / "screenshots"
    folder.mkdir(exist_ok=True)
    size = {} if kind == "phone" else {"viewport": {"width": 1440, "height": 900}}
    who = AGENT if kind == "dark" else SUPERVISOR
    page = (await windows(running, who, **KINDS[kind], **size)).page
    for mode in ("direct", "hub"):
        await page.locator(f"input[value={mode}]").click(force=True)
        await page.wait_for_timeout(12_000)
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=folder / f"demo-{kind}.png")
