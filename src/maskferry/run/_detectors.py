"""What finds objects while a run goes on: a function of the caller's, or words, which the engine itself looks for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import Any, Protocol

from maskferry._arguments import show
from maskferry.association._options import OF_FUNCTIONS, AssociationOptions, DetectorSettings
from maskferry.association._scheduler import DetectorResult
from maskferry.data import Frame, Image, TextPrompt, VideoInfo
from maskferry.detections import Detections, read_detections
from maskferry.engines.base import DetectsText, Engine, ScoredMask, Session, TextThresholds
from maskferry.engines.registry import check_takes_text, no_text_message
from maskferry.errors import InputError, PromptNotSupportedError
from maskferry.masks._matching import iou_matrix
from maskferry.rle import Rle
from maskferry.run._workspace import Workspace
from maskferry.tracks._planner import Direction

__all__ = ["Detector", "RunDetector", "checked_phrases", "choose_detector"]

Detector = Callable[[Image], Any]
"""Takes a frame, RGB uint8 (H, W, 3); returns its objects in any form that `detections.read_detections` reads."""

EVERY_WITH_TEXT = 10
"""Frames between two looks for words: seldom enough to cost little, often enough to miss little."""


OF_OTHERS = TextThresholds(min_score=0.0, min_new_score=0.0, max_iou=1.0)
"""For engines that say nothing of thresholds: what they find is what they take for objects."""


class RunDetector(Protocol):
    """A detector of a run.

    Attributes:
        defaults: of the options that depend on it.
        phrases: that it looks for; none where it finds what it finds.
        what: it looks for, so that it is known again when a run goes on.
        nothing_found: that, for people.
    """

    defaults: DetectorSettings
    phrases: tuple[str, ...]
    what: str
    nothing_found: str

    def __call__(self, frame: Frame, session: Session | None) -> DetectorResult:
        """What it finds on a frame; see `FrameDetector`."""
        ...

    def open(self) -> AbstractContextManager[Session | None]:
        """A session to search frames with that no pass has come to; None where it needs none."""
        ...


class FunctionDetector:
    """A function of the caller's; see `RunDetector`."""

    def __init__(self, detector: Detector, size_hw: tuple[int, int], options: AssociationOptions) -> None:
        self._detector, self._size_hw = detector, size_hw
        self.defaults = OF_FUNCTIONS
        self.phrases: tuple[str, ...] = ()
        self.what, self.nothing_found = "a detector", "the detector found nothing"
        self._max_iou = options.settings(self.defaults).max_iou

    def __call__(self, frame: Frame, session: Session | None) -> Detections:
        """What the function finds."""
        found = read_detections(self._detector(frame.image), self._size_hw)
        return found if self._max_iou >= 1 else without_weaker(found, self._max_iou)

    def open(self) -> AbstractContextManager[None]:
        """Nothing is needed."""
        return nullcontext()


class PhraseDetector:
    """Words that the engine looks for; see `RunDetector`.

    A session that `DetectsText` does it itself, on the features with which it tracks. Of another engine that takes
    text, a session of its own is asked on each frame.

    Raises:
        EngineError: the checkpoint cannot be read.
    """

    def __init__(self, phrases: Sequence[str], engine: Engine, video: VideoInfo, options: AssociationOptions) -> None:
        self._engine, self._video = engine, video
        self.phrases, self.what = tuple(phrases), " or ".join(map(repr, phrases))
        self.nothing_found = f"found nothing that {self.what} names"
        with self.open() as session:
            own = session.text_thresholds() if isinstance(session, DetectsText) else OF_OTHERS
        self.defaults = DetectorSettings(EVERY_WITH_TEXT, own.min_score, own.min_new_score, own.max_iou)
        self._settings = options.settings(self.defaults)

    def __call__(self, frame: Frame, session: Session | None) -> Detections:
        """What the words name."""
        settings = self._settings
        if isinstance(session, DetectsText):
            found = session.detect(frame, self.phrases, min_score=settings.min_score, max_iou=settings.max_iou)
        else:
            found = [self._prompted(frame, text) for text in self.phrases]
        named = [(text, *one) for text, own in zip(self.phrases, found, strict=True) for one in own]
        return Detections([mask for _, mask, _ in named], [s for *_, s in named], [text for text, *_ in named])

    @contextmanager
    def open(self) -> Generator[Session]:
        """A session of the engine, to search frames with."""
        with closing(self._engine.open(self._video)) as session:
            yield session

    def _prompted(self, frame: Frame, text: str) -> list[ScoredMask]:
        """What a session of its own finds of one phrase."""
        with self.open() as session:
            found = session.step(frame, [TextPrompt(frame.index, text)])
        return [(row.rle.decode(), row.score) for row in found if row.rle.area]


def choose_detector(
    workspace: Workspace,
    detector: Detector | None,
    text: str | Sequence[str] | None,
    direction: Direction,
    options: AssociationOptions,
) -> RunDetector | None:
    """What finds objects while the run goes on; None where nothing does.

    Raises:
        InputError: there are both, or one is malformed, or words are to be looked for backward only.
        PromptNotSupportedError: text, and an engine that does not look for words.
        EngineError: the checkpoint cannot be read.
    """
    if not (detector is None or callable(detector)):
        raise InputError(f"detector: expected a function that takes a frame, got {show(detector)}")
    phrases = checked_phrases(text, direction)
    if not phrases:
        return None if detector is None else FunctionDetector(detector, workspace.source.info.size_hw, options)
    if detector is not None:
        raise InputError("pass a detector or text, not both: a detector may look for words itself")
    return PhraseDetector(phrases, require_text_engine(workspace), workspace.source.info, options)


def checked_phrases(text: str | Sequence[str] | None, direction: Direction) -> tuple[str, ...]:
    """The phrases to look for, each once.

    Raises:
        InputError: they are no texts, or empty, or are to be looked for backward.
    """
    if text is None:
        return ()
    phrases = [text] if isinstance(text, str) else text
    if not isinstance(phrases, list | tuple) or not phrases:
        raise InputError(f"text: expected a short phrase such as 'car', or a list of some, got {show(text)}")
    wrong = [one for one in phrases if not isinstance(one, str) or not one.strip()]
    if wrong:
        raise InputError(f"text: expected short phrases such as 'car', got {show(wrong[0])}")
    if direction == "backward":
        raise InputError("text: words are looked for in forward passes: choose the direction both or forward")
    return tuple(dict.fromkeys(one.strip() for one in phrases))


def require_text_engine(workspace: Workspace) -> Engine:
    """The engine, if it takes words; by its name, before it is loaded, where that tells.

    Raises:
        PromptNotSupportedError: it takes no words.
    """
    workspace.prefer_text_engine()
    if not workspace.is_engine_loaded:
        check_takes_text(workspace.engine_name)
    engine = workspace.engine
    if TextPrompt not in engine.accepts:
        raise PromptNotSupportedError(no_text_message(engine.name))
    return engine


def without_weaker(found: Detections, max_iou: float) -> Detections:
    """Of two detections with the same label and a higher IoU, the one with the better score alone."""
    scores = [1.0 if score is None else score for score in found.scores]
    rles = [Rle.encode(mask) for mask in found.masks]
    overlap = iou_matrix(rles, rles)
    kept: list[int] = []
    for i in sorted(range(len(found)), key=lambda i: -scores[i]):
        if not any(found.labels[i] == found.labels[j] and overlap[i, j] > max_iou for j in kept):
            kept.append(i)
    kept.sort()
    return Detections([found.masks[i] for i in kept], [found.scores[i] for i in kept], [found.labels[i] for i in kept])
