"""``BatchOptions``: how the videos of a run are tracked, and what is done when something fails."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maskferry.batch._manifest import Row
from maskferry.batch._named_detectors import load_detector
from maskferry.batch._runner import Settings
from maskferry.engines.registry import check_takes_text, known_engines, pick_engine
from maskferry.errors import InputError, UnknownEngineError
from maskferry.formats.registry import require_installed
from maskferry.outputs._kinds import RENDERINGS, known_kinds

if TYPE_CHECKING:  # a plan of a million rows needs no scipy
    from maskferry.masks import Overlap
    from maskferry.rendering import Palette
    from maskferry.tracks import Direction

__all__ = ["BatchOptions"]


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How a run goes.

    Attributes:
        engine: a name, or "auto" for the best that can run on the driver's machine.
        engine_options: what it is loaded with; plain values.
        direction: "both", "forward" or "backward", where a row says none.
        kinds: what to write of each video beside its tracks, see `outputs.known_kinds`.
        overlap: which object gets a pixel that several claim, see `masks.Overlap`.
        palette: colours of what is drawn.
        detector: "module:name" of a function that finds objects on the way, see `MaskTracker.propagate`.
        text: phrases that are looked for, see `MaskTracker.propagate`.
        every: on every how many-th frame is looked for them; None for the default.
        review: look through each video for moments that may be wrong, changes of appearance and swaps among them, as
            `tracks.review.summarize` does with the video; otherwise places, areas, losses and scores tell them.
        retries: how often a video is tried again after faults of the network.
        stall: seconds without progress after which a worker is taken for stuck.
        save_every: seconds between two saved states, from which another attempt goes on.
        scratch: folder on the workers' own disks; None for the system's temporary one.
        scratch_limit: bytes that one worker may use there; None for no limit.
        retry_failed: try videos again that an earlier run has given up.
        overwrite: replace results that were made of other inputs or with other options.
        take_over: take OUT over from a driver that is said to be at work.
    """

    engine: str = "auto"
    engine_options: Mapping[str, str | bool] = field(default_factory=dict)
    direction: Direction = "both"
    kinds: tuple[str, ...] = ("davis", "csv", "film")
    overlap: Overlap = "smallest"
    palette: Palette = "default"
    detector: str | None = None
    text: tuple[str, ...] = ()
    every: int | None = None
    review: bool = False
    retries: int = 3
    stall: float = 600.0
    save_every: float = 60.0
    scratch: str | None = None
    scratch_limit: int | None = None
    retry_failed: bool = False
    overwrite: bool = False
    take_over: bool = False

    def check(self) -> None:
        """Refuse what is wrong for every video.

        Raises:
            InputError: an option is wrong.
            UnknownEngineError: no engine of this name.
            PromptNotSupportedError: the engine does not look for words.
            MissingExtraError: a format needs what is not installed.
        """
        if self.engine != "auto" and self.engine not in known_engines():
            raise UnknownEngineError(f"no engine {self.engine!r}: expected {', '.join(known_engines())}, or auto")
        self._check_words()
        if self.detector is not None:
            load_detector(self.detector)
        for kind in self.kinds:
            if kind not in known_kinds():
                raise InputError(f"--write: expected {', '.join(known_kinds())}, got {kind!r}")
            if kind not in RENDERINGS:
                require_installed(kind)
        if self.retries < 0 or not self.stall > 0 or not self.save_every > 0:
            raise InputError("--retries: expected 0 or more; --stall and --save-every: expected seconds above 0")

    def _check_words(self) -> None:
        """Refuse words that cannot be looked for.

        Raises:
            InputError: it is so.
            PromptNotSupportedError: the engine takes none.
        """
        if self.text and self.detector:
            raise InputError("--text and --detector: give one of them")
        if self.every is not None and not (self.text or self.detector):
            raise InputError("--every says how often is looked for --text, or with --detector: give one of them")
        if self.text:
            from maskferry.run._detectors import checked_phrases

            checked_phrases(self.text, self.direction)
            if self.engine != "auto":
                check_takes_text(self.engine)

    def settings(self, out: str, nonce: str) -> Settings:
        """What workers are told.

        Raises:
            EngineError: no engine can run here.
        """
        engine = pick_engine(takes_text=bool(self.text)) if self.engine == "auto" else self.engine
        return Settings(
            out,
            engine,
            dict(self.engine_options),
            self.direction,
            self.kinds,
            self.overlap,
            self.palette,
            self.detector,
            self.text,
            self.every,
            self.review,
            self.save_every,
            self.scratch,
            self.scratch_limit,
            nonce,
        )


def fingerprint(settings: Settings, row: Row) -> str:
    """What the result of a row depends on, but for the content of its files: SHA-256 in hex."""
    values: list[Any] = [
        settings.engine,
        sorted(settings.options.items()),
        settings.overlap,
        settings.palette,
        settings.detector,
        list(settings.text),
        settings.every,
        row.direction or settings.direction,
        row.start,
        row.stop,
        row.stride,
        row.rate,
        [frame for frame, _ in row.masks],
    ]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
