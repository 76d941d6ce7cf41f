"""The sound of a video, put under a film while that is written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container

from maskferry._ffmpeg import open_alone
from maskferry.errors import InputError

__all__ = ["Sound"]

log = logging.getLogger(__name__)

_COPIED = frozenset({"aac", "ac3", "alac", "eac3", "mp3"})  # what every player expects in an MP4
_AAC_RATES = frozenset({8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000})


class Sound:
    """The first audio stream of a file. Packets are copied where MP4 can hold the codec, else encoded as AAC,
    mono or stereo.

    Call `add_to` before the film's first packet is written, `mux_until` as the film goes on, `finish` at its end.
    """

    def __init__(self, source: av.container.InputContainer, name: str) -> None:
        self._name = name
        self._stream = source.streams.audio[0]
        # A video's time 0 is its first frame, which need not be the first thing in the file.
        self._zero = _start_of(source)
        self._packets = self._read(source)
        self._waiting: av.Packet[av.AudioStream] | None = None
        self._resampler: av.AudioResampler | None = None  # where the sound is encoded anew

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Sound | None]:
        """Open a file's sound; None, and a line in the log, where it has none.

        Raises:
            InputError: the file cannot be opened.
        """
        try:
            source = open_alone(path)
        except (OSError, ValueError, av.FFmpegError) as err:
            raise InputError(f"audio_from: {path} cannot be opened: {err}") from err
        with source:
            if source.streams.audio:
                yield cls(source, path.name)
            else:
                log.warning("%s has no sound: the film has none either", path)
                yield None

    def add_to(self, out: av.container.OutputContainer) -> None:
        """Make the film's audio stream."""
        self._container = out
        if self._stream.codec_context.name.removesuffix("float") in _COPIED:
            # PyAV 13 has this under another name, which PyAV 14 took away.
            add: Any = getattr(out, "add_stream_from_template", out.add_stream)
            self._out = add(template=self._stream)
            return
        context = self._stream.codec_context
        layout = "mono" if context.layout.nb_channels == 1 else "stereo"
        rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48_000
        self._out = out.add_stream("aac", rate=rate)
        self._out.codec_context.layout = layout
        self._resampler = av.AudioResampler("fltp", layout, rate, frame_size=1024)

    def mux_until(self, end: Fraction, start: float) -> None:
        """Write what is heard before ``end``, in whole packets.

        Args:
            end: seconds from the start of the film.
            start: where in the video the film starts, seconds.
        """
        shift = self._zero + Fraction(start)
        while (packet := self._next()) is not None and packet.pts is not None:
            time = packet.pts * packet.time_base - shift
            if time >= end:
                self._waiting = packet
                return
            if time < 0 < start:  # before the film; at the very start a decoder may need what comes before 0
                continue
            if self._resampler is None:
                self._copy(packet, shift)
            else:
                self._encode(packet, shift, self._resampler)

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._resampler is not None:
            for frame in self._resampler.resample(None):
                self._container.mux(self._out.encode(frame))
            self._container.mux(self._out.encode(None))

    def _next(self) -> av.Packet[av.AudioStream] | None:
        packet, self._waiting = self._waiting, None
        return packet or next(self._packets, None)

    def _read(self, source: av.container.InputContainer) -> Iterator[av.Packet[av.AudioStream]]:
        """Packets of the stream; a damaged file's sound ends early."""
        try:
            yield from (p for p in source.demux(self._stream) if p.pts is not None)
        except av.FFmpegError as err:
            log.warning("%s: the sound ends early: %s", self._name, err)

    def _copy(self, packet: av.Packet[av.AudioStream], shift: Fraction) -> None:
        ticks = round(shift / packet.time_base)
        packet.pts = (packet.pts or 0) - ticks
        packet.dts = packet.pts if packet.dts is None else packet.dts - ticks
        packet.stream = self._out
        self._container.mux(packet)

    def _encode(self, packet: av.Packet[av.AudioStream], shift: Fraction, resampler: av.AudioResampler) -> None:
        try:
            frames = packet.decode()
        except av.FFmpegError as err:
            log.warning("%s: a piece of the sound is damaged and left out: %s", self._name, err)
            return
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(shift / frame.time_base)
            for piece in resampler.resample(frame):
                self._container.mux(self._out.encode(piece))


def _start_of(source: av.container.InputContainer) -> Fraction:
    """When the file's picture starts, seconds."""
    for stream in source.streams.video:
        if stream.start_time is not None and stream.time_base is not None:
            return stream.start_time * stream.time_base
    return Fraction(0)
