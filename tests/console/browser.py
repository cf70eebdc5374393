"""The console in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.browser import VIOLATIONS, Watched, launched

PATIENCE = 60_000  # milliseconds


class Window(Watched):
    """The console's page, on which somebody logs in."""

    async def open(self, token: str) -> None:
        await self.page.goto(f"{self.url}/console/")
        await self.page.fill("#token", token)
        await self.page.click("#login-form button")

    async def tab(self, name: str) -> None:
        await self.page.click(f"#tab-{name}")
        await self.page.wait_for_selector(f"#tab-{name}[aria-selected=true]")


@asynccontextmanager
async def window(
    url: str, *, width: int = 1360, height: int = 900, dark: bool = False
) -> AsyncIterator[Window]:
    """A fresh window on the gateway at `url`, not yet on any page."""
    async with launched() as browser:
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        page = await context.new_page()
        page.set_default_timeout(PATIENCE)
        await page.add_init_script(VIOLATIONS)
        yield Window(page, url)
