"""The page's reads and writes: who may, what is refused, and what it says."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import psycopg
import pytest

from realtime_hub.demo.api import MAX_WRITES
from realtime_hub.demo.load import person
from tests.demo.browser import AGENT, SUPERVISOR, Demo

OTHER_AGENT = "agente2"  # of another coordination
CONVERSATION = person("conversacion", 1)  # of the first agent's
Answer = tuple[int, Any]


@pytest.fixture(scope="module")
def tokens(running: Demo) -> dict[str, str]:
    return {who: running.token(who) for who in (SUPERVISOR, AGENT, OTHER_AGENT)}


def ask(
    demo: Demo,
    path: str,
    token: str | None = None,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"{demo.url}{path}", data, headers or {})
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def test_nobody_reads_without_a_token(running: Demo) -> None:
    for path in ("/demo/api/state", "/demo/api/calls/1", "/demo/api/figures", "/auth/v1/user"):
        for token in (None, "x", f"{running.token(AGENT)[:-4]}AAAA"):
            status, said = ask(running, path, token)
            assert (status, said["code"]) == (401, "NotSignedIn")


def test_the_anonymous_key_reads_nothing(running: Demo) -> None:
    key = running.json("/demo/api/config")["key"]
    assert ask(running, "/demo/api/state", key)[0] == 401


def test_a_wrong_password_or_refresh_token_signs_nobody_in(running: Demo) -> None:
    wrong = {"email": f"{AGENT}@centro.example", "password": "x"}
    path = "/auth/v1/token?grant_type="
    assert ask(running, f"{path}password", None, wrong)[1]["error_code"] == "invalid_credentials"
    stale = {"refresh_token": "x"}
    status, said = ask(running, f"{path}refresh_token", None, stale)
    assert (status, said["error_code"]) == (400, "refresh_token_not_found")
    assert ask(running, f"{path}magic", None, stale)[1]["error_code"] == "validation_failed"


def test_a_refresh_token_is_good_once_and_not_after_the_log_out(running: Demo) -> None:
    path = "/auth/v1/token?grant_type="
    signed = {"email": f"{OTHER_AGENT}@centro.example", "password": "demo"}
    _, first = ask(running, f"{path}password", None, signed)
    _, second = ask(running, f"{path}refresh_token", None, first)
    assert ask(running, f"{path}refresh_token", None, first)[0] == 400
    assert ask(running, "/auth/v1/logout", second["access_token"], {"scope": "x"})[0] == 204
    assert ask(running, f"{path}refresh_token", None, second)[0] == 400


def test_rows_of_others_are_not_there(running: Demo, tokens: dict[str, str]) -> None:
    path = f"/demo/api/conversations/{CONVERSATION}"
    assert ask(running, path, tokens[AGENT])[1]["conversation"]["prospecto_id"] == 1
    assert ask(running, path, tokens[OTHER_AGENT])[1] == {"conversation": None, "messages": []}
    for write, body in (
        (f"{path}/messages", {"text": "hola"}),
        ("/demo/api/prospects/1/stage", {"stage": "Ganado"}),
        ("/demo/api/scheduled", {"prospect": 1, "minutes": 5, "reason": "x"}),
    ):
        status, said = ask(running, write, tokens[OTHER_AGENT], body)
        assert (status, said["code"]) == (404, "NotFound")


def test_a_message_is_written_as_the_user_who_sends_it(
    running: Demo, tokens: dict[str, str]
) -> None:
    text = "¿Sigue en pie? <b>'; drop table prospectos; --"
    path = f"/demo/api/conversations/{CONVERSATION}"
    status, said = ask(running, f"{path}/messages", tokens[AGENT], {"text": text})
    assert status == 201
    found = running.value(
        "select mensaje || ' ' || direccion || ' ' || enviado_por from mensajes_whatsapp"
        f" where id = {said['id']}"
    )
    assert found == f"{text} saliente {person('agente', 1)}"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/demo/api/calls/x", None),
        ("/demo/api/calls/1e3", None),
        ("/demo/api/calls/99999999999999999999", None),
        ("/demo/api/calls/%D9%A1", None),
        ("/demo/api/conversations/1", None),
        (f"/demo/api/conversations/{CONVERSATION}/messages", {"text": ""}),
        (f"/demo/api/conversations/{CONVERSATION}/messages", {"text": " "}),
        (f"/demo/api/conversations/{CONVERSATION}/messages", {"text": "x" * 501}),
        (f"/demo/api/conversations/{CONVERSATION}/messages", {"text": "a\0b"}),
        (f"/demo/api/conversations/{CONVERSATION}/messages", {"text": 7}),
        (f"/demo/api/conversations/{CONVERSATION}/messages", [1]),
        (f"/demo/api/conversations/{CONVERSATION}/messages", b"{"),
        ("/demo/api/scheduled", {"prospect": 1, "minutes": 0, "reason": "x"}),
        ("/demo/api/scheduled", {"prospect": 1, "minutes": True, "reason": "x"}),
        ("/demo/api/scheduled", {"prospect": 1, "minutes": 10**9, "reason": "x"}),
        ("/demo/api/prospects/1/stage", {"stage": "Perdido"}),
        ("/demo/api/gateway", {"running": "no"}),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    running: Demo, path: str, body: object
) -> None:
    status, said = ask(running, path, running.token("supervisor2"), body)
    assert (status, said["code"]) == (400, "InvalidRequest")
    assert said["message"]


def test_a_large_body_is_not_read(running: Demo, tokens: dict[str, str]) -> None:
    path = f"/demo/api/conversations/{CONVERSATION}/messages"
    status, said = ask(running, path, tokens[SUPERVISOR], {"text": "x" * 5_000})
    assert (status, said["code"]) == (413, "TooLarge")


def test_one_user_writes_so_much_and_no_more(running: Demo, tokens: dict[str, str]) -> None:
    path = "/demo/api/prospects/1/stage"
    busy = running.token("agente12")  # whom no other test needs
    for _ in range(MAX_WRITES):
        ask(running, path, busy, {"stage": "Nuevo"})
    status, said = ask(running, path, busy, {"stage": "Nuevo"})
    assert (status, said["code"]) == (429, "TooManyWrites")
    assert ask(running, path, tokens[AGENT], {"stage": "Nuevo"})[0] == 201


def test_an_agent_does_not_stop_the_gateway(running: Demo, tokens: dict[str, str]) -> None:
    status, said = ask(running, "/demo/api/gateway", tokens[AGENT], {"running": False})
    assert (status, said["code"]) == (403, "NotAllowed")


def test_a_name_that_leads_here_is_not_answered(running: Demo) -> None:
    status, said = ask(running, "/", headers={"Host": f"evil.example:{running.port}"})
    assert (status, said["code"]) == (403, "WrongHost")
    assert ask(running, "/demo/api/config", headers={"Host": f"localhost:{running.port}"})[0] == 200


def test_every_answer_has_the_policy(running: Demo) -> None:
    for path in ("/", "/demo/page.js", "/metrics", "/demo/api/config"):
        assert "default-src 'none'" in running.get(path)[0]["Content-Security-Policy"]


def test_the_figures_tell_the_cpu_of_both_shares(running: Demo, tokens: dict[str, str]) -> None:
    async def later() -> tuple[Any, Any]:
        _, first = await asyncio.to_thread(ask, running, "/demo/api/figures", tokens[AGENT])
        while True:
            _, then = await asyncio.to_thread(ask, running, "/demo/api/figures", tokens[AGENT])
            before, after = first["database"], then["database"]
            if all(after[share] > before[share] for share in ("realtime", "other")):
                return first, then
            await asyncio.sleep(0.2)

    first, then = asyncio.run(asyncio.wait_for(later(), 30))
    assert then["gateway"]["running"] is True
    elapsed = then["database"]["at"] - first["database"]["at"]
    for share in ("realtime", "other"):
        assert then["database"][share] - first["database"][share] <= elapsed * 2


def test_the_state_holds_the_own_coordination_alone(running: Demo, tokens: dict[str, str]) -> None:
    _, state = ask(running, "/demo/api/state", tokens[AGENT])
    with psycopg.connect(running.dsn) as connection:
        rows = connection.execute("select id from prospectos where coordinacion_id = 1").fetchall()
    assert {prospect["id"] for prospect in state["prospects"]} <= {row[0] for row in rows}


def test_what_is_the_gateways_is_handed_on_as_it_comes(running: Demo) -> None:
    events = f"{running.url}/realtime/v1/sse?table=llamadas_ventas&apikey={running.token(AGENT)}"
    with urllib.request.urlopen(events, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.readline() == b"event: ready\n"
    status, said = ask(running, "/realtime/v1/websocket?apikey=x", headers={"Upgrade": "websocket"})
    assert status in (400, 401)
    assert "error" in said
    assert running.get("/console")[0]["Content-Type"].startswith("text/html")
