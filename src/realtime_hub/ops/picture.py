"""Before and after as a picture, drawn by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

from realtime_hub.errors import MissingExtraError
from realtime_hub.ops.report import Figure, shown

_BEFORE: Final = "#b45309"
_AFTER: Final = "#0f766e"


def draw(figures: Sequence[Figure], form: str) -> bytes:
    """A bar of each figure that can be compared, before as 100 %; `form` is png or svg.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        raise MissingExtraError("matplotlib", "ops") from None
    compared = [figure for figure in figures if figure.change is not None]
    # Text stays text, and the same figures give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "realtime-hub"}):
        canvas = Canvas(figsize=(9, 1.2 + 0.7 * max(len(compared), 1)), layout="constrained")
        _bars(canvas.add_subplot(), compared)
        out = io.BytesIO()
        canvas.savefig(out, format=form, dpi=144, metadata={"Date": None} if form == "svg" else {})
    return out.getvalue()


def _bars(axes: Any, figures: Sequence[Figure]) -> None:
    places = range(len(figures))
    after = [100 * (1 + (figure.change or 0.0)) for figure in figures]
    axes.barh([p - 0.2 for p in places], [100] * len(figures), 0.36, color=_BEFORE, label="before")
    axes.barh([p + 0.2 for p in places], after, 0.36, color=_AFTER, label="after")
    for place, figure, width in zip(places, figures, after, strict=True):
        axes.annotate(shown(figure.before, figure.decimals), (100, place - 0.2), va="center")
        axes.annotate(shown(figure.after, figure.decimals), (width, place + 0.2), va="center")
    names = [f"{f.name}\n{f.unit}" if f.unit else f.name for f in figures]
    axes.set_yticks(list(places), labels=names)
    axes.invert_yaxis()
    axes.set_xlabel("before = 100 %" if figures else "nothing can be compared")
    axes.spines[["top", "right"]].set_visible(False)
    if figures:
        axes.legend(loc="lower right", frameon=False)
