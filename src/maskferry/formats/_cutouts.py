"""Objects cut out of their frames: pictures with alpha (PNG), or a film with alpha (WebM, VP9)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import av.container
import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry._own_files import COMMENT
from maskferry._staging import final_path
from maskferry.data import Frame, FrameInfo, FrameMasks, Mask, VideoInfo
from maskferry.errors import InputError, OutputError
from maskferry.files import atomic_path, check_free
from maskferry.formats._content import warn_of_loss
from maskferry.formats._film_stream import Clock, add_stream, check_picture, pad_to_even, translate_av_errors
from maskferry.formats._frame_table import sidecar, write_frames
from maskferry.formats._png import write_boxed

__all__ = ["write_cutouts", "write_webm"]

_QUALITY = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1", "auto-alt-ref": "0"}
"""Of libvpx, which cannot encode alpha with alternate reference frames."""


def write_cutouts(
    video: VideoInfo,
    frames: Iterable[tuple[Frame, FrameMasks]],
    folder: Path,
    *,
    crop: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Write ``folder/<object id>/<frame>.png``, RGBA, for every frame on which something of an object is seen.

    Outside of the mask, pixels are transparent black. Overlaps are kept; each file carries its row of the frame table
    (`images.read_frame_info`). Frames have five digits, or as many as the last one needs.

    Lost, and logged: the picture outside of masks, names, scores, states; with ``crop``, where on the frame it was.

    Args:
        video: the video.
        frames: pictures and what is on them; one is held at a time.
        folder: made where it is missing; must be empty unless ``overwrite``.
        crop: cut each picture to the object's box; otherwise all have the size of the frame, and lie in place.
        overwrite: replace files.

    Returns:
        The files, in the order of writing.

    Raises:
        InputError: a frame of another size than the video.
        OutputExistsError: the folder holds files, and ``overwrite`` is false.
        OutputError: the disk is full or not writable; the files before are kept.
    """
    check_free(folder, overwrite=overwrite)
    digits = max(5, len(str((video.frame_count or 1) - 1)))
    written = []
    for frame, masks in frames:
        check_picture(frame, masks, video)
        for row in masks:
            if (found := row.rle.decode_crop()) is None:
                continue
            (x1, y1, x2, y2), mask = found
            part = _cut(frame.image[y1:y2, x1:x2], mask)
            corner, size = ((0, 0), mask.shape) if crop else ((x1, y1), video.size_hw)
            path = folder / str(row.object_id) / f"{frame.index:0{digits}d}.png"
            write_boxed(path, part, corner, size, info=frame.info, overwrite=overwrite)
            written.append(path)
    losses = {"the picture outside of masks": 1, "names of objects": 1, "scores": 1, "states": 1}
    warn_of_loss(folder, {**losses, "where on the frame a cut-out was": int(crop)})
    return written


def write_webm(
    video: VideoInfo,
    frames: Iterable[tuple[Frame, FrameMasks]],
    path: Path,
    *,
    rate: Fraction | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write a film in which everything but the objects is transparent, and the frame table beside it.

    Without ``rate``, every frame is shown at its own time, rounded to milliseconds, as WebM has them. Sides of odd
    length get one more row or column, transparent. Colours are BT.709, and the film says so.

    To read it back with PyAV, decode with libvpx-vp9 (FFmpeg's own decoder skips the alpha) and take the planes:
    ``to_ndarray(format="rgba")`` leaves the last columns of such frames unset where the width is no multiple of 8
    (libswscale on x86, seen with PyAV 18.1).

    Lost, and logged: the picture outside of masks, which object a pixel belongs to, names, scores, states; and
    exactness, as VP9 compresses with loss.

    Args:
        video: the video; its rate is taken where frames have no time.
        frames: pictures and what is on them, in the order of time; one is held at a time.
        path: ends in .webm; written atomically.
        rate: frames per second; the frames then follow each other at this rate, whatever their times.
        overwrite: replace files.

    Returns:
        The film and its frame table.

    Raises:
        InputError: no frames, a frame of another size than the video, times that do not ascend, no rate available, or
            a path that is no .webm.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable, the encoder failed, or this build of PyAV has none for VP9.
    """
    if path.suffix.lower() != ".webm":
        raise InputError(f"expected a path that ends in .webm, got {final_path(path)}")
    if "libvpx-vp9" not in av.codecs_available:
        raise OutputError("this build of PyAV has no encoder for VP9 (libvpx): write cut-outs as PNG")
    for taken in (path, sidecar(path)):
        check_free(taken, overwrite=overwrite)
    infos: list[FrameInfo] = []
    with ExitStack() as stack:
        part = stack.enter_context(atomic_path(path, overwrite=overwrite))
        stack.enter_context(translate_av_errors(path))
        out = stack.enter_context(av.open(str(part), "w", format="webm"))
        out.metadata["comment"] = COMMENT
        clock = Clock(video, rate, needs_times=False)
        clock.ticks = 1000
        stream = _add_alpha_stream(out, video, clock)
        for frame, masks in frames:
            check_picture(frame, masks, video)
            cutout = pad_to_even(_cut(frame.image, _union(masks)), cv2.BORDER_CONSTANT)
            picture = av.VideoFrame.from_ndarray(cutout, format="rgba")
            picture = picture.reformat(format="yuva420p", dst_colorspace="ITU709")
            picture.pts, picture.time_base = clock.tick(frame), Fraction(1, clock.ticks)
            out.mux(stream.encode(picture))
            infos.append(frame.info)
        if not infos:
            raise InputError("a film needs at least one frame, got none")
        out.mux(stream.encode())
        write_frames(infos, sidecar(path), overwrite=overwrite)
    losses = ("the picture outside of masks", "which object a pixel belongs to", "names", "scores", "states")
    warn_of_loss(path, {**dict.fromkeys(losses, 1), "exactness, as VP9 compresses with loss": 1})
    return [path, sidecar(path)]


def _add_alpha_stream(out: av.container.OutputContainer, video: VideoInfo, clock: Clock) -> av.VideoStream:
    height, width = video.size_hw
    stream = add_stream(out, "libvpx-vp9", clock, (height + height % 2, width + width % 2), "yuva420p")
    stream.options = dict(_QUALITY)
    stream.metadata["alpha_mode"] = "1"
    return stream


def _union(masks: FrameMasks) -> Mask:
    covered = np.zeros(masks.size_hw, dtype=np.bool_)
    for row in masks:
        if (found := row.rle.decode_crop()) is not None:
            (x1, y1, x2, y2), mask = found
            covered[y1:y2, x1:x2] |= mask
    return covered


def _cut(image: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """RGBA: transparent black outside of the mask."""
    rgba = np.zeros((*mask.shape, 4), dtype=np.uint8)
    rgba[mask, :3] = image[mask]
    rgba[mask, 3] = 255
    return rgba
