"""Which results of other models can be read, and who reads each kind; no reader is imported before it is asked.

A reader is a module with two functions, see `Reader`. The built-in ones are asked first, in the order of `BUILT_IN`,
then those of plugins, by name. So a plugin cannot change how a built-in kind is read; it adds kinds that would be
refused without it. Plain arrays, tensors and lists of them need no reader, and no plugin is asked about them.

A plugin declares its module in its package's metadata, under the name that messages give to the kind:

    [project.entry-points."maskferry.detections"]
    my-model = "my_package.my_reader"
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from maskferry.detections._detections import Detections, Names

__all__ = ["Reader", "ReaderSpec", "find_reader", "known_readers", "load_reader"]

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "maskferry.detections"


class Reader(Protocol):
    """What a reader's module has."""

    def matches(self, value: Any) -> bool:  # noqa: ANN401
        """Whether a value is of this kind.

        It is asked about values of every kind: look at attributes and keys, import nothing, raise nothing.
        """
        ...

    def read(self, value: Any, size_hw: tuple[int, int], names: Names | None) -> Detections:  # noqa: ANN401
        """Read a value that matches; `detections.from_columns` does the greater part.

        Args:
            value: what the model has found on one picture.
            size_hw: (height, width) of the video, which the masks must have.
            names: names of classes by number, where the caller gave them.

        Raises:
            InputError: the value cannot be read; the message says why, and what would do.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReaderSpec:
    """Where a reader lives. Reading a spec imports nothing.

    Attributes:
        name: of the kind, as messages call it.
        target: "package.module", which has the functions of `Reader`.
        summary: one line.
    """

    name: str
    target: str
    summary: str


def _built_in(name: str, module: str, summary: str) -> ReaderSpec:
    return ReaderSpec(name, f"maskferry.detections.{module}", summary)


BUILT_IN = (
    _built_in("ultralytics Results", "_ultralytics", "`Results` of YOLO, SAM, FastSAM"),
    _built_in("supervision.Detections", "_supervision", "`Detections` with masks"),
    _built_in(
        "Detectron2 output", "_detectron2", "`Instances`, what a predictor returns, panoptic output (things only)"
    ),
    _built_in("MMDetection output", "_mmdet", "`DetDataSample`, `InstanceData`, the dictionaries of `DetInferencer`"),
    _built_in(
        "segmentation with segments_info",
        "_post_processed",
        "transformers: `post_process_instance_segmentation` and `post_process_panoptic_segmentation`",
    ),
    _built_in(
        "SAM's mask generator",
        "_sam",
        "the list of `SamAutomaticMaskGenerator`; annotations of SA-1B; COCO's results and annotations of one picture",
    ),
    _built_in(
        "image-segmentation pipeline",
        "_image_segmentation",
        'transformers: the list of `pipeline("image-segmentation")`',
    ),
    _built_in("torchvision Mask R-CNN", "_torchvision", "the dictionary `boxes`, `labels`, `scores`, `masks`"),
    _built_in(
        "GroundingDINO + SAM",
        "_grounding",
        "the pair (boxes of a detector prompted with words, masks that SAM made of them)",
    ),
    _built_in(
        "Roboflow inference", "_roboflow", "responses with outlines or RLEs, as objects or as the servers' dictionaries"
    ),
    _built_in(
        "mask-generation pipeline",
        "_mask_generation",
        'transformers: the dictionary of `pipeline("mask-generation")`; SAM 3\'s `post_process_instance_segmentation`',
    ),
)
"""In the order in which they are asked, which matters for dictionaries. Torchvision comes before GroundingDINO, which
takes any boxes with labels; this one before the mask-generation pipeline, which takes any masks with scores but without
"labels", so that a result of GroundingDINO with "text_labels" would be one."""


def known_readers() -> tuple[ReaderSpec, ...]:
    """All readers in the order in which they are asked: the built-in ones, then those of plugins, by name."""
    return BUILT_IN + _plugins(tuple(sys.path))


def find_reader(value: Any) -> ReaderSpec | None:  # noqa: ANN401
    """The first reader whose kind a value is; None where no reader knows it."""
    for spec in BUILT_IN:
        if _matches(spec, value):
            return spec
    for spec in _plugins(tuple(sys.path)):
        if _plugin_matches(spec, value):
            return spec
    return None


def _matches(spec: ReaderSpec, value: Any) -> bool:  # noqa: ANN401
    """Whether a value is of a built-in kind; one that fails when it is looked at is of none."""
    reader = load_reader(spec)
    try:
        return reader.matches(value)
    except Exception as err:
        log.debug("no %s: %r", spec.name, err)
        return False


@cache
def load_reader(spec: ReaderSpec) -> Reader:
    """Import a reader, as any entry point is."""
    reader: Reader = EntryPoint(spec.name, spec.target, ENTRY_POINT_GROUP).load()
    return reader


@cache
def _plugins(search_path: tuple[str, ...]) -> tuple[ReaderSpec, ...]:
    """What installed packages declare, by name; looked up once for each state of ``sys.path``."""
    built_in = {spec.name for spec in BUILT_IN}
    found: dict[str, ReaderSpec] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name in built_in or point.name in found:
            log.warning("detections plugin %r (%s) is left out: the name is taken", point.name, point.value)
        else:
            found[point.name] = ReaderSpec(point.name, point.value, f"plugin {point.value}")
    return tuple(found[name] for name in sorted(found))


def _plugin_matches(spec: ReaderSpec, value: Any) -> bool:  # noqa: ANN401
    """Whether a plugin says that a value is of its kind; one that fails is logged, and does not."""
    if not _is_usable(spec):
        return False
    try:
        return bool(load_reader(spec).matches(value))
    except Exception as err:
        log.warning("detections plugin %r (%s) is left out: matches() failed: %r", spec.name, spec.target, err)
        return False


@cache
def _is_usable(spec: ReaderSpec) -> bool:
    """Whether a plugin can be imported and has both functions; what is wrong with it is logged, once."""
    try:
        reader = load_reader(spec)
    except Exception as err:
        log.warning("detections plugin %r (%s) is left out: %r", spec.name, spec.target, err)
        return False
    missing = [f"{name}()" for name in ("matches", "read") if not callable(getattr(reader, name, None))]
    if missing:
        log.warning("detections plugin %r (%s) is left out: no %s", spec.name, spec.target, " and no ".join(missing))
    return not missing
