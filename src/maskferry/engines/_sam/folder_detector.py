"""The detector of ``sam3``, from the folder of its checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
import transformers

from maskferry.engines._sam.checkpoint import load_pretrained
from maskferry.engines._sam.network import Network
from maskferry.engines._sam.text_detector import Overlap
from maskferry.engines._sam.untyped import DetectorModel, Tokenizer
from maskferry.engines.base import TextThresholds
from maskferry.errors import EngineError

__all__ = ["FolderDetector"]

log = logging.getLogger(__name__)


class FolderDetector:
    """See `text_detector.DetectorSource`.

    Args:
        name: of the engine.
        folder: of the checkpoint.
        network: the tracker.
    """

    overlap: Overlap = "iou"

    def __init__(self, name: str, folder: Path, network: Network) -> None:
        self._name, self._folder, self._network = name, folder, network

    def thresholds(self) -> TextThresholds:
        """Those in the checkpoint's config.

        Raises:
            EngineError: it cannot be read.
        """
        config = self._read("config", transformers.AutoConfig)
        return TextThresholds(
            float(config.score_threshold_detection), float(config.new_det_thresh), float(config.det_nms_thresh)
        )

    def load(self) -> tuple[DetectorModel, Tokenizer]:
        """The detector, with the tracker's backbone, and the tokenizer.

        Raises:
            EngineError: the folder holds no detector or no tokenizer.
        """
        log.info("engine %s: loading the detector, which takes text", self._name)
        tokenizer = self._read("tokenizer", transformers.AutoTokenizer)
        detector = load_pretrained(self._name, "Sam3Model", self._folder)
        detector.vision_encoder.backbone = self._network.model.vision_encoder.backbone  # one copy of 446 M weights
        for parameter in detector.parameters():
            parameter.data = parameter.data.to(self._network.device, self._network.dtype)
        if self._network.dtype == torch.float64:
            detector.double()
        return detector.to(self._network.device).eval().requires_grad_(requires_grad=False), tokenizer

    def _read(self, what: str, reader: Any) -> Any:  # noqa: ANN401
        try:
            return reader.from_pretrained(self._folder, local_files_only=True)
        except (OSError, ValueError, KeyError, ImportError) as err:
            raise EngineError(f"engine {self._name!r}: {self._folder} holds no {what}: {err}") from err
