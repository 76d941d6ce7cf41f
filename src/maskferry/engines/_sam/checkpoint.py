"""Loading a model from a folder: which kinds of checkpoint there are, and what each needs."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor, nn

from maskferry.engines._sam.preprocessing import MeanStd
from maskferry.engines._sam.repvit import edgetam_without_timm
from maskferry.engines._sam.untyped import ModelClass, ModelConfig, VideoModel
from maskferry.errors import EngineError, InputError, MissingExtraError

__all__ = ["FAMILIES", "CheckpointKind", "Float32Module", "family_of", "kind_of", "load_model", "load_pretrained"]

CENTRED: MeanStd = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET: MeanStd = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, slots=True)
class CheckpointKind:
    """A kind of checkpoint, by the ``model_type`` in its config.json.

    Attributes:
        model_class: the class of transformers that tracks.
        mean_std: of the pictures it was trained on.
        takes_text: the checkpoint also holds the detector, which takes text.
        bfloat16: half precision is safe.
        memory_selection: the authors run it with memory selection.
    """

    model_class: str
    mean_std: MeanStd
    takes_text: bool = False
    bfloat16: bool = True
    memory_selection: bool = False


FAMILIES: dict[str, dict[str, CheckpointKind]] = {
    "sam3": {
        "sam3_video": CheckpointKind("Sam3TrackerVideoModel", CENTRED, takes_text=True, memory_selection=True),
        "sam3_tracker_video": CheckpointKind("Sam3TrackerVideoModel", CENTRED, memory_selection=True),
    },
    "sam2.1": {"sam2_video": CheckpointKind("Sam2VideoModel", IMAGENET)},
    "edgetam": {"edgetam_video": CheckpointKind("EdgeTamVideoModel", IMAGENET, bfloat16=False)},
}
"""By family, then by ``model_type``. EdgeTAM's backbone normalises over batches, which needs float32."""


def family_of(name: str) -> dict[str, CheckpointKind]:
    """The kinds of checkpoint that an engine takes, by ``model_type``."""
    return FAMILIES[name.split("-")[0]]


def kind_of(name: str, folder: Path) -> CheckpointKind:
    """What kind of checkpoint a folder holds.

    Raises:
        InputError: one that this engine does not take.
        EngineError: its config cannot be read.
    """
    try:
        model_type = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise EngineError(f"engine {name!r}: {folder / 'config.json'} names no model_type ({err})") from err
    kinds = family_of(name)
    if model_type not in kinds:
        others = [f"{family} takes {', '.join(k)}" for family, k in FAMILIES.items()]
        raise InputError(
            f"engine {name!r}: the checkpoint {folder} is a {model_type!r}, expected {' or '.join(kinds)} "
            f"({'; '.join(others)})"
        )
    return kinds[model_type]


class Float32Module(nn.Module):
    """A part of a network that computes in float32, whatever the precision of the rest."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.float()

    def forward(self, x: Tensor) -> Tensor:
        """The part's output for values of any dtype."""
        out: Tensor = self.inner(x.float())
        return out


def load_model(name: str, folder: Path, kind: CheckpointKind, device: torch.device, dtype: torch.dtype) -> VideoModel:
    """The tracker, on its device.

    In half precision, the sensitive parts stay in float32: the prompt encoder, position codes, and the head that says
    which of several masks is best.

    Raises:
        EngineError: the folder's weights do not fit, or the device has too little memory.
    """
    model = load_pretrained(name, kind.model_class, folder)
    if dtype == torch.float64:
        model = model.double()
    elif dtype != torch.float32:
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)  # buffers, which hold position codes, stay as they are
        model.prompt_encoder.float()
        model.shared_image_embedding.float()
        model.temporal_positional_encoding_projection_layer.float()
        model.mask_decoder.iou_prediction_head = Float32Module(model.mask_decoder.iou_prediction_head)
    try:
        return model.to(device).requires_grad_(requires_grad=False)
    except RuntimeError as err:
        raise EngineError(f"engine {name!r}: the model cannot be moved to {device}: {err}") from err


def load_pretrained(name: str, class_name: str, folder: Path) -> VideoModel:
    """A model of transformers, whole, in float32, on the CPU.

    Raises:
        EngineError: the folder's weights do not fit.
        MissingExtraError: the model needs a package that is not installed.
    """
    try:
        cls, options = _class_of(class_name, folder)
        with _without_progress_bars():
            model, report = cls.from_pretrained(
                folder,
                local_files_only=True,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
    except ImportError as err:
        raise MissingExtraError(
            f"engine {name!r}: {folder} as a {class_name} needs a package that is not installed: "
            f"{' '.join(str(err).split())}"
        ) from err
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError, SafetensorError) as err:
        raise EngineError(f"engine {name!r}: {folder} cannot be loaded as a {class_name}: {err}") from err
    if missing := sorted(report["missing_keys"]):
        raise EngineError(f"engine {name!r}: {folder} lacks {len(missing)} weights of a {class_name}: {missing[:3]}")
    return model.eval()


def _class_of(class_name: str, folder: Path) -> tuple[ModelClass, dict[str, ModelConfig]]:
    """A class of transformers, or its replacement, and further arguments of its ``from_pretrained``."""
    if class_name == "EdgeTamVideoModel" and (found := edgetam_without_timm(folder)) is not None:
        return found[0], {"config": found[1]}
    return getattr(transformers, class_name), {}


@contextmanager
def _without_progress_bars() -> Generator[None]:
    """Hide transformers' progress bars in this context."""
    bars: Any = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()
