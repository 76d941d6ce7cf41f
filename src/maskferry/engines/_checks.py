"""What every engine refuses: frames and masks that have not the size of the video."""

from __future__ import annotations

import numpy as np

from maskferry.data import Frame, Mask, MaskPrompt
from maskferry.errors import InputError

__all__ = ["check_frame", "checked_mask"]


def check_frame(frame: Frame, size_hw: tuple[int, int]) -> None:
    """Refuse a picture that is no RGB of the video's size, and a mask of valid pixels that is not of that size.

    Raises:
        InputError: the message names the frame.
    """
    if frame.image.shape != (*size_hw, 3) or frame.image.dtype != np.uint8:
        came = f"{frame.image.dtype} {frame.image.shape}"
        raise InputError(
            f"frame {frame.index}: expected RGB uint8 {(*size_hw, 3)}, as the video was opened, got {came}"
        )
    if frame.valid is not None and (frame.valid.shape != size_hw or frame.valid.dtype != np.bool_):
        came = f"{frame.valid.dtype} {frame.valid.shape}"
        raise InputError(f"frame {frame.index}: expected its valid pixels as bool {size_hw}, got {came}")


def checked_mask(prompt: MaskPrompt, frame: int, size_hw: tuple[int, int]) -> Mask:
    """The mask of a prompt, which is bool, of the video's size, and not empty.

    Raises:
        InputError: the message names the frame and the object.
    """
    mask = prompt.mask
    if mask.shape != size_hw or mask.dtype != np.bool_ or not mask.any():
        came = f"{mask.dtype} {mask.shape} with {int(np.count_nonzero(mask))} pixels set"
        raise InputError(
            f"frame {frame}, object {prompt.object_id}: expected a mask, bool {size_hw}, not empty, got {came}"
        )
    return mask
