"""Loading a model: from a local folder, the hub's cache, or the hub; and what to do where that fails."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors import SafetensorError
from torch import Tensor, nn

from maskferry.engines._sam.frame_encoder import Mean
from maskferry.engines._sam.repvit import edgetam_without_timm
from maskferry.engines._weights import REPOSITORIES, cached, holds_weights, is_offline
from maskferry.errors import EngineError, InputError, MissingExtraError

__all__ = ["FAMILIES", "InFloat32", "Kind", "find_folder", "kind_of", "load_model", "pretrained"]

log = logging.getLogger(__name__)

HALF: Mean = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET: Mean = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

UNGATED = "sam2.1-large, sam2.1-base-plus, sam2.1-small, sam2.1-tiny and edgetam need no permission"
NOW = "engine 'flow' needs no weights and runs now"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of checkpoint, by the ``model_type`` in its config.json.

    Attributes:
        model: the class of transformers that tracks.
        mean: of the pictures it was trained on.
        text: the checkpoint also holds the detector, which takes text.
        half: bfloat16 is safe.
    """

    model: str
    mean: Mean
    text: bool = False
    half: bool = True


FAMILIES: dict[str, dict[str, Kind]] = {
    "sam3": {
        "sam3_video": Kind("Sam3TrackerVideoModel", HALF, text=True),
        "sam3_tracker_video": Kind("Sam3TrackerVideoModel", HALF),
    },
    "sam2.1": {"sam2_video": Kind("Sam2VideoModel", IMAGENET)},
    "edgetam": {"edgetam_video": Kind("EdgeTamVideoModel", IMAGENET, half=False)},
}
"""By family, then by ``model_type``. EdgeTAM's backbone normalises over batches, which wants float32."""


def family_of(name: str) -> dict[str, Kind]:
    """The kinds of checkpoint that an engine takes."""
    return FAMILIES[name.split("-")[0]]


def find_folder(name: str, checkpoint: str | Path | None = None) -> Path:
    """The folder that holds an engine's weights, downloaded where they are not here yet.

    Args:
        name: of the engine.
        checkpoint: a local folder or a repository of the hub; by default the engine's own repository.

    Raises:
        EngineError: the weights cannot be had; the message says what can be done.
    """
    wanted = REPOSITORIES[name].name if checkpoint is None else str(checkpoint)
    if (folder := Path(wanted).expanduser()).is_dir():
        if not holds_weights(folder):
            raise EngineError(
                f"engine {name!r}: the folder {folder} holds no model: expected config.json and all parts of "
                "model*.safetensors, as save_pretrained of transformers writes them"
            )
        return folder
    if isinstance(checkpoint, Path) or wanted.count("/") != 1 or wanted.startswith((".", "/", "~")):
        raise EngineError(f"engine {name!r}: there is no folder {wanted}, and it is no name of a repository either")
    return cached(wanted) or _download(name, wanted)


def _download(name: str, repository: str) -> Path:
    if is_offline():
        raise EngineError(
            f"engine {name!r}: the weights of {repository} are not on this machine, and the network is forbidden "
            f"(HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set). {_advice(name, repository)}"
        )
    log.info("engine %s: fetching the weights of %s, once", name, repository)
    try:
        folder = Path(snapshot_download(repository, allow_patterns=["*.json", "*.txt", "model*.safetensors"]))
    except GatedRepoError as err:
        raise EngineError(
            f"engine {name!r}: the weights of {repository} are gated, and this account or machine has no access. "
            f"{_advice(name, repository, gated=True)}"
        ) from err
    except RepositoryNotFoundError as err:
        raise EngineError(f"engine {name!r}: the hub knows no repository {repository}, or does not show it") from err
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as err:
        raise EngineError(
            f"engine {name!r}: the weights of {repository} are not on this machine and cannot be fetched: "
            f"{str(err).splitlines()[0]}. {_advice(name, repository)}"
        ) from err
    if not holds_weights(folder):
        raise EngineError(f"engine {name!r}: {repository} holds no model*.safetensors of transformers")
    return folder


def _advice(name: str, repository: str, *, gated: bool = False) -> str:
    gated = gated or (name in REPOSITORIES and REPOSITORIES[name].gated and REPOSITORIES[name].name == repository)
    access = (
        f"Ask for access at https://huggingface.co/{repository}, then log in (`hf auth login`, formerly "
        "`huggingface-cli login`, or set HF_TOKEN). "
        if gated
        else ""
    )
    other = f" {UNGATED}." if gated else ""
    return f'{access}A local folder works too: checkpoint="path/to/folder".{other} {NOW[0].upper()}{NOW[1:]}'


def kind_of(name: str, folder: Path) -> Kind:
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


class InFloat32(nn.Module):
    """A part of a network that computes in float32 whatever the rest does."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.float()

    def forward(self, x: Tensor) -> Tensor:
        """As the part itself, of values of any type."""
        out: Tensor = self.inner(x.float())
        return out


def load_model(name: str, folder: Path, kind: Kind, device: torch.device, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """The tracker, on its device.

    In half precision, what is sensitive stays in float32: the prompt encoder, position codes, and the head that says
    which of several masks is best.

    Raises:
        EngineError: the folder's weights do not fit, or the device has no room.
    """
    model = pretrained(name, kind.model, folder)
    if dtype == torch.float64:
        model = model.double()
    elif dtype != torch.float32:
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)  # buffers, which hold position codes, stay as they are
        model.prompt_encoder.float()
        model.shared_image_embedding.float()
        model.temporal_positional_encoding_projection_layer.float()
        model.mask_decoder.iou_prediction_head = InFloat32(model.mask_decoder.iou_prediction_head)
    try:
        return model.to(device).requires_grad_(requires_grad=False)
    except RuntimeError as err:
        raise EngineError(f"engine {name!r}: the model cannot be brought to {device}: {err}") from err


def pretrained(name: str, class_name: str, folder: Path) -> Any:  # noqa: ANN401
    """A model of transformers, whole, in float32, on the CPU.

    Raises:
        EngineError: the folder's weights do not fit.
        MissingExtraError: the model needs a package that is not installed.
    """
    try:
        cls, options = _class_of(class_name, folder)
        with _quietly():
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


def _class_of(class_name: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """A class of transformers, or what stands in for it, and what its ``from_pretrained`` needs besides."""
    if class_name == "EdgeTamVideoModel" and (found := edgetam_without_timm(folder)) is not None:
        return found[0], {"config": found[1]}
    return getattr(transformers, class_name), {}


@contextmanager
def _quietly() -> Generator[None]:
    """Without transformers' progress bars."""
    talk: Any = transformers.utils.logging
    shown = talk.is_progress_bar_enabled()
    talk.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            talk.enable_progress_bar()
