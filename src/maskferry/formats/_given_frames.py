"""On which frames of the video the pictures of a file are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from maskferry.errors import InputError
from maskferry.formats._content import FramesBy, VideoTracks
from maskferry.formats._reading import Reading
from maskferry.images import natural_key

__all__ = ["frames_of", "place_picture"]

_NUMBERED = re.compile(r"(?:frame_)?([0-9]{6})")
"""What CVAT, Datumaro and maskferry call the picture of a video's frame, counted from 0."""

_SAY = "say its frame: FRAME=PATH, or frame_idx in Python"


def place_picture(names: Sequence[str], said: int | None, reading: Reading, known: int | None = None) -> int:
    """The frame of a file of one picture.

    Args:
        names: what its picture may be called: the name that it gives, then that of the file itself.
        said: the frame that the caller says; it is taken, with a warning where the file names another one.
        reading: the video, and who is warned.
        known: the frame that the file gives as a number.
    """
    named = known
    for name in names:
        named = reading.target.frame_named(name) if named is None and name else named
    for name in names:
        named = _numbered(name, reading) if named is None else named
    if said is not None:
        if named not in (None, said):
            reading.doubt(f"names frame {named}, and is read as frame {said}, as you say")
        return said
    if named is None and reading.target.is_known and names and names[0]:
        reading.doubt(f"is of the picture {names[0]!r:.80}, which is no frame of the video: read as frame 0; {_SAY}")
    return named or 0


def frames_of(found: VideoTracks, used: Sequence[int], said: int | None, reading: Reading) -> dict[int, int]:
    """{index in the file: frame of the video} for the pictures that have masks; without those that the video lacks.

    Raises:
        InputError: there are several, and which frames they are cannot be told.
    """
    names = {frame.info.index: frame.info.name for frame in found.frames}
    if len(used) == 1:
        index = used[0]
        known = _frames_known([index], names, found.frames_by, reading)
        return {index: place_picture([names.get(index, "")], said, reading, known.get(index) if known else None)}
    frames = _frames_known(used, names, found.frames_by, reading)
    if frames is None:
        raise InputError(
            f"{reading.where} has masks of {len(used)} pictures; expected the masks of one frame, or pictures that are "
            f"called as frames of the video are: {names[used[0]]!r:.80} is not"
        )
    if said is not None and set(frames.values()) != {said}:
        reading.doubt(f"says itself which frames its masks are of, so that they are not put on frame {said}")
    return frames


def _frames_known(
    used: Sequence[int], names: Mapping[int, str], by: FramesBy, reading: Reading
) -> dict[int, int] | None:
    """As `frames_of`; None where it cannot be told."""
    own = {index: index for index in used}
    if by == "index":
        return own
    named = {index: reading.target.frame_named(names[index]) if names.get(index) else None for index in used}
    found = {index: frame for index, frame in named.items() if frame is not None}
    if found and len(set(found.values())) == len(found):
        for index in [i for i in used if i not in found]:
            reading.leave_out("pictures that are no frames of the video", f"{names[index]!r:.80}")
        return found
    return own if by == "name" else _by_order(used, names, reading)


def _by_order(used: Sequence[int], names: Mapping[int, str], reading: Reading) -> dict[int, int] | None:
    """By the numbers in names, or as the pictures of a file are as many as the frames of the video."""
    numbered = {index: _numbered(names[index], reading) for index in used}
    frames = {index: number for index, number in numbered.items() if number is not None}
    if len(frames) == len(used) == len(set(frames.values())):
        return frames
    if len(names) > 1 and len(names) == reading.target.frame_count and all(names.values()):
        reading.note("its pictures, in the order of their names, are taken for the frames of the video")
        order = sorted(names, key=lambda index: natural_key(PurePosixPath(names[index])))
        return {index: order.index(index) for index in used}
    return None


def _numbered(name: str, reading: Reading) -> int | None:
    """The number of a frame that a name like "frame_000012.png" gives."""
    found = _NUMBERED.fullmatch(PurePosixPath(name.replace("\\", "/")).stem)
    count = reading.target.frame_count
    if found is None or (count is not None and int(found[1]) >= count):
        return None
    reading.note("the numbers in the names of its pictures are taken for those of frames, from 0")
    return int(found[1])
