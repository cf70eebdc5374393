"""Source code made by chance: channels in many places and layouts, with handlers of all kinds."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

HANDLERS = (
    "show",
    "(payload) => show(payload.new)",
    "async ({ new: row }) => {\nPAD  await save(row)EOL\nPAD  // }) kept\nPAD}",
    "function (change) { return `${change.new.id})`; }",
    "(p) => {\n      const q = p.new;\n\n\tshow(q, ')', \"}\", /[)}]/)\nPAD}",
    "this_is.handler.bind(null, { a: [1, 2], b: '€ 😀' })",
    "wrapped(\nPAD    (payload) => show(payload),\nPAD  )",
)
EVENTS = ("INSERT", "UPDATE", "DELETE", "*")
KEPT = (
    "",
    "if( a ){b( )}   // odd\n\n\n",
    "const  o = {x:1,\n\ty : [ 2,3 ] ,};\n",
    "// supabase.channel('old').subscribe()\nfunction f(){return \"it's\"}\n",
)
FILTERS = ("", "'id=eq.1'", "`id=eq.${id}`", "id ? `id=eq.${id}` : undefined", '"name=in.(a,b)"')
HOLDS = ("const", "let", "ref", "none", "steps", "status", "presence", "returned", "shared")


@dataclass(frozen=True)
class Source:
    """text: of a file. handlers, kept: parts of it that stay as they are. file: its path."""

    text: str
    handlers: tuple[str, ...]
    kept: tuple[str, ...]
    file: str = "a folder/use calls.js"


@st.composite
def bindings(draw: st.DrawFn, pad: str, eol: str) -> tuple[str, str]:
    """The arguments of one `.on(...)`, and its handler."""
    handler = draw(st.sampled_from(HANDLERS)).replace("PAD", pad).replace("EOL", eol)
    quote = draw(st.sampled_from("'\""))
    table = draw(st.sampled_from([f"{quote}calls{quote}", "TABLE", f"{quote}señal{quote}"]))
    fields = [
        f"event: {quote}{draw(st.sampled_from(EVENTS))}{quote}",
        f"schema: {quote}{draw(st.sampled_from(['public', 'shop']))}{quote}",
        f"table: {table}",
    ]
    narrowed = draw(st.sampled_from(FILTERS))
    fields += [f"filter: {narrowed}"] if narrowed else []
    options = draw(
        st.sampled_from(
            [
                "{ " + ", ".join(fields) + " }",
                "{" + ",".join(draw(st.permutations(fields))) + "}",
                "{\n" + "".join(f"{pad}  {each},\n" for each in fields) + pad + "}",
                "{ // what\n" + "".join(f"{pad}  {each},\n" for each in fields) + pad + "}",
            ]
        )
    )
    kind = f"{quote}postgres_changes{quote}"
    around = draw(
        st.sampled_from(
            [
                f"{kind}, {options}, {handler}",
                f"\n{pad}  {kind},\n{pad}  {options},\n{pad}  {handler},\n{pad}",
                f"\n{pad}  {kind}, {options},\n{pad}  {handler}\n{pad}",
            ]
        )
    )
    return around, handler


@st.composite
def blocks(draw: st.DrawFn, number: int) -> tuple[str, list[str]]:
    """A function with a channel that is held and closed in one way or another."""
    eol = draw(st.sampled_from(["", ";"]))
    unit = draw(st.sampled_from(["  ", "\t", "    "]))
    many_lines = draw(st.booleans())
    held = draw(st.sampled_from(HOLDS))
    pad = unit * 2 if many_lines else unit
    given = [draw(bindings(pad, eol)) for _ in range(draw(st.integers(1, 3)))]
    gap = f"\n{pad}" if many_lines else ""
    comment = draw(st.sampled_from(["", f"{gap}// between" if gap else "", " /* between */"]))
    name = draw(st.sampled_from(["channel", "callsChannel", "sub", "unsubscribe", "hub", "x"]))
    bound = "".join(f"{gap}.on({text})" for text, _ in given)
    made = f"supabase{gap}.channel('c' + {number})"
    chain = f"{made}{comment}{bound}{gap}.subscribe()"
    close = draw(
        st.sampled_from(["supabase.removeChannel({})", "{}.unsubscribe()", "{}?.unsubscribe()"])
    )
    lines = _lines(held, name, made, chain, bound, given, close)
    body = "".join(f"{unit}{line}{eol}\n" for line in lines)
    tail = draw(st.sampled_from(["", " // end", "  "]))
    return f"function use{number}(id, show) {{{tail}\n{body}}}\n", [h for _, h in given]


def _lines(
    held: str,
    name: str,
    made: str,
    chain: str,
    bound: str,
    given: list[tuple[str, str]],
    close: str,
) -> list[str]:
    ending = f"return () => {{ {close.format(name)} }}"
    match held:
        case "let":
            guarded = f"return () => {{ if ({name}) {{ {close.format(name)}; {name} = null }} }}"
            return [f"let {name} = null", f"{name} = {chain}", guarded]
        case "ref":
            box = f"const {name}Ref = useRef(null)"
            return [
                box,
                f"{name}Ref.current = {chain}",
                f"return () => {close.format(name + 'Ref.current')}",
            ]
        case "none":
            return [chain]
        case "steps":
            steps = [f"{name}.on({text})" for text, _ in given]
            return [f"const {name} = {made}", *steps, f"{name}.subscribe()", ending]
        case "status":
            said = chain.removesuffix("()") + "((status) => show(status))"
            return [f"const {name} = {said}", ending]
        case "presence":
            seen = chain.replace(bound, bound + ".on('presence', { event: 'sync' }, show)", 1)
            return [f"const {name} = {seen}", ending]
        case "returned":
            return [f"return {chain}"]
        case "shared":
            return [f"const {name} = {chain}", f"show({name})", ending]
    return [f"const {name} = {chain}", ending]


@st.composite
def sources(draw: st.DrawFn) -> Source:
    """A whole file."""
    parts = [draw(blocks(number)) for number in range(draw(st.integers(1, 3)))]
    kept = [draw(st.sampled_from(KEPT)) for _ in parts]
    client = draw(st.sampled_from(["'./supabase'", '"./supabase";']))
    head = draw(st.sampled_from(["", "// a file\n", "'use client'\n\n", "#!/usr/bin/env node\n"]))
    others = draw(st.sampled_from(["", "import { hub } from './wheel'\n", "const hub = 1\n"]))
    remark = draw(st.sampled_from(["", "// channel\n"]))
    text = (
        f"{head}import {{ supabase }} from {client}\n{others}"
        f"const TABLE = 'jobs'\n\n{remark}"
        + "\n".join(text + odd for (text, _), odd in zip(parts, kept, strict=True))
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
    return Source(text, tuple(handlers), tuple(kept))
