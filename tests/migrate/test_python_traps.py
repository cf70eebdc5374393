"""Programs of Python whose rewriting would break them, each left with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.migrate.folders import made, migrated

BOUND = 'c.channel("a").on_postgres_changes("INSERT", h, table="a")'
OPENED = f"await {BOUND}.subscribe()"
KEEPING = f"class A:\n    async def go(self, c, h):\n        self._ch = {OPENED}\n"
ENDING = "    async def end(self):\n        await self._ch.unsubscribe()\n"

TRAPS = {
    "an attribute that getattr goes by": (
        KEEPING + '    def has(self):\n        return hasattr(self, "_ch")\n' + ENDING,
        "_ch is also named in a string (line 5)",
    ),
    "an attribute among slots": (
        KEEPING.replace("    async", '    __slots__ = ("_ch",)\n    async') + ENDING,
        "_ch is also named in a string (line 2)",
    ),
    "rows that are read between binding and opening": (
        f"async def go(c, h, load):\n    ch = {BOUND}\n    rows = await load()\n"
        "    await ch.subscribe()\n    print(rows)\n",
        "other things are done before it is subscribed (line 3)",
    ),
    "a filter's value that changes before the opening": (
        "async def go(c, h, x):\n"
        f"    ch = {BOUND[:-1]}, filter=f'id=eq.{{x}}')\n    x = 2\n    await ch.subscribe()\n",
        "other things are done before it is subscribed (line 3)",
    ),
    "a channel that is asked for before it is bound": (
        "async def go(c, h):\n    ch = c.channel('a')\n    if ch is None:\n        return\n"
        "    ch.on_postgres_changes('INSERT', h, table='a')\n    await ch.subscribe()\n",
        "other things are done before it is subscribed (line 3)",
    ),
    "a channel that is closed even if it could not be opened": (
        f"async def go(c, h):\n    try:\n        ch = {BOUND}\n        await ch.subscribe()\n"
        "    finally:\n        await ch.unsubscribe()\n",
        "it is closed even if it was not subscribed (line 6)",
    ),
    "columns that are chosen": (
        f"async def go(c, h):\n    {OPENED.replace('table=', 'select=[], table=')}\n",
        "it selects columns, and a hub may hand over more",
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_program_that_would_break_is_left(tmp_path: Path, trap: str) -> None:
    text, reason = TRAPS[trap]
    made(tmp_path, {"a.py": text})
    assert reasons(tmp_path) == [reason]


@pytest.mark.parametrize("use", ["self._ch is not None", "await self._ch.unsubscribe()"])
def test_an_attribute_that_a_subclass_elsewhere_uses_is_left(tmp_path: Path, use: str) -> None:
    other = f"from a import A\n\nclass B(A):\n    async def on(self):\n        {use}\n"
    made(tmp_path, {"a.py": KEEPING + ENDING, "b.py": other})
    (reason,) = reasons(tmp_path)
    assert reason == "self._ch may be used by other files"


def test_an_attribute_of_another_class_with_the_same_name_holds_nothing_up(tmp_path: Path) -> None:
    other = "class Other:\n    def on(self):\n        return self._ch is None\n"
    made(tmp_path, {"a.py": KEEPING + ENDING, "b.py": other})
    assert reasons(tmp_path) == []


@pytest.mark.parametrize("file", ["app/realtime.py", "app/realtime/__init__.py", "realtime.py"])
def test_the_hubs_own_module_does_not_import_itself(tmp_path: Path, file: str) -> None:
    made(tmp_path, {file: f"async def go(c, h):\n    {OPENED}\n"})
    assert reasons(tmp_path) == ["it stands in the hub's own module"]


def test_channels_that_are_opened_together_become_subscriptions(tmp_path: Path) -> None:
    text = (
        f"async def go(c, h):\n    a = {BOUND}\n    b = {BOUND}\n"
        "    await a.subscribe()\n    await b.subscribe()\n"
        "    await a.unsubscribe()\n    await b.unsubscribe()\n"
    )
    assert reasons(made(tmp_path, {"a.py": text})) == []


def test_only_what_a_file_goes_on_to_use_is_imported(tmp_path: Path) -> None:
    text = (
        "from realtime import AsyncRealtimeChannel\n\nasync def go(c, h):\n"
        f"    ch: AsyncRealtimeChannel = {OPENED}\n    await ch.unsubscribe()\n"
    )
    (change,) = migrated(made(tmp_path, {"a.py": text})).changes
    imports = [line for line in change.after.splitlines() if "import" in line]
    assert imports == ["from app.realtime import hub", "from realtime_hub import payloads"]


def test_a_loop_over_subscriptions_takes_no_name_that_is_there(tmp_path: Path) -> None:
    taken = "stop, unsubscribe, stop_listening, unsubscribe_from_it"
    several = OPENED.replace(".subscribe", ".on_postgres_changes('DELETE', h, table='b').subscribe")
    text = f"async def go(c, h, {taken}):\n    ch = {several}\n    await ch.unsubscribe()\n"
    (change,) = migrated(made(tmp_path, {"a.py": text})).changes
    assert "for stop_2 in unsubscribes_ch:\n        stop_2()\n" in change.after


@pytest.mark.parametrize("odd", ["\u2028", "\x85", "\x1c", "\x0b", "\f"])
def test_what_only_looks_like_the_end_of_a_line_moves_nothing(tmp_path: Path, odd: str) -> None:
    text = f"# {odd}\nasync def go(c, h):\n    x = '{odd}'\n    {OPENED}\n    print(x)\n"
    (change,) = migrated(made(tmp_path, {"a.py": text})).changes
    subscribed = 'await hub.subscribe("a", "INSERT", payloads(h))'
    assert change.after.endswith(text.replace(OPENED, subscribed).partition("\n")[2])


def reasons(folder: Path) -> list[str]:
    """Why channels are left; none of them is rewritten if one is."""
    found = migrated(folder)
    assert bool(found.left) != bool(found.changes)
    return [each.reason for each in found.left]
