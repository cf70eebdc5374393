"""Lists that move while somebody points at them."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Browser, expect

DOM = Path(__file__).parents[2] / "web" / "src" / "dom.js"

PAGE = """
import { frame, h, keyed } from '/dom.js'

const list = document.getElementById('list')
let order = [1, 2, 3]
const make = (key) =>
  h('li', {}, h('button', { onclick: () => (window.clicked = key) }, String(key)))
const draw = frame(() => keyed(list, order, (key) => key, make, () => {}))
window.turn = () => {
  order = [...order].reverse()
  draw()
}
window.frames = async (count) => {
  for (let n = 0; n < count; n++) await new Promise(requestAnimationFrame)
}
draw()
"""


async def test_a_list_that_is_to_move_waits_until_what_is_pressed_is_let_go(
    browser: Browser,
) -> None:
    page = await browser.new_page()
    served = {
        "/": ("text/html", "<ul id=list></ul><script type=module src=/page.js></script>"),
        "/page.js": ("text/javascript", PAGE),
        "/dom.js": ("text/javascript", DOM.read_text()),
    }
    for path, (kind, body) in served.items():
        await page.route(
            f"http://page.test{path}",
            lambda route, *, kind=kind, body=body: route.fulfill(content_type=kind, body=body),
        )
    await page.goto("http://page.test/")
    items = page.locator("li")
    await expect(items).to_have_text(["1", "2", "3"])
    await page.get_by_text("3").hover()
    await page.mouse.down()
    await page.evaluate("turn(); frames(3)")
    assert await items.all_text_contents() == ["1", "2", "3"]
    await page.mouse.up()
    assert await page.evaluate("clicked") == 3
    await expect(items).to_have_text(["3", "2", "1"])
