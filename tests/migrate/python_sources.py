"""Python made by chance: channels in many places and layouts, with callbacks of all kinds."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.migrate.sources import Source

FILE = "a folder/listen.py"
HANDLERS = (
    "show",
    "self.show",
    'lambda payload: show(payload["data"])',
    "functools.partial(show, 1, {'a': [1, 2], \"b\": '€ 😀'})",
    "lambda p: show(\nPAD    p,  # ) kept\nPAD)",
    '(lambda p: show("""\n  )} {#\n"""))',
    "wrapped(\nPAD    show,\nPAD    )",
    "(\nPAD    show\nPAD    if show else None\nPAD)",
)
EVENTS = ('"INSERT"', "'UPDATE'", '"*"', "RealtimePostgresChangesListenEvent.Delete")
KEPT = (
    "",
    "if  a :b( )   # odd\n\n\n",
    "o = {1:[ 2,3 ] ,\n\t'x' : 4}\n",
    '# supabase.channel("old").subscribe()\ndef f( ) :return "it\'s"\n',
)
FILTERS = ("", 'filter="id=eq.1"', "filter=f'id=eq.{key}'", "filter=None", "filter=key or None")
HOLDS = ("chain", "steps", "attribute", "steps of an attribute", "global", "none", "status", "task")


@st.composite
def bindings(draw: st.DrawFn, pad: str) -> tuple[str, str]:
    """The arguments of one `on_postgres_changes`, and its callback."""
    handler = draw(st.sampled_from(HANDLERS)).replace("PAD", pad)
    table = draw(st.sampled_from(['"calls"', "'señal'", "TABLE", '"old.calls"']))
    named = [f"table={table}"]
    named += [text for text in (draw(st.sampled_from(FILTERS)),) if text]
    named += draw(st.sampled_from([[], ['schema="shop"'], ["schema='public'"], ["select=None"]]))
    event = draw(st.sampled_from(EVENTS))
    if draw(st.booleans()):
        arguments = [event, handler, *named]
    else:
        arguments = [event, *draw(st.permutations([*named, f"callback={handler}"]))]
    if draw(st.booleans()):
        return f"\n{pad}    " + f",  # what\n{pad}    ".join(arguments) + f",\n{pad}", handler
    return ", ".join(arguments), handler


@st.composite
def blocks(draw: st.DrawFn, number: int) -> tuple[str, list[str]]:
    """A function, or a class, with a channel that is held and closed in one way or another."""
    unit = draw(st.sampled_from(["    ", "\t", "  "]))
    held = draw(st.sampled_from(HOLDS))
    name = draw(st.sampled_from(["channel", "calls_channel", "sub", "unsubscribe", "hub", "x"]))
    if "attribute" in held:
        name = f"self._{name}"
    pad = unit * 2 if "attribute" in held else unit
    given = [draw(bindings(pad)) for _ in range(draw(st.integers(1, 3)))]
    gap = draw(st.sampled_from(["", f"\n{pad}{unit}", f"\n{pad}{unit}# between\n{pad}{unit}"]))
    made = f"supabase.channel(f'c{number}')"
    bound = "".join(f"{gap}.on_postgres_changes({text})" for text, _ in given)
    chain = f"await (\n{pad}{made}{bound}{gap}.subscribe()\n{pad})"
    if not gap:
        chain = f"await {made}{bound}.subscribe()"
    close = draw(st.sampled_from(["await supabase.remove_channel({})", "await {}.unsubscribe()"]))
    lines = _lines(held, name, made, chain, [text for text, _ in given], close.format(name), unit)
    lines.append(draw(st.sampled_from(["pass", "show()  # end", "return 1"])))
    body = "".join(f"{pad}{line}\n" for line in lines)
    head = f"async def use{number}(key, show, self=None):\n"
    if "attribute" in held:
        head = f"class Use{number}:\n{unit}{head.replace('(key, show, self=None)', '(self, key)')}"
    return head + body, [handler for _, handler in given]


def _lines(
    held: str, name: str, made: str, chain: str, given: list[str], close: str, unit: str
) -> list[str]:
    match held:
        case "steps" | "steps of an attribute":
            steps = [f"{name}.on_postgres_changes({text})" for text in given]
            return [f"{name} = {made}  # made", *steps, f"await {name}.subscribe()", close]
        case "global":
            return [f"global {name}", f"{name} = {chain}", f"if {name} is not None:", unit + close]
        case "none":
            return [chain]
        case "status":
            steps = [f"{name}.on_postgres_changes({text})" for text in given]
            return [f"{name} = {made}", *steps, f"await {name}.subscribe(print)", close]
        case "task":
            return [f"{name} = asyncio.create_task({chain.removeprefix('await ')})", close]
    return [f"{name} = {chain}", "try:", f"{unit}show()", "finally:", unit + close]


@st.composite
def python_sources(draw: st.DrawFn) -> Source:
    """A whole file."""
    parts = [draw(blocks(number)) for number in range(draw(st.integers(1, 3)))]
    kept = [draw(st.sampled_from(KEPT)) for _ in parts]
    head = draw(
        st.sampled_from(["", "# a file\n", '"""A file."""\n\n', "#!/usr/bin/env python3\n"])
    )
    imports = draw(
        st.sampled_from(
            [
                "from app.client import supabase\n",
                "import asyncio\nfrom realtime import (\n"
                "    RealtimePostgresChangesListenEvent,  # kinds\n    Channel,\n)\n",
                "from app.realtime import hub\nimport functools, asyncio\n",
                "",
            ]
        )
    )
    text = f"{head}{imports}TABLE = 'jobs'\n\n" + "\n".join(
        text + odd for (text, _), odd in zip(parts, kept, strict=True)
    )
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    handlers = [handler for _, some in parts for handler in some]
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
        handlers = [each.replace("\n", "\r\n") for each in handlers]
        kept = [each.replace("\n", "\r\n") for each in kept]
    if draw(st.booleans()):
        text = "\ufeff" + text
    return Source(text, tuple(handlers), tuple(kept), FILE)
