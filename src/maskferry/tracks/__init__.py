"""The result of a run: RLE masks, scores, states, the frame table; and what a run keeps beside them to be resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.tracks._jobs import ENDLESS as ENDLESS
    from maskferry.tracks._jobs import FrameRange as FrameRange
    from maskferry.tracks._lane import STATE_CODES as STATE_CODES
    from maskferry.tracks._lane import Lane as Lane
    from maskferry.tracks._pending import Pending as Pending
    from maskferry.tracks._pending import describe_pending as describe_pending
    from maskferry.tracks._planner import Direction as Direction
    from maskferry.tracks._prompt_store import FIRST_ID as FIRST_ID
    from maskferry.tracks._tracks import Tracks as Tracks

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.tracks._prompt_store": ("FIRST_ID",),
        "maskferry.tracks._jobs": ("ENDLESS", "FrameRange"),
        "maskferry.tracks._pending": ("Pending", "describe_pending"),
        "maskferry.tracks._planner": ("Direction",),
        "maskferry.tracks._lane": ("STATE_CODES", "Lane"),
        "maskferry.tracks._tracks": ("Tracks",),
    },
)
