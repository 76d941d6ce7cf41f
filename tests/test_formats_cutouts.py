"""Objects cut out of their frames: PNG with alpha, exact; WebM with alpha, as its decoder gives it back."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import PIL.Image
import pytest

from format_samples import SIZE_HW, VIDEO, disk, frame_of, masks_of, picture, rgb_of, row, tracks
from maskferry.data import Frame, VideoInfo
from maskferry.errors import InputError, OutputExistsError
from maskferry.formats._cutouts import write_cutouts, write_webm
from maskferry.formats._frame_table import read_frames
from maskferry.formats._images import read_frame_info


def pictures():
    return [(Frame(t.info, picture(seed=t.info.index)), t.masks) for t in tracks()]


@pytest.mark.parametrize("crop", [False, True])
def test_cutouts(tmp_path: Path, crop, caplog):
    with caplog.at_level(logging.WARNING):
        paths = write_cutouts(VIDEO, pictures(), tmp_path / "o", crop=crop)
    assert "loses: the picture outside of masks" in caplog.text
    assert [p.relative_to(tmp_path / "o").as_posix() for p in paths[:4]] == [
        "1/00000.png",
        "1/00001.png",
        "1/00002.png",
        "7/00002.png",
    ]
    assert not (tmp_path / "o" / "1" / "00003.png").exists()  # lost
    for frame, masks in pictures():
        for item in masks:
            if not item.rle.area:
                continue
            path = tmp_path / "o" / str(item.object_id) / f"{frame.index:05d}.png"
            with PIL.Image.open(path) as image:
                rgba = np.asarray(image)
            mask = item.rle.decode()
            wanted = np.dstack((frame.image * mask[..., None], mask * np.uint8(255)))
            x1, y1, x2, y2 = item.rle.box_xyxy
            np.testing.assert_array_equal(rgba, wanted[y1:y2, x1:x2] if crop else wanted)
            assert read_frame_info(path) == frame.info


def decoded(path: Path) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Times, colours (H, W, 3) and alpha (H, W) of the frames, taken from their planes.

    Not through `to_ndarray("rgba")`: on x86 libswscale's fast path for it leaves out the last pixels of rows whose
    length is no multiple of 8 (`YUV2RGB_LOOP` in x86/yuv2rgb_template.c, where the row is not padded, as PyAV's), and
    what was in memory before shows there as alpha and colour.
    """
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert (stream.metadata.get("alpha_mode") or stream.metadata.get("ALPHA_MODE")) == "1"
        context = av.CodecContext.create("libvpx-vp9", "r")
        out = []
        for packet in film.demux(stream):
            for frame in context.decode(packet if packet.size else None):
                assert (frame.format.name, int(frame.colorspace), int(frame.color_range)) == ("yuva420p", 1, 1)
                *colors, alpha = (np.frombuffer(p, np.uint8).reshape(p.height, -1)[:, : p.width] for p in frame.planes)  # type: ignore[call-overload]
                rgb = rgb_of(np.concatenate([p.ravel() for p in colors]), frame.height, frame.width)
                out.append((float(frame.pts * stream.time_base), rgb, alpha.copy()))
    return out


@pytest.mark.parametrize("size", [(64, 99), (33, 50), (90, 160), (37, 41)])
def test_webm_has_alpha_times_and_colours(tmp_path: Path, size):
    height, width = size
    video = VideoInfo(width, height, rate=Fraction(30000, 1001), frame_count=3)
    times = [0.0, 0.05, 0.5]
    masks = [disk((width * (0.2 + 0.3 * i), height / 2), 0.3 * height, size) for i in range(3)]
    masks[2][:, -6:] = True  # up to the border, where rows are padded
    image = np.full((*size, 3), (200, 40, 90), np.uint8)
    frames = [
        (frame_of(i, image, times[i]), masks_of(row(4, masks[i]), row(9, masks[0]), frame=i, size_hw=size))
        for i in range(3)
    ]
    assert write_webm(video, frames, tmp_path / "o.webm")[0] == tmp_path / "o.webm"
    assert list(read_frames(tmp_path / "o.webm").values()) == [f.info for f, _ in frames]
    back = decoded(tmp_path / "o.webm")
    assert [t for t, _, _ in back] == pytest.approx(times, abs=0.001)
    for i, (_, rgb, alpha) in enumerate(back):
        seen = masks[i] | masks[0]
        assert alpha.shape == (height + height % 2, width + width % 2)
        assert ((alpha[:height, :width] > 127) ^ seen).mean() < 0.01
        assert not (alpha[height:] > 127).any() and not (alpha[:, width:] > 127).any()
        inside = rgb[:height, :width][cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0]
        assert np.abs(inside - (200, 40, 90)).mean() < 6


def test_refusals(tmp_path: Path):
    with pytest.raises(InputError, match=r"ends in \.webm"):
        write_webm(VIDEO, pictures(), tmp_path / "o.mp4")
    with pytest.raises(InputError, match="at least one frame"):
        write_webm(VIDEO, [], tmp_path / "o.webm")
    wrong = [(frame_of(0, picture((9, 9))), masks_of())]
    for write, name in ((write_webm, "o.webm"), (write_cutouts, "o")):
        with pytest.raises(InputError, match="frame 0: expected a picture of"):
            write(VIDEO, wrong, tmp_path / name)
    assert not [p for p in tmp_path.iterdir() if p.is_file()]
    (tmp_path / "o.frames.csv").write_text("mine")
    with pytest.raises(OutputExistsError):
        write_webm(VIDEO, pictures(), tmp_path / "o.webm")
    assert VIDEO.size_hw == SIZE_HW
