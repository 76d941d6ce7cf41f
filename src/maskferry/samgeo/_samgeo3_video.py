"""``SamGeo3Video``: samgeo's signatures, each served by a `MaskTracker`."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from pathlib import Path
from typing import Any
from uuid import uuid4

from maskferry import AssociationOptions, MaskTracker, TextPrompt, open_source
from maskferry.closing import Closing
from maskferry.data import Image, Source, VideoLike
from maskferry.engines.base import Engine
from maskferry.engines.registry import EngineSpec, engine_status, known_engines, pick_engine
from maskferry.errors import InputError, NothingFoundError
from maskferry.samgeo._lazy_views import FrameImages, FrameOutputs, PerFrame
from maskferry.samgeo._messages import ProgressMessages, explain_unused, say
from maskferry.samgeo._prompt_methods import PromptMethods
from maskferry.samgeo._result_methods import ResultMethods
from maskferry.samgeo._sampled_source import SampledSource
from maskferry.sources import describe_series, is_series, open_series, parse_rate

__all__ = ["SamGeo3Video"]


def gpu_names(numbers: Sequence[int]) -> list[str]:
    """Names of torch's devices, by number.

    >>> gpu_names([0, 2])
    ['cuda:0', 'cuda:2']

    Raises:
        InputError: not numbers from 0.
    """
    try:
        found = [index(number) for number in numbers]
    except TypeError:
        found = [-1]
    if any(number < 0 for number in found):
        raise InputError(f"gpus_to_use: expected a list of GPUs' numbers such as [0, 1], got {numbers!r}")
    return [f"cuda:{number}" for number in found]


def _open(video: VideoLike, bands: Sequence[int] | None) -> Source:
    if bands is None or not is_series(video):
        return open_source(video)
    if len(bands) != 3:
        raise InputError(f"bands: expected three, for red, green and blue, got {list(bands)!r:.80}")
    return open_series(video, bands=bands)


class SamGeo3Video(PromptMethods, ResultMethods, Closing):
    """Follow objects through a video.

    >>> import numpy as np
    >>> video = np.random.default_rng(0).integers(0, 255, (5, 48, 64, 3), dtype=np.uint8)
    >>> mask = np.zeros((48, 64), dtype=bool); mask[10:20, 10:30] = True
    >>> sam = SamGeo3Video(engine="hold")
    Engine: hold (repeats the last mask: a baseline)
    >>> sam.set_video(video)
    Loaded 5 frames of 64x48.
    >>> sam.add_mask_prompt(mask, obj_id=100)
    Object 100: mask of 200 pixels on frame 0.
    100
    >>> outputs = sam.propagate()
    Propagated 1 object(s) to 5 frames.
    >>> outputs[4]["out_binary_masks"].shape
    (1, 48, 64)
    >>> sam.close()
    Video closed.
    """

    def __init__(
        self,
        gpus_to_use: Sequence[int] | None = None,
        bpe_path: str | None = None,
        *,
        engine: str | Engine = "auto",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Choose an engine. Nothing is loaded yet.

        Args:
            gpus_to_use: numbers of GPUs, for an engine that runs on them; the objects are spread over several. By
                default the engine picks its device.
            bpe_path: accepted and not used; it names a vocabulary of SAM 3.
            engine: a name, "auto" for the best that can run here, or a loaded engine.
            kwargs: accepted and not used; they are options of SAM 3's builder.

        Raises:
            UnknownEngineError: no engine of this name.
            InputError: ``gpus_to_use`` is no list of numbers from 0.
        """
        gpus = [] if gpus_to_use is None else gpu_names(gpus_to_use)
        chosen = pick_engine() if engine == "auto" else engine
        spec = known_engines().get(chosen) if isinstance(chosen, str) else None
        on_gpus = bool(gpus) and isinstance(spec, EngineSpec) and "device" in spec.takes
        explain_unused(
            gpus_to_use="this engine picks its device" if gpus and not on_gpus else None,
            bpe_path=None if bpe_path is None else "it names a vocabulary of SAM 3",
            **{name: "it is an option of SAM 3's builder; engines are chosen by engine=" for name in kwargs},
        )
        self.gpus_to_use = gpus_to_use
        self.video_path: VideoLike | None = None
        self.session_id: str | None = None
        options: dict[str, Any] = {"device": gpus} if on_gpus else {}
        self._tracker = MaskTracker(engine=chosen, **options)
        name = self._tracker.engine_name
        say(f"Engine: {name}" + (f" ({engine_status(name).summary})" if name in known_engines() else ""))

    # --- the video ----------------------------------------------------------------------------------------------

    def set_video(
        self,
        video_path: VideoLike,
        output_dir: str | Path | None = None,
        frame_rate: float | None = None,
        prefix: str = "",
        bands: Sequence[int] | None = None,
    ) -> None:
        """Choose the video.

        Args:
            video_path: a file, a URL, a folder of pictures, an array (T, H, W, 3), or a series of GeoTIFFs: a folder, a
                pattern or a list, see `open_series`; also one that is open.
            output_dir: accepted and not used; frames are decoded straight from the file, not extracted into a folder.
            frame_rate: about so many frames of each second are kept: every n-th, with n = floor(rate) / frame_rate,
                rounded down, as in samgeo; they are numbered anew.
            prefix: accepted and not used; samgeo names extracted frames with it.
            bands: of GeoTIFFs, the three for red, green and blue, numbered from 1.

        Raises:
            SourceError: it cannot be opened.
            InputError: the frame rate is not above 0; of GeoTIFFs, the bands are not three, or there are none of these
                numbers, or `open_series` refuses them.
            MissingExtraError: GeoTIFFs need rasterio.
        """
        explain_unused(
            output_dir=None if output_dir is None else "frames are decoded straight from the file, none are extracted",
            prefix="no frames are extracted whose names it could begin" if prefix else None,
            bands=None if bands is None or is_series(video_path) else "it chooses bands of GeoTIFFs",
        )
        if frame_rate is not None:
            try:
                parse_rate(frame_rate)
            except InputError as err:
                raise InputError(f"frame_rate: {err}") from err
        source = _open(video_path, bands)
        if frame_rate is not None and source.info.rate is None:
            explain_unused(frame_rate="these frames have no rate of their own, all are kept")
        elif (
            frame_rate is not None
            and source.info.recipe is None
            and (step := int(int(source.info.rate or 0) / frame_rate)) > 1
        ):
            source = SampledSource(source, step)
        self._tracker.set_video(source)
        self._outputs, self._phrase = None, None
        self.video_path, self.session_id = video_path, str(uuid4())
        count = source.info.frame_count
        for text in describe_series(source.info):
            say(text[0].upper() + text[1:] + ".")
        say(f"Loaded {'a stream' if count is None else f'{count} frames'} of {self.frame_width}x{self.frame_height}.")

    @property
    def predictor(self) -> Engine:
        """The engine, which samgeo calls its predictor. It is loaded when it is first needed."""
        return self._tracker.engine

    @property
    def frame_width(self) -> int:
        """Pixels."""
        return self._tracker.source.info.width

    @property
    def frame_height(self) -> int:
        """Pixels."""
        return self._tracker.source.info.height

    @property
    def video_frames(self) -> Sequence[Image]:
        """All frames, RGB uint8 (H, W, 3), decoded when they are asked for."""
        return FrameImages(self._tracker.source)

    # --- prompts ------------------------------------------------------------------------------------------------

    def init_tracker(self, frame_idx: int = 0) -> None:
        """Start with no objects. Instant, and optional: masks can be added at any time without it.

        `outputs_per_frame` then has every frame of the video, as in samgeo; without objects, until there are some.
        """
        self._tracker.init_tracker(frame_idx)
        self._phrase = None
        self._start(is_started=True)
        say("Ready for masks; there are no objects yet.")

    def reset(self) -> None:
        """Forget all objects and results; the video stays."""
        self._tracker.reset()
        self._phrase = None
        self._start(is_started=False)
        say("Forgot all objects and results.")

    def generate_masks(self, prompt: str, frame_idx: int = 0, propagate: bool = True) -> PerFrame[FrameOutputs]:
        """Find everything that words name and follow it; objects of before are forgotten, as in samgeo.

        The next `propagate` looks for the words through the whole video, as SAM 3's video mode does: what enters on a
        later frame is found too. They are looked for on every 10th frame, where an object is lost, and where much of
        the picture is new; SAM 3 looks on every frame. A new object counts once a second look has found it again, and
        is then followed back to where it came in. When that is done, or an object was removed before, the words are
        looked for no longer: what was removed stays away.

        The objects are numbered from 1. samgeo's begin with 0, which is the background of label maps.

        Args:
            prompt: a short noun phrase.
            frame_idx: the frame to look at first: what is found there counts at once.
            propagate: also look for the words through the video, and follow what is found.

        Returns:
            As `propagate`.

        Raises:
            PromptNotSupportedError: the engine takes no text; the message says what to do instead.
        """
        if TextPrompt in self._tracker.engine.accepts:
            self._tracker.reset()
        found = self._tracker.generate_masks(prompt, frame_idx, first_id=1)
        self._phrase = prompt
        self._start(is_started=propagate)
        say(f"Found {len(found)} object(s) matching {prompt!r} on frame {frame_idx}.")
        return self.propagate() if propagate else self.outputs_per_frame

    # --- the run ------------------------------------------------------------------------------------------------

    def propagate(self) -> PerFrame[FrameOutputs]:
        """Follow everything through the video, to both sides of its masks, and look for the words of `generate_masks`.
        What is tracked already is not done again.

        Returns:
            {frame index: {"out_obj_ids": (N,), "out_binary_masks": bool (N, H, W), "out_probs": (N,)}}, decoded when
            it is looked at. It shows this run as it stands: `reset` and `init_tracker` empty it.

        Raises:
            InputError: nothing to track, and `init_tracker` was not called.
            EngineError: the engine failed. Finished frames are kept; call again to resume.
        """
        outputs = self.outputs_per_frame
        if outputs.is_started and not self._tracker.tracks.object_ids and self._phrase is None:
            say("There are no objects to follow yet.")
            return outputs
        self._start(is_started=False)
        try:
            tracks = self._tracker.propagate(
                callback=ProgressMessages(), text=self._phrase, association=AssociationOptions(first_id=1)
            )
        except NothingFoundError:
            say(f"Found nothing matching {self._phrase!r} on later frames either.")
            self._start(is_started=True)
            self._phrase = None
            return outputs
        self._phrase = None
        say(f"Propagated {len(tracks.object_ids)} object(s) to {len(tracks)} frames.")
        return outputs

    # --- life ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the video; another can be set. What was found can still be read until then. May be called twice."""
        if self.video_path is not None:
            say("Video closed.")
        self.video_path = self.session_id = None
        self._tracker.close()

    def shutdown(self) -> None:
        """Close everything, the engine too. May be called twice."""
        self.close()
        self._tracker.shutdown()

    def _leave(self) -> None:
        self.shutdown()
