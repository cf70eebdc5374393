"""How far the stream has told of what was written, and whether it still does."""

from __future__ import annotations

import math
from typing import Final

from realtime_hub.auth.reads import Reads
from realtime_hub.changes import Change
from realtime_hub.hub.ports import Batch

_SILENCE_SECONDS: Final = 15.0
"""After which a stream that said nothing may be gone."""


class Following:
    """patience: seconds for which what the stream does not tell of need not be looked at.
    looked_at: `loop.time()` before it was looked at last."""

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self._heard_at = -math.inf
        self._epoch = self._whole = 0
        self.looked_at = -math.inf

    def begins(self, batch: Batch, now: float) -> bool:
        """Take note of a batch; whether the stream begins with it, perhaps after a gap."""
        self._heard_at = now
        if not batch.changes and not batch.confirmable:
            self._epoch = self._whole = 0
            return True
        if batch.changes:
            self._epoch = batch.changes[-1].position.epoch
        self._whole = batch.confirmable or self._whole
        return False

    def covers(self, reads: Reads | None, change: Change, now: float) -> bool:
        """Whether the stream has told of every write to these tables up to the end of the
        change's transaction: a row may come before what its own transaction writes later."""
        if reads is None or not reads.followed:
            return False
        if now - self._heard_at > _SILENCE_SECONDS or now - self.looked_at > self._patience:
            return False
        position = change.position
        return position.epoch == self._epoch and position.lsn < self._whole
