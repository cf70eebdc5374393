"""The console in a real browser, and what it must not have done there."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page, async_playwright

PATIENCE = 20_000  # milliseconds


def chromium() -> str | None:
    """The system's browser, as Debian's package and CI have it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Window:
    """A page and its complaints: errors, violations of its policy, requests to strangers.

    excused: what a stopped gateway makes a browser say is not the page's fault.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.excused: tuple[str, ...] = ()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("request", lambda request: self._asked(request.url))

    async def open(self, token: str) -> None:
        await self.page.goto(f"{self.url}/console/")
        await self.page.fill("#token", token)
        await self.page.click("#login-form button")

    async def tab(self, name: str) -> None:
        await self.page.click(f"#tab-{name}")
        await self.page.wait_for_selector(f"#tab-{name}[aria-selected=true]")

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(each in text for each in self.excused):
            self.complaints.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        if not url.startswith(f"{self.url}/"):
            self.complaints.append(f"asked {url}")


@asynccontextmanager
async def window(
    url: str, *, width: int = 1360, height: int = 900, dark: bool = False
) -> AsyncIterator[Window]:
    """A fresh window on the gateway at `url`, not yet on any page."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox"]
        )
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        try:
            yield Window(await context.new_page(), url)
        finally:
            await browser.close()
