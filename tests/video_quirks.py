"""Small videos with the quirks that files in the world have, made here, and what must come out of each.

    python tests/video_quirks.py

writes the table of docs/videos.md; `tests/test_video_quirks.py` fails where a line of it is not what is measured.
"""

from __future__ import annotations

import os
import re
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet

from clips import SIZE_HW, make_clip, numbered_image, read_number
from h264_fields import pictures
from maskferry.data import Image
from maskferry.errors import SourceError
from maskferry.sources import open_source

COUNT = 24
RATE = 25
os.environ.setdefault("SVT_LOG", "1")  # errors only
PAGE = Path(__file__).parent.parent / "docs" / "videos.md"


# --- how the inputs are made ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Codec:
    """An encoder with its settings: the arguments of `make_clip`."""

    label: str
    encoder: str
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path, count: int = COUNT, **more: Any) -> Path:
        settings = self.settings | more
        options = {**self.settings.get("options", {}), **more.get("options", {})}
        return make_clip(path, count, codec=self.encoder, **(settings | {"options": options}))


H264 = Codec("H.264", "libx264", {"b_frames": 3, "gop": 10})
HEVC = Codec(
    "H.265",
    "libx265",
    {"gop": 10, "options": {"preset": "ultrafast", "x265-params": "bframes=4:b-pyramid=1:log-level=none"}},
)
MPEG4 = Codec("MPEG-4", "mpeg4", {"b_frames": 2, "gop": 10})
MPEG2 = Codec("MPEG-2", "mpeg2video", {"b_frames": 2, "gop": 10})
MPEG1 = Codec("MPEG-1", "mpeg1video", {"b_frames": 2, "gop": 10})
VP8 = Codec("VP8", "libvpx", {"options": {"auto-alt-ref": "1", "lag-in-frames": "10", "cpu-used": "8"}})
VP9 = Codec(
    "VP9", "libvpx-vp9", {"options": {"auto-alt-ref": "1", "lag-in-frames": "10", "cpu-used": "8", "row-mt": "0"}}
)
AV1 = Codec("AV1", "libsvtav1", {"options": {"preset": "8", "svtav1-params": "hierarchical-levels=3:lp=1"}})
HDR = Codec(
    "H.265",
    "libx265",
    {
        "options": {
            "preset": "ultrafast",
            "x265-params": "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none",
        }
    },
)
MJPEG = Codec("MJPEG", "mjpeg")
DNXHR = Codec("DNxHR", "dnxhd", {"pix_fmt": "yuv422p", "options": {"profile": "dnxhr_lb"}, "size_hw": (128, 256)})


@dataclass(frozen=True)
class Made:
    """A file and what must come out of it.

    Attributes:
        path: the file.
        numbers: of the pictures, as they say themselves.
        times: seconds of each from the first; by default those of a constant rate.
        is_cut: the file has lost its end; the numbers are those of the whole.
    """

    path: Path
    numbers: Sequence[int] = range(COUNT)
    times: Sequence[float] | None = None
    is_cut: bool = False

    def expected_times(self) -> list[float]:
        times = [n / RATE for n in range(len(self.numbers))] if self.times is None else self.times
        return [float(t - times[0]) for t in times]


class UnavailableError(Exception):
    """This PyAV cannot write the file."""


Maker = Callable[[Path], Made]
"""From a path without suffix."""

Edit = Callable[[list[Packet]], list[Packet]]
"""Changes packets before they are written."""

TIMES = [0.03 * n + 0.01 * (n % 3) + 0.5 * (n > 9) for n in range(COUNT)]
"""Of a variable frame rate."""


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    suffix: str
    codec: str
    quirk: str
    make: Maker

    @property
    def name(self) -> str:
        return re.sub(r"\W+", "-", f"{self.suffix}-{self.codec}-{self.quirk}")


# --- quirks ---------------------------------------------------------------------------------------------------------


def coded(codec: Codec, suffix: str, **settings: Any) -> Maker:
    """Coded straight into the container."""
    return lambda base: Made(codec.write(base.with_suffix(f".{suffix}"), **settings), times=settings.get("times"))


def copied(codec: Codec, suffix: str, *edits: Edit, numbers: Sequence[int] = range(COUNT), **settings: Any) -> Maker:
    """Coded, then copied into the container with other packets."""

    def make(base: Path) -> Made:
        source = codec.write(base.with_suffix(".source.mkv" if codec is VP8 else ".source.mp4"), **settings)
        times = settings.get("times") or [n / RATE for n in range(COUNT)]
        return Made(copy(source, base.with_suffix(f".{suffix}"), *edits), numbers, [times[n] for n in numbers])

    return make


def copy(source: Path, target: Path, *edits: Edit, private: bytes = b"") -> Path:
    """Copy the packets of a video into another file; ``private`` goes before the codec's own data."""
    with av.open(str(source)) as inside, av.open(str(target), "w") as out:
        stream = inside.streams.video[0]
        packets = [packet for packet in inside.demux(stream) if packet.size]
        for edit in edits:
            packets = edit(packets)
        copied_stream = add_like(out, stream)
        if private:
            copied_stream.codec_context.extradata = private + stream.codec_context.extradata
        for packet in packets:
            packet.stream = copied_stream
            out.mux_one(packet)
    return target


def add_like(out: Any, stream: Any) -> Any:
    add = getattr(out, "add_stream_from_template", None)
    return add(stream) if add else out.add_stream(template=stream)


def in_decode_order(packets: list[Packet]) -> list[Packet]:
    """What copying a raw stream does: the clock counts packets as they are stored."""
    for index, packet in enumerate(packets):
        packet.pts = packet.dts = round(Fraction(index, RATE) / packet.time_base)
    return packets


def later(seconds: Fraction | int) -> Edit:
    """Moved in time."""

    def edit(packets: list[Packet]) -> list[Packet]:
        for packet in packets:
            ticks = round(seconds / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        return packets

    return edit


def with_gaps(codec: Codec, suffix: str, **settings: Any) -> Maker:
    """Some frames of a constant rate were never recorded: there are no packets for them, or in AVI empty ones."""
    slots = [n for n in range(COUNT * 2) if n % 5 != 3][:COUNT]

    def edit(packets: list[Packet]) -> list[Packet]:
        for slot, packet in zip(slots, packets, strict=True):
            packet.pts = packet.dts = round(Fraction(slot, RATE) / packet.time_base)
        return packets

    def make(base: Path) -> Made:
        path = copied(codec, suffix, edit, **settings)(base).path
        shown = [*slots[1:], slots[-1] + 1] if settings.get("b_frames", 2) else slots  # when its turn comes
        return Made(path, times=[slot / RATE for slot in shown])

    return make


def without(*ordinals: int) -> Edit:
    """Some packets are missing."""
    return lambda packets: [packet for ordinal, packet in enumerate(packets) if ordinal not in ordinals]


def all_keys(packets: list[Packet]) -> list[Packet]:
    """Every packet is marked as a keyframe, though most are none."""
    for packet in packets:
        packet.is_keyframe = True
    return packets


def packed(packets: list[Packet]) -> list[Packet]:
    """A B-frame lies in the packet of the frame that it needs, and a dummy in its place, as DivX and Xvid do in AVI."""
    types = [_vop_type(packet) for packet in packets]
    data = [bytes(packet) for packet in packets]
    for at in range(1, len(packets)):
        if types[at] == "B" and types[at - 1] != "B":
            end = next((n for n in range(at, len(packets)) if types[n] != "B"), len(packets))
            data[at - 1 : end] = [data[at - 1] + data[at], *data[at + 1 : end], _NOT_CODED]
    first = data[0].index(b"\0\0\1\xb6")
    data[0] = data[0][:first] + b"\0\0\1\xb2DivX503b1393p\0" + data[0][first:]
    return in_decode_order([_like(packet, bytes_) for packet, bytes_ in zip(packets, data, strict=True)])


_NOT_CODED = bytes.fromhex("000001b6504f")
"""An MPEG-4 frame that repeats the one before."""


def _vop_type(packet: Packet) -> str:
    data = bytes(packet)
    return "IPBS"[data[data.index(b"\0\0\1\xb6") + 4] >> 6]


def _like(packet: Packet, data: bytes) -> Packet:
    new = Packet(data)
    new.pts, new.dts, new.time_base, new.is_keyframe = packet.pts, packet.dts, packet.time_base, packet.is_keyframe
    return new


def edited(codec: Codec, suffix: str, numbers: Sequence[int], pieces: Sequence[tuple[int, int]]) -> Maker:
    """With an edit list: pieces of (frames, first frame, or -1 for nothing)."""

    def make(base: Path) -> Made:
        path = codec.write(base.with_suffix(f".{suffix}"))
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            first = min(packet.pts - packet.dts for packet in [next(container.demux(stream))])
            ticks = round(1 / (RATE * stream.time_base))
        entries = [(frames * 1000 // RATE, at if at < 0 else first + at * ticks) for frames, at in pieces]
        path.write_bytes(with_edit_list(path.read_bytes(), entries))
        return Made(path, numbers)

    return make


def with_edit_list(data: bytes, entries: Sequence[tuple[int, int]]) -> bytes:
    """An MP4 with its moov at the end, with another edit list: (milliseconds, ticks of the track) of each piece."""
    elst = struct.pack(">II", 0, len(entries)) + b"".join(struct.pack(">iiI", *entry, 1 << 16) for entry in entries)
    edts = _box(b"edts", _box(b"elst", elst))
    at, moov = next((at, body) for at, name, body in _boxes(data) if name == b"moov")
    parts = [(name, body) for _, name, body in _boxes(moov)]
    trak = next(body for name, body in parts if name == b"trak")
    inside = [(name, body) for _, name, body in _boxes(trak) if name != b"edts"]
    new = edts.join([b"".join(_box(*part) for part in inside[:1]), b"".join(_box(*part) for part in inside[1:])])
    return data[:at] + _box(b"moov", b"".join(_box(name, new if name == b"trak" else body) for name, body in parts))


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def _boxes(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield at, data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def joined(codec: Codec, suffix: str, *edits: Edit) -> Maker:
    """Two recordings in one file, the second one with another clock."""

    def make(base: Path) -> Made:
        one = codec.write(base.with_suffix(f".one.{suffix}"))
        two = copy(one, base.with_suffix(f".two.{suffix}"), *edits)
        both = base.with_suffix(f".{suffix}")
        both.write_bytes(one.read_bytes() + two.read_bytes())
        return Made(both, [*range(COUNT)] * 2)

    return make


def cut(codec: Codec, suffix: str, share: float = 2 / 3, **settings: Any) -> Maker:
    """The end of the file is lost."""

    def make(base: Path) -> Made:
        path = codec.write(base.with_suffix(f".{suffix}"), **settings)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        return Made(path, is_cut=True)

    return make


def cut_index(codec: Codec, suffix: str) -> Maker:
    """All frames are there, but not the index that follows them."""

    def make(base: Path) -> Made:
        path = codec.write(base.with_suffix(f".{suffix}"))
        data = path.read_bytes()
        path.write_bytes(data[: data.index(b"idx1")])
        return Made(path)

    return make


def fast(codec: Codec, suffix: str, rate: int) -> Maker:
    """More frames a second than Matroska has ticks."""
    return lambda base: Made(
        codec.write(base.with_suffix(f".{suffix}"), rate=rate), times=[n / rate for n in range(COUNT)]
    )


def deep(suffix: str, pix_fmt: str, top: int) -> Maker:
    """Grey, with samples from 0 to ``top``."""

    def make(base: Path) -> Made:
        path = base.with_suffix(f".{suffix}")
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=RATE)
            stream.height, stream.width = SIZE_HW
            stream.pix_fmt = pix_fmt
            for index in range(COUNT):
                samples = numbered_image(index)[:, :, 0].astype(np.uint32) * top // 255
                container.mux(stream.encode(av.VideoFrame.from_ndarray(samples.astype(np.uint16), format=pix_fmt)))
            container.mux(stream.encode(None))
        return Made(path)

    return make


def with_sound(codec: Codec, suffix: str, seconds: int) -> Maker:
    """With sound that lasts longer than the picture."""

    def make(base: Path) -> Made:
        source = codec.write(base.with_suffix(".source.mp4"))
        path = base.with_suffix(f".{suffix}")
        with av.open(str(source)) as inside, av.open(str(path), "w") as out:
            video = add_like(out, inside.streams.video[0])
            sound = out.add_stream("aac", rate=8000)
            for packet in inside.demux(video=0):
                if packet.size:
                    packet.stream = video
                    out.mux_one(packet)
            for index in range(seconds * 8):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 8000, index * 1000
                out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
        return Made(path)

    return make


def in_fields(codec: Codec, suffix: str, has_fields: Callable[[int], bool]) -> Maker:
    """The fields of a frame in packets of their own."""

    def make(base: Path) -> Made:
        raw = base.with_suffix(".h264")
        coded_pictures = list(pictures(COUNT, has_fields))
        raw.write_bytes(b"".join(picture.data for picture in coded_pictures))
        path = base.with_suffix(f".{suffix}")
        if path == raw:
            return Made(path)
        with av.open(str(raw)) as inside, av.open(str(path), "w") as out:
            stream = add_like(out, inside.streams.video[0])
            for picture in coded_pictures:
                packet = Packet(picture.data)
                packet.time_base, packet.is_keyframe = Fraction(1, 2 * RATE), picture.is_key
                packet.pts = packet.dts = 2 * picture.frame + (picture.field or 0)
                packet.stream = stream
                out.mux_one(packet)
        return Made(path)

    return make


def with_cover(codec: Codec, suffix: str) -> Maker:
    """A second video stream stands first: another camera's, or a cover."""

    def make(base: Path) -> Made:
        source = codec.write(base.with_suffix(".source.mp4"))
        other = MJPEG.write(base.with_suffix(".other.mp4"), 1)
        path = base.with_suffix(f".{suffix}")
        with av.open(str(source)) as inside, av.open(str(other)) as cover, av.open(str(path), "w") as out:
            streams = add_like(out, cover.streams.video[0]), add_like(out, inside.streams.video[0])
            try:
                streams[0].disposition = av.stream.Disposition.attached_pic
            except AttributeError as err:
                raise UnavailableError("this PyAV writes no dispositions") from err
            for packets, stream in ((cover.demux(video=0), streams[0]), (inside.demux(video=0), streams[1])):
                for packet in packets:
                    if packet.size:
                        packet.stream = stream
                        out.mux_one(packet)
        return Made(path)

    return make


def as_vfw(codec: Codec, suffix: str, *edits: Edit, **settings: Any) -> Maker:
    """A Matroska file that names its codec as AVI does."""

    def make(base: Path) -> Made:
        source = codec.write(base.with_suffix(".source.mp4"), **settings)
        height, width = SIZE_HW
        header = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"XVID", width * height * 3, 0, 0, 0, 0)
        path = copy(source, base.with_suffix(f".{suffix}"), *edits, private=header)
        data = path.read_bytes()
        path.write_bytes(data.replace(b"V_MPEG4/ISO/ASP", b"V_MS/VFW/FOURCC"))
        return Made(path)

    return make


# --- the table ------------------------------------------------------------------------------------------------------


def rows(codec: Codec, quirk: str, suffixes: str, make: Callable[..., Maker], *args: Any, **settings: Any) -> list[Row]:
    """The same quirk in several containers."""
    return [Row(suffix, codec.label, quirk, make(codec, suffix, *args, **settings)) for suffix in suffixes.split()]


OPEN_GOP = {"options": {"x264-params": "open-gop=1"}}
TEN_BITS = {"pix_fmt": "yuv420p10le"}
FASTSTART = {"container_options": {"movflags": "faststart"}}
FRAGMENTS = {"container_options": {"movflags": "frag_keyframe+empty_moov"}}
WRAP = Fraction(2**33, 90000)

INTRA = [
    (MJPEG, "avi mov mkv mjpeg"),
    (Codec("ProRes", "prores_ks", {"pix_fmt": "yuv422p10le"}), "mov mkv"),
    (
        Codec("DNxHR", "dnxhd", {"pix_fmt": "yuv422p", "options": {"profile": "dnxhr_lb"}, "size_hw": (128, 256)}),
        "mov mxf",
    ),
    (Codec("FFV1", "ffv1"), "mkv avi nut"),
    (Codec("Huffyuv", "huffyuv", {"pix_fmt": "yuv422p"}), "avi"),
    (Codec("Ut Video", "utvideo"), "avi"),
    (Codec("raw pictures", "rawvideo"), "avi nut"),
    (Codec("raw pictures", "rawvideo", {"pix_fmt": "uyvy422"}), "mov mkv"),
    (Codec("raw pictures", "wrapped_avframe"), "y4m"),
    (Codec("PNG", "png", {"pix_fmt": "rgb24"}), "mov avi"),
    (Codec("JPEG 2000", "jpeg2000"), "mov mxf"),
    (Codec("QuickTime Animation", "qtrle", {"pix_fmt": "rgb24"}), "mov"),
    (Codec("GIF", "gif"), "gif"),
    (Codec("APNG", "apng", {"pix_fmt": "rgb24"}), "apng"),
    (Codec("MS-MPEG-4", "msmpeg4v2"), "avi asf"),
    (Codec("WMV 8", "wmv2"), "wmv avi"),
    (Codec("Sorenson H.263", "flv"), "flv"),
    (Codec("H.263", "h263"), "3gp avi"),
    (Codec("Sorenson Video", "svq1", {"pix_fmt": "yuv410p"}), "mov"),
    (Codec("Snow", "snow", {"options": {"strict": "experimental"}}), "avi"),
    (Codec("ZMBV", "zmbv", {"pix_fmt": "bgr0"}), "avi"),
    (Codec("CineForm", "cfhd", {"pix_fmt": "yuv422p10le"}), "mov"),
    (Codec("Cinepak", "cinepak", {"pix_fmt": "rgb24"}), "avi mov"),
]
"""Codecs without B-frames."""

ROWS = [
    *rows(H264, "B-frames", "mp4 mov mkv flv ts m2ts nut mxf 3gp avi asf h264", coded),
    *rows(HEVC, "B-pyramid", "mp4 mkv ts hevc", coded),
    *rows(MPEG4, "B-frames", "mp4 mkv avi asf nut m4v", coded),
    *rows(MPEG2, "B-frames", "mpg ts mkv mp4 mxf avi asf m2v", coded),
    *rows(MPEG1, "B-frames", "mpg avi m1v", coded),
    *rows(VP8, "hidden frames", "webm ivf avi", coded),
    *rows(VP9, "hidden frames", "webm mp4 ivf", coded),
    *rows(AV1, "hidden frames", "mp4 webm ivf obu", coded),
    *rows(H264, "B-frames copied, clock in decode order", "mp4 mov mkv asf ts flv nut", copied, in_decode_order),
    *rows(HEVC, "B-frames copied, clock in decode order", "mp4 mkv ts", copied, in_decode_order),
    *rows(MPEG4, "B-frames copied, clock in decode order", "mp4 mkv avi asf", copied, in_decode_order),
    *rows(MPEG2, "B-frames copied, clock in decode order", "mp4 mkv ts asf", copied, in_decode_order),
    *rows(MPEG4, "packed B-frames", "avi mkv mp4 asf", copied, packed, b_frames=1, gop=8),
    *rows(MPEG4, "packed pairs of B-frames", "avi mkv", copied, packed, gop=7),
    *rows(
        H264,
        "trimmed at the start (edit list)",
        "mp4 mov 3gp",
        copied,
        later(Fraction(-5, RATE)),
        numbers=range(5, COUNT),
    ),
    Row("mp4", "H.264", "edit list: starts late", edited(H264, "mp4", range(COUNT), [(10, -1), (COUNT, 0)])),
    Row("mp4", "H.264", "edit list: ends early", edited(H264, "mp4", range(15), [(15, 0)])),
    Row(
        "mp4",
        "H.264",
        "edit list: the middle left out",
        edited(H264, "mp4", [*range(8), *range(13, 20)], [(8, 0), (7, 13)]),
    ),
    Row("mp4", "H.264", "edit list: a piece twice", edited(H264, "mp4", [*range(8), *range(8)], [(8, 0), (8, 0)])),
    *rows(H264, "variable rate", "mp4 mov mkv flv nut ts", coded, times=TIMES),
    *rows(VP9, "variable rate", "webm", coded, times=TIMES),
    *rows(H264, "turned by 90 degrees", "mp4 mov mkv", coded, rotation=90),
    *rows(H264, "interlaced", "mp4 ts", coded, options={"x264-params": "tff=1"}),
    *rows(MPEG2, "interlaced", "mpg mxf", coded, options={"flags": "+ildct+ilme"}),
    *rows(H264, "fields in packets of their own", "ts mp4 mkv h264", in_fields, lambda frame: True),
    *rows(H264, "some fields in packets of their own", "ts mp4 mkv h264", in_fields, lambda frame: frame % 3 > 0),
    *rows(H264, "open GOP", "mp4 mkv ts", coded, **OPEN_GOP),
    *rows(H264, "fragments", "mp4", coded, **FRAGMENTS),
    *rows(H264, "starts at 5 s", "mp4 mkv ts", copied, later(5)),
    *rows(H264, "clock wraps", "ts", copied, later(WRAP - Fraction(12, RATE))),
    *rows(H264, "joined, the clock starts anew", "ts", joined),
    *rows(H264, "joined, the clock goes back a little", "ts", joined, later(Fraction(9, 50))),
    *rows(MPEG2, "joined, the clock starts anew", "ts mpg", joined),
    *rows(H264, "starts between keyframes", "mp4 mkv ts flv", copied, without(*range(6)), numbers=range(10, COUNT)),
    *rows(H264, "10 bits", "mp4 mkv", coded, **TEN_BITS),
    *rows(HEVC, "10 bits", "mp4 mkv", coded, **TEN_BITS),
    *rows(AV1, "10 bits", "mp4", coded, **TEN_BITS),
    *rows(HDR, "HDR (PQ, BT.2020)", "mp4", coded, **TEN_BITS),
    Row("mkv", "FFV1", "12 bits", deep("mkv", "gray12le", 4095)),
    Row("mkv", "FFV1", "16 bits", deep("mkv", "gray16le", 65535)),
    Row("mkv", "FFV1", "12 in 16 bits", deep("mkv", "gray16le", 4095)),
    *rows(MPEG4, "dropped frames", "avi mp4 mkv", with_gaps, b_frames=0),
    *rows(MPEG4, "dropped frames and B-frames", "avi", with_gaps),
    *rows(H264, "cut off", "mp4", cut, **FASTSTART),
    *rows(H264, "cut off", "mkv ts", cut),
    *rows(MPEG4, "cut off", "avi", cut, 0.85, b_frames=0),
    *rows(H264, "sound that lasts longer", "mp4 mkv", with_sound, 3),
    *rows(H264, "index lost", "avi", cut_index),
    *rows(H264, "written without an index", "mkv", coded, container_options={"live": "1"}),
    *rows(H264, "every packet marked as a keyframe", "mkv flv nut", copied, all_keys),
    *rows(HEVC, "every packet marked as a keyframe", "mkv mp4", copied, all_keys),
    *rows(MPEG4, "every packet marked as a keyframe", "mkv avi mp4", copied, all_keys, gop=30),
    *rows(VP8, "every packet marked as a keyframe", "webm", copied, all_keys),
    *rows(VP9, "every packet marked as a keyframe", "webm", copied, all_keys),
    *rows(H264, "cover first", "mp4", with_cover),
    *rows(H264, "B-frames, offsets below 0", "mp4 mov", coded, container_options={"movflags": "negative_cts_offsets"}),
    *rows(MPEG4, "B-frames, as in AVI", "mkv", as_vfw, in_decode_order),
    *rows(MPEG4, "packed B-frames, as in AVI", "mkv", as_vfw, packed, b_frames=1, gop=8),
    *rows(H264, "2000 frames a second", "mkv mp4", fast, 2000),
    *(row for codec, suffixes in INTRA for row in rows(codec, "every frame by itself", suffixes, coded)),
]


# --- measuring ------------------------------------------------------------------------------------------------------


class WrongFramesError(AssertionError):
    """A video is read otherwise than it is."""


@dataclass(frozen=True)
class Outcome:
    """What came of reading a row's file.

    Attributes:
        frames: "24", or "15 of 24: cut off", or "refused".
        times: where they come from.
    """

    frames: str
    times: str


def measure(row: Row, folder: Path) -> Outcome:
    """Make a row's file and read it: from the start, from the end, and every frame by itself.

    Raises:
        WrongFramesError: a frame or a time is not what it should be.
    """
    made = row.make(folder / row.name)
    try:
        with open_source(made.path) as source:
            count = source.info.frame_count or 0
            frames = list(source.frames(range(count)))
            backward = list(source.frames(range(count)[::-1]))[::-1]
            alone = [next(source.frames([index])) for index in range(count)]
            announced = source.announced_frame_count
    except SourceError:
        return Outcome("refused", "")
    for others in (backward, alone):
        for one, other in zip(frames, others, strict=True):
            _check(np.array_equal(one.image, other.image), f"frame {one.index} depends on how it is reached")
    numbers = read_numbers([frame.image for frame in frames])
    expected = list(made.numbers)[: len(numbers)] if made.is_cut else list(made.numbers)
    _check(numbers == expected, f"expected the frames {expected}, got {numbers}")
    if made.is_cut:
        _check(0 < count < len(made.numbers), f"expected some of the frames, got {count}")
        _check(announced in (None, len(made.numbers)), f"{announced} frames are announced")
        verdict = f"{count} of {len(made.numbers)}" + ("" if announced is None else ", warned of")
    else:
        _check(announced in (None, count), f"{announced} frames are announced, but there are {count}")
        verdict = str(count)
    return Outcome(verdict, _judge_times(made, [frame.info.time for frame in frames]))


def _check(is_right: bool, message: str) -> None:
    if not is_right:
        raise WrongFramesError(message)


def read_numbers(images: Sequence[Image]) -> list[int]:
    """The numbers that the pictures carry; those of a dark video are brightened first."""
    top = max(int(image.max()) for image in images)
    scale = 221 / top if top < 128 else 1
    return [read_number((image * scale).astype(np.uint8)) for image in images]


def _judge_times(made: Made, times: Sequence[float | None]) -> str:
    _check(None not in times and times[0] == 0, f"expected times from 0 on, got {times}")
    player = player_times(made.path)
    if _are_close(times, [time - player[0] for time in player]):
        return "FFmpeg's"
    expected = made.expected_times()[: len(times)]
    _check(_are_close(times, expected), f"expected the times {expected}, got {times}")
    return "as coded"


def _are_close(times: Sequence[float | None], others: Sequence[float]) -> bool:
    return len(times) == len(others) and np.allclose(np.array(times, float), others, rtol=0, atol=0.002)


def player_times(path: Path) -> list[float]:
    """Seconds at which FFmpeg shows each frame.

    As `guess_correct_pts` of libavcodec/decode.c: by the pts, or where these are out of order more often, by the dts.
    """
    times: list[float] = []
    faulty_pts = faulty_dts = 0
    last_pts = last_dts = -(2**63)
    for pts, dts, time_base in _decoded_times(path):
        if dts is not None:
            faulty_dts += dts <= last_dts
            last_dts = dts
        if pts is not None:
            faulty_pts += pts <= last_pts
            last_pts = pts
        best = pts if pts is not None and (faulty_pts <= faulty_dts or dts is None) else dts
        if best is None:
            return []
        times.append(float(best * time_base))
    return times


def _decoded_times(path: Path) -> Iterator[tuple[int | None, int | None, Fraction]]:
    with av.open(str(path)) as container, suppress(av.error.FFmpegError):  # a lost end
        for frame in container.decode(video=0):
            yield frame.pts, frame.dts, frame.time_base or Fraction(0)


# --- the page -------------------------------------------------------------------------------------------------------


def line(row: Row, outcome: Outcome) -> str:
    return f"| {row.suffix} | {row.codec} | {row.quirk} | {outcome.frames} | {outcome.times} |"


def with_table(text: str, lines: Sequence[str]) -> str:
    """The page with these lines in its table."""
    head = ["| file | codec | quirk | frames | times |", "|---|---|---|---|---|"]
    marks = r"(?<=<!-- table:quirks -->\n).*?(?=<!-- end:quirks -->)"
    made_with = f"\nMade with PyAV {av.__version__}.\n"
    return re.sub(marks, lambda _: "\n".join([*head, *lines]) + "\n" + made_with, text, flags=re.DOTALL)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [line(row, measure(row, Path(folder))) for row in ROWS]
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
