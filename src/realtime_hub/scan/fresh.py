"""Whether a channel's name is another each time that it is made."""

from __future__ import annotations

import re
from typing import Final

from realtime_hub.scan.bound import Value
from realtime_hub.scan.syntax import Call, Lambda, Template
from realtime_hub.scan.values import Values

_MAKERS: Final = re.compile(
    r"\b(?:Date\.now|Math\.random|performance\.now|uuid\w*|v[147]|randomUUID|nanoid|useId|cuid\w*"
    r"|ulid|getTime|random\w*|token_hex|uniqueId|time|time_ns|hex|monotonic|createId"
    r"|DateTime\.now|getRandomValues|randomBytes|nextInt|utcnow|UniqueKey)$"
)
_DATES: Final = frozenset({"Date", "DateTime", "Uuid"})
_DEPTH: Final = 8


def made_anew(values: Values, name: Value, depth: int = _DEPTH) -> bool:
    """It hangs on the clock, on chance, or on an id made for each mount."""
    if depth == 0:
        return False
    for each in values.reduce(name):
        match each.expr:
            case Template(parts=parts):
                if any(made_anew(values, each.of(part), depth - 1) for part in parts):
                    return True
            case Call() as call:
                if _makes(each, call) or _within(values, each, call, depth):
                    return True
            case _:
                # `DateTime.now().millisecondsSinceEpoch`, `uuid.uuid4().hex`
                owner = getattr(each.expr, "object", None)
                if owner is not None and made_anew(values, each.of(owner), depth - 1):
                    return True
    return False


def _makes(value: Value, call: Call) -> bool:
    if call.new:
        return call.method in _DATES
    called = value.module.code(call.function).replace(" ", "").replace("?.", ".")
    return bool(_MAKERS.search(called)) or (call.method == "now")


def _within(values: Values, value: Value, call: Call, depth: int) -> bool:
    """`Date.now().toString()`, `String(Math.random())`, `useRef(nanoid())`."""
    inner = [each for each in (call.receiver, *call.arguments) if each is not None]
    for each in inner:
        if isinstance(each, Lambda):
            returned = value.module.functions[each.function].returns
            if any(made_anew(values, value.of(one), depth - 1) for one in returned):
                return True
        elif made_anew(values, value.of(each), depth - 1):
            return True
    return False
