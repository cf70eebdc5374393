"""The system's Chromium, and what a page must not have done in it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page, async_playwright

VIOLATIONS = """document.addEventListener('securitypolicyviolation',
  (event) => console.error('CSP violation: ' + event.violatedDirective))"""


def chromium() -> str | None:
    """The system's browser, as Debian's package and CI have it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser of the test's own; skips the test where none is installed."""
    path = chromium()
    if path is None:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


class Watched:
    """A page and its complaints: errors, violations of its policy, requests to strangers.

    excused: what a stopped gateway makes a browser say is not the page's fault.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.excused: tuple[str, ...] = ()
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("request", lambda request: self.asked(request.url))

    def asked(self, url: str) -> None:
        if not url.startswith((f"{self.url}/", f"{self.url.replace('http', 'ws', 1)}/")):
            self.complaints.append(f"asked {url}")

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(each in text for each in self.excused):
            self.complaints.append(f"{kind}: {text}")
