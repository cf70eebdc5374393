"""Two windows as two users: each sees what the rules allow, and what the other does."""

from __future__ import annotations

from playwright.async_api import expect

from realtime_hub.demo.load import person
from tests.demo.browser import AGENT, SUPERVISOR, Demo
from tests.demo.conftest import Windows

OTHER_AGENT = "agente2"
CHANNELS = 5
"""One for each table that the page listens to."""


async def test_an_agent_sees_a_part_of_what_a_supervisor_sees(
    running: Demo, windows: Windows
) -> None:
    supervisor = (await windows(running, SUPERVISOR)).page
    agent = (await windows(running, AGENT)).page
    for call, coordination in ((800000201, 1), (800000202, 2)):
        running.execute(
            "insert into llamadas_ventas (call_id, prospecto_id, coordinacion_id, estado, tipo)"
            f" values ({call}, {coordination}, {coordination}, 'activa', 'caso {coordination}')"
        )
    await expect(supervisor.locator(".card", has_text="caso")).to_have_count(2)
    await expect(agent.locator(".card", has_text="caso 1")).to_have_count(1)
    await expect(agent.locator(".card", has_text="caso 2")).to_have_count(0)
    # What is read is bound by the same rules as what comes live.
    await agent.reload()
    await expect(agent.locator(".card", has_text="caso 1")).to_have_count(1)
    await expect(agent.locator(".card", has_text="caso 2")).to_have_count(0)
    running.execute(
        "update llamadas_ventas set estado = 'fallida', updated_at = now() where tipo like 'caso%'"
    )


async def test_what_one_writes_the_other_reads_at_once(running: Demo, windows: Windows) -> None:
    conversation = person("conversacion", 5)  # of the first coordination
    running.execute(
        "update conversaciones_whatsapp set updated_at = now() + interval '1 hour'"
        f" where id = '{conversation}'"
    )
    name = running.value("select nombre from prospectos where id = 5")
    pages = [(await windows(running, who)).page for who in (SUPERVISOR, AGENT)]
    for page in pages:
        await page.locator("#chat-list button", has_text=name).click()
        await expect(page.locator("#chat-title")).to_contain_text(name)
    await pages[1].get_by_label("Your answer").fill("¡Le marco enseguida!")
    await pages[1].keyboard.press("Enter")
    for page in pages:
        said = page.locator("#chat-messages .ours", has_text="¡Le marco enseguida!")
        await expect(said).to_have_count(1)
        await expect(said).to_contain_text("Ana Ríos")


async def test_a_new_prospect_is_taken_from_all_lists(running: Demo, windows: Windows) -> None:
    supervisor = (await windows(running, SUPERVISOR)).page
    agent = (await windows(running, AGENT)).page
    running.execute(
        "insert into prospectos (id, nombre, etapa, coordinacion_id, requiere_atencion)"
        " values (800000301, 'Nuevo de verdad', 'Nuevo', 1, true)"
    )
    for page in (supervisor, agent):
        await expect(page.locator("#new-list", has_text="Nuevo de verdad")).to_have_count(1)
    await agent.get_by_role("button", name="Contacted: Nuevo de verdad").click()
    for page in (supervisor, agent):
        await expect(page.locator("#new-list", has_text="Nuevo de verdad")).to_have_count(0)


async def test_logging_out_leaves_no_channel_and_no_row(running: Demo, windows: Windows) -> None:
    window = await windows(running, AGENT)
    page = window.page
    await expect(page.locator("#prospect-rows tr").first).to_be_visible()
    topics: list[str] = []
    window.sent(lambda frame: topics.append(frame) if "phx_leave" in frame else None)
    await page.get_by_role("button", name="Log out").click()
    await expect(page.locator("#welcome")).to_be_visible()
    assert len(topics) == CHANNELS
    assert await window.count("#app .card, #app .row, #prospect-rows tr, .bubbles li") == 0
    # The same window is then another's.
    await window.sign_in(OTHER_AGENT)
    await expect(page.locator("#me-name")).to_have_text("Bruno Salas")
    await expect(page.locator("#prospect-rows tr").first).to_be_visible()
    cities = running.value(
        "select string_agg(distinct ciudad, ',') from prospectos where coordinacion_id = 2"
    )
    shown = await page.locator("#prospect-rows small").all_inner_texts()
    assert {text.split(" · ")[0] for text in shown} <= set(cities.split(","))


async def test_a_window_stays_its_user_when_it_is_loaded_again(
    running: Demo, windows: Windows
) -> None:
    window = await windows(running, AGENT)
    await window.page.reload()
    await window.live()
    await expect(window.page.locator("#me-name")).to_have_text("Ana Ríos")


async def test_two_windows_of_one_browser_are_two_users(running: Demo, windows: Windows) -> None:
    window = await windows(running, AGENT)
    other = await window.context.new_page()
    await other.goto(running.url)
    await other.click(f'[data-email="{OTHER_AGENT}@centro.example"]')
    await expect(other.locator("#me-name")).to_have_text("Bruno Salas")
    await other.get_by_role("button", name="Log out").click()
    await expect(other.locator("#welcome")).to_be_visible()
    await expect(window.page.locator("#me-name")).to_have_text("Ana Ríos")
    await window.live()
