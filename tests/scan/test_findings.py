"""Errors in the code of channels, and the nearest code that has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_hub.scan.rules import RULES
from tests.scan.parts import scanned


def listen(filter: str = "", name: str = "'x'") -> str:
    narrowed = f", filter: {filter}" if filter else ""
    options = f"{{ event: '*', schema: 'public', table: 't'{narrowed} }}"
    return f"supabase.channel({name}).on('postgres_changes', {options}, f).subscribe()"


def effect(body: str, dependencies: str = ", []") -> str:
    return f"export function Chat() {{ useEffect(() => {{ {body} }}{dependencies}); return <p /> }}"


CLOSED = "const c = MADE; return () => { supabase.removeChannel(c) }"

WRONG = {
    "ampersand": ("RH211", effect(CLOSED.replace("MADE", listen("'a=eq.1&b=eq.2'")))),
    "word": ("RH211", effect(CLOSED.replace("MADE", listen("`a=eq.${x} and b=eq.2`")))),
    "or": ("RH211", effect(CLOSED.replace("MADE", listen("'or=(a.eq.1,b.eq.2)'")))),
    "operator": ("RH212", effect(CLOSED.replace("MADE", listen("'a=equals.1'")))),
    "comparison": ("RH212", effect(CLOSED.replace("MADE", listen("`a == ${x}`")))),
    "subselect": ("RH213", effect(CLOSED.replace("MADE", listen("'a=in.(select b from c)'")))),
    "late": (
        "RH214",
        effect(
            "const c = supabase.channel('x'); c.subscribe();"
            " c.on('broadcast', { event: 'y' }, f); return () => { c.unsubscribe() }"
        ),
    ),
    "each render": ("RH215", effect(CLOSED.replace("MADE", listen()), "")),
    "two in one": (
        "RH216",
        effect(f"let c = {listen()}; c = {listen()}; return () => {{ supabase.removeChannel(c) }}"),
    ),
    "the loop's last": (
        "RH216",
        effect(
            f"let c; for (const t of ['a', 'b']) {{ c = {listen()} }}"
            " return () => { supabase.removeChannel(c) }"
        ),
    ),
    "let go": (
        "RH217",
        effect(f"const go = async () => {{ {CLOSED.replace('MADE', listen())} }}; go()"),
    ),
    "per request": ("RH218", f"export async function GET(request) {{ {listen()} }}"),
    "per route": ("RH218", f"app.get('/live', (req, res) => {{ {listen()} }})"),
}

RIGHT = {
    "comma": effect(CLOSED.replace("MADE", listen("'a=eq.1,b=in.(1,2)'"))),
    "negated": effect(CLOSED.replace("MADE", listen("`a=not.eq.${x}`"))),
    "words in a value": effect(CLOSED.replace("MADE", listen("'a=eq.you and me'"))),
    "a filter from elsewhere": effect(CLOSED.replace("MADE", listen("props.filter"))),
    "closed in between": effect(
        f"let c = {listen()}; supabase.removeChannel(c); c = {listen()};"
        " return () => { supabase.removeChannel(c) }"
    ),
    "one of two": effect(
        f"let c; if (x) {{ c = {listen()} }} else {{ c = {listen()} }}"
        " return () => { supabase.removeChannel(c) }"
    ),
    "a list of the loop's": effect(
        f"const all = []; for (const t of ['a']) {{ const c = {listen()}; all.push(c) }}"
        " return () => { all.forEach((c) => supabase.removeChannel(c)) }"
    ),
    "kept": effect(
        f"const go = () => {{ {CLOSED.replace('MADE', listen())} }}; const stop = go();"
        " return () => { stop() }"
    ),
    "a request that closes": (
        f"export async function GET(request) {{ const c = {listen()};"
        " request.signal.addEventListener('abort', () => c.unsubscribe()) }"
    ),
}


def rules_of(folder: Path, text: str) -> set[str]:
    return {each.rule for each in scanned(folder, {"src/Chat.tsx": text}).findings}


@pytest.mark.parametrize(("rule", "text"), WRONG.values(), ids=WRONG)
def test_an_error_is_found(tmp_path: Path, rule: str, text: str) -> None:
    assert rules_of(tmp_path, text) == {rule}


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_sound_code_has_no_error(tmp_path: Path, text: str) -> None:
    assert rules_of(tmp_path, text) == set()


def test_every_rule_has_an_example() -> None:
    assert {rule for rule, _ in WRONG.values()} == set(RULES)
