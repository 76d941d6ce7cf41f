"""Memory selection: of the tracked frames, those are remembered on which an object was well in sight.

SAM 3 does this where its authors run it; transformers does not. An object that was hidden for a while is then still
remembered as it was before, instead of by the frames on which nothing of it was seen.

Each tracked frame of an object has an *effective quality*. Back from the last frame, the good ones are gathered, at
most fifteen, however old; the very last frame is always among them, at the end. A frame's place in this list, counted
from its end, stands for its distance. Read are the memories of places 1 to 6 and the pointers of places 1 to 15, but
not the pointer of the oldest in the list. The frames of prompts are read besides; in the list is one only as the last
frame, whose place then stays empty.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

__all__ = ["MIN_EFFECTIVE_QUALITY", "effective_quality", "kept_steps", "selected_steps"]

MIN_EFFECTIVE_QUALITY = 0.01
"""A frame is good where its effective quality is above this, as in the authors' configuration."""


def effective_quality(presence: Tensor, quality: Tensor) -> Tensor:
    """How much a frame's memory of an object is worth, in [0, 1]: 0 where the object is not in sight.

    Args:
        presence: (B,), logits.
        quality: (B,), the IoU that the model expects of its mask.
    """
    return (2 * presence.float().sigmoid() - 1).clamp(min=0) * quality


def selected_steps(good: Iterable[int], last: int, most: int) -> list[int]:
    """The steps that the next one looks back on, ascending.

    Args:
        good: steps on which the object was well in sight.
        last: the step before the next one; in the list in any case, also where it was prompted.
        most: how many good steps are gathered.

    >>> selected_steps([3, 4, 5, 6], last=9, most=3), selected_steps([3, 4, 5, 6], last=6, most=3)
    ([4, 5, 6, 9], [4, 5, 6])
    """
    latest = sorted(good)[-most:]
    return latest if last in latest else [*latest, last]


def kept_steps(good: Iterable[int], last: int, most: int) -> list[int]:
    """The steps of which something can still be read after step ``last``, ascending; arguments as `selected_steps`.

    One more than is selected where ``last`` is good, because a mask that comes late may still make it a prompt frame.

    >>> kept_steps([3, 4, 5, 6], last=9, most=3), kept_steps([3, 4, 5, 6], last=6, most=3)
    ([4, 5, 6, 9], [3, 4, 5, 6])
    """
    return selected_steps((step for step in good if step < last), last, most)
