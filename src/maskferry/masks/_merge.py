"""Two answers for one object on one frame, from the seed before it and from the seed after it -> one."""

from __future__ import annotations

import numpy as np

from maskferry._arguments import foreign
from maskferry.data import Mask, ObjectMask, State
from maskferry.masks._regions import box_xyxy, intersection_over_union, signed_distance
from maskferry.rle import Rle

__all__ = ["merge"]

SAME = 0.3  # IoU from which two answers are taken for the same thing seen twice


@foreign("masks.merge")
def merge(forward: ObjectMask, backward: ObjectMask, share: float) -> ObjectMask:
    """Merge the answers of the forward and the backward pass.

    Where both see about the same thing, the outline is the zero line of the weighted mean of their signed distances,
    so that it moves from one to the other without a jump. Where they disagree, the one with the greater weight is
    taken. A pass that has lost the object yields to the one that has not. The score is the weighted mean of both,
    lowered by how far they disagree.

    Args:
        forward: from the seed before this frame.
        backward: from the seed after it.
        share: how near the seed before is: 1 on it, 0 on the seed after. Weights are share and 1 - share, each times
            the pass's own score.
    """
    if not forward.rle.area or not backward.rle.area:
        return backward if not forward.rle.area else forward
    heavy_forward, heavy_backward = share * forward.score + 1e-6, (1 - share) * backward.score + 1e-6
    weight = heavy_forward / (heavy_forward + heavy_backward)
    leader = forward if weight >= 0.5 else backward
    if forward.rle == backward.rle:
        mask_rle, agreement = forward.rle, 1.0
    else:
        a, b = forward.rle.decode(), backward.rle.decode()
        agreement = intersection_over_union(a, b)
        mask_rle = _between(a, b, weight) if agreement >= SAME else leader.rle
    mean = weight * forward.score + (1 - weight) * backward.score
    state = State.TRACKED if leader.state is State.GIVEN else leader.state
    return ObjectMask(forward.object_id, mask_rle, mean * (0.5 + 0.5 * agreement), state)


def _between(a: Mask, b: Mask, weight: float) -> Rle:
    """The shape that lies between two overlapping ones: ``weight`` of the way from b to a."""
    x1, y1, x2, y2 = box_xyxy(a | b) or (0, 0, 1, 1)
    height, width = a.shape
    x1, y1, x2, y2 = max(x1 - 1, 0), max(y1 - 1, 0), min(x2 + 1, width), min(y2 + 1, height)
    crop = np.s_[y1:y2, x1:x2]
    blended = weight * signed_distance(a[crop]) + (1 - weight) * signed_distance(b[crop])
    return Rle.encode_crop(blended > 0, (x1, y1), (height, width))
