"""The gateway goes and comes back: the page says so, polls meanwhile, and misses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from realtime_hub.demo.load import person
from tests.demo.browser import AGENT, SUPERVISOR, Demo, Window
from tests.demo.conftest import Windows

# What a browser says by itself when a server is not there.
AWAY = ("WebSocket connection to", "503 (Service Unavailable)", "net::ERR_INTERNET_DISCONNECTED")


@pytest.fixture
def own(home: Path) -> Iterator[Demo]:
    """A demo of the test's own, without a load: what is there is what the test writes."""
    demo = Demo(home, "--rate", "0")
    yield demo
    demo.end()


async def opened(own: Demo, windows: Windows, who: str) -> Window:
    window = await windows(own, who)
    window.excused = AWAY
    return window


@pytest.mark.parametrize("way", ["One hub", "Direct channels"])
async def test_while_the_gateway_is_away_the_page_polls_and_then_catches_up(
    own: Demo, windows: Windows, way: str
) -> None:
    supervisor = await opened(own, windows, SUPERVISOR)
    agent = await opened(own, windows, AGENT)
    conversation = person("conversacion", 5)
    name = own.value("select nombre from prospectos where id = 5")
    for window in (supervisor, agent):
        await window.page.get_by_role("radio", name=way).check()
        await window.live()
    await agent.page.locator("#chat-list button", has_text=name).click()
    await expect(agent.page.locator("#chat-title")).to_contain_text(name)

    await supervisor.page.get_by_role("button", name="Stop the gateway").click()
    for window in (supervisor, agent):
        await window.light("polling")
    own.execute(
        "insert into llamadas_ventas (call_id, prospecto_id, coordinacion_id, estado)"
        " values (1, 5, 1, 'activa'), (2, 9, 1, 'sonando')"
    )
    # Polling shows it although nothing comes live.
    await expect(agent.page.locator(".card")).to_have_count(2)

    await supervisor.page.get_by_role("button", name="Start the gateway").click()
    own.execute(
        "update llamadas_ventas set estado = 'finalizada', updated_at = now() where call_id = 2",
        *(
            "insert into mensajes_whatsapp (id, conversacion_id, prospecto_id, coordinacion_id,"
            f" direccion, mensaje) values ({n}, '{conversation}', 5, 1, 'entrante', 'mensaje {n}')"
            for n in range(1, 21)
        ),
    )
    for window in (supervisor, agent):
        await window.live()
        await expect(window.page.locator(".card")).to_have_count(1)
    messages = agent.page.locator("#chat-messages p")
    await expect(messages).to_have_text([f"mensaje {n}" for n in range(1, 21)])


async def test_what_was_written_in_many_short_absences_is_all_there(
    own: Demo, windows: Windows
) -> None:
    window = await opened(own, windows, AGENT)
    name = own.value("select nombre from prospectos where id = 5")
    await window.page.locator("#chat-list button", has_text=name).click()
    await expect(window.page.locator("#chat-title")).to_contain_text(name)
    written = []
    for absence in range(3):
        await window.context.set_offline(True)
        for n in range(5):
            written.append(f"mensaje {absence}.{n}")
            own.execute(
                "insert into mensajes_whatsapp (id, conversacion_id, prospecto_id,"
                f" coordinacion_id, direccion, mensaje) values ({len(written)},"
                f" '{person('conversacion', 5)}', 5, 1, 'entrante', '{written[-1]}')"
            )
        await window.context.set_offline(False)
    await expect(window.page.locator("#chat-messages p")).to_have_text(written)
