"""What a scan alone says against rewriting a channel, in any language."""

from __future__ import annotations

from realtime_hub.migrate.model import LeftError
from realtime_hub.scan.model import CHANGES, Channel, Cleanup, Style


def judge(channel: Channel) -> None:
    """Raises LeftError for what no rewriting could be right for."""
    reason = ""
    kinds = {binding.kind for binding in channel.bindings}
    dynamic = next((b for b in channel.bindings if not b.proven), None)
    other = next((b for b in channel.bindings if b.file != channel.file), None)
    closed = next((c for c in channel.closings if c.file != channel.file), None)
    if channel.shared:
        reason = "it belongs to a hub of the project's own"
    elif channel.style is not Style.CHANNEL:
        reason = {
            Style.V1: "it is written for supabase-js 1",
            Style.RAW: "it is joined by frames written by hand",
        }.get(channel.style, "it is a stream")
    elif kinds - {CHANGES}:
        reason = f"it also uses {min(kinds - {CHANGES})}"
    elif other is not None:
        reason = f"it is bound in another file ({other.file}:{other.line})"
    elif dynamic is not None:
        names = " and ".join(name for name in dynamic.unresolved if name != "filter")
        reason = f"its {names} is known only when it runs (line {dynamic.line})"
    elif closed is not None:
        reason = f"it is closed in another file ({closed.file}:{closed.line})"
    elif channel.cleanup is Cleanup.ALL:
        reason = "it is closed with all channels; hub.cleanup() may take its place"
    if reason:
        raise LeftError(reason)
