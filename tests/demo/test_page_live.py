"""The page as somebody watches it: everything moves by itself, whichever way it listens."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.demo.browser import AGENT, SUPERVISOR, Demo
from tests.demo.conftest import Windows

LIST = "#chat-list button"


# All cells at one moment: between two of them the page may begin to count anew.
FIGURES = """mode => {
  const row = document.querySelector(`.compare tr[data-mode=${mode}][data-current]`)
  const found = [...(row?.cells ?? [])].slice(1, 5).map((cell) => Number(cell.innerText))
  const [channels, joins, messages, checks] = found
  return channels > 0 && joins >= 0 && messages > 0 && checks > 0 ? found : null
}"""


async def figures(page: Page, mode: str) -> list[int]:
    """Channels, joins, messages and checks a minute, once there are all of them."""
    found: list[int] = await (await page.wait_for_function(FIGURES, arg=mode)).json_value()
    return found


async def test_a_call_appears_moves_on_and_leaves(running: Demo, windows: Windows) -> None:
    page = (await windows(running, SUPERVISOR)).page
    running.execute(
        "insert into llamadas_ventas (call_id, prospecto_id, coordinacion_id, estado)"
        " values (800000001, 7, 3, 'en_cola')"
    )
    name = running.value("select nombre from prospectos where id = 7")
    queued = page.locator("[data-state=en_cola] .card", has_text=name)
    active = page.locator("[data-state=activa] .card", has_text=name)
    await expect(queued).to_have_count(1)
    before = await queued.locator(".clock").inner_text()
    await expect(queued.locator(".clock")).not_to_have_text(before)
    update = (
        "update llamadas_ventas set estado = '{}', updated_at = now() where call_id = 800000001"
    )
    running.execute(update.format("activa"))
    await expect(queued).to_have_count(0)
    await expect(active).to_have_count(1)
    running.execute(update.format("finalizada"))
    await expect(active).to_have_count(0)


async def test_a_call_shows_its_conversation_as_it_happens(running: Demo, windows: Windows) -> None:
    page = (await windows(running, SUPERVISOR)).page
    running.execute(
        "insert into llamadas_ventas (call_id, prospecto_id, coordinacion_id, estado, datos)"
        " values (800000002, 8, 4, 'activa', '{}')"
    )
    name = running.value("select nombre from prospectos where id = 8")
    await page.locator(".card", has_text=name).click()
    await expect(page.locator("#detail-title")).to_have_text(name)
    running.execute(
        "update llamadas_ventas set checkpoint = 'cierre', updated_at = now(), datos ="
        """ '{"turnos": [{"rol": "prospecto", "texto": "¿Y los <i>niños</i>?"}]}'"""
        " where call_id = 800000002"
    )
    talk = page.locator("#detail-talk li", has_text="¿Y los <i>niños</i>?")
    await expect(talk).to_have_count(1)
    await expect(page.locator("#detail-body")).to_contain_text("cierre")
    await page.keyboard.press("Escape")
    await expect(page.locator("#detail")).not_to_be_visible()
    running.execute(
        "update llamadas_ventas set estado = 'finalizada', updated_at = now()"
        " where call_id = 800000002"
    )


async def test_the_hub_needs_fewer_channels_joins_and_messages(
    running: Demo, windows: Windows
) -> None:
    page = (await windows(running, SUPERVISOR)).page
    # A call and a chat are open, as they are at work.
    await page.locator(LIST).first.click()
    await page.locator(".card").first.click()
    await page.keyboard.press("Escape")
    with_hub = await figures(page, "hub")
    await page.get_by_role("radio", name="Direct channels").check()
    with_channels = await figures(page, "direct")
    assert with_hub[0] == 5
    assert with_channels[0] >= 2 * with_hub[0]
    assert with_channels[1] >= 2 * 5
    await page.get_by_role("radio", name="One hub").check()
    await figures(page, "hub")
    await expect(page.locator(".compare tr[data-mode=direct] td").first).to_have_text(
        str(with_channels[0])
    )


@pytest.mark.slow
async def test_both_ways_show_the_same_calls(running: Demo, windows: Windows) -> None:
    direct = (await windows(running, SUPERVISOR)).page
    hub = (await windows(running, SUPERVISOR)).page
    await direct.get_by_role("radio", name="Direct channels").check()
    await expect(direct.locator("#light")).to_have_attribute("data-state", "live")
    for call in range(800000100, 800000110):
        running.execute(
            "insert into llamadas_ventas (call_id, prospecto_id, coordinacion_id, estado, tipo)"
            f" values ({call}, 9, 1, 'transferida', 'prueba {call}')"
        )
    for page in (direct, hub):
        shown = page.locator("[data-state=transferida] .card", has_text="prueba")
        await expect(shown).to_have_count(10)
    running.execute(
        "update llamadas_ventas set estado = 'finalizada', updated_at = now()"
        " where tipo like 'prueba%'"
    )
    for page in (direct, hub):
        await expect(page.locator(".card", has_text="prueba")).to_have_count(0)


async def test_text_of_strangers_is_never_markup(running: Demo, windows: Windows) -> None:
    window = await windows(running, SUPERVISOR)
    evil = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    running.execute(
        "insert into prospectos (id, nombre, ciudad, etapa, coordinacion_id, requiere_atencion)"
        f" values (800000001, '{evil}', '{evil}', 'Nuevo', 1, true)",
        "insert into llamadas_ventas (call_id, prospecto_id, coordinacion_id, estado, tipo, datos)"
        f""" values (800000003, 800000001, 1, 'activa', '{evil}', '{{"notas": ["{evil}"]}}')""",
    )
    await expect(window.page.locator(".card b", has_text=evil)).to_have_count(1)
    await expect(window.page.locator("#new-list", has_text=evil)).to_have_count(1)
    assert await window.count("main img, main script") == 0
    running.execute(
        "update llamadas_ventas set estado = 'finalizada', updated_at = now()"
        " where call_id = 800000003",
        "delete from prospectos where id = 800000001",
    )


async def test_the_sound_can_be_muted_and_stays_so(running: Demo, windows: Windows) -> None:
    page = (await windows(running, AGENT)).page
    button = page.get_by_role("button", name="Sound")
    await expect(button).to_have_attribute("aria-pressed", "true")
    await button.press("Enter")
    await expect(button).to_have_attribute("aria-pressed", "false")
    await page.reload()
    await expect(button).to_have_attribute("aria-pressed", "false")
