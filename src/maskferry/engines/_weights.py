"""Where a model's weights come from, and whether they are on this machine. Imports neither torch nor transformers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["REPOSITORIES", "Repository", "cache_folder", "cached", "holds_weights", "is_offline", "whole_file"]


@dataclass(frozen=True, slots=True)
class Repository:
    """Weights on the Hugging Face hub.

    Attributes:
        name: "owner/name".
        gated: they are given only to accounts that have asked for access.
        files: patterns of file names, each of which is the whole model, the preferred one first; without any, the model
            is what ``save_pretrained`` of transformers writes.
    """

    name: str
    gated: bool = False
    files: tuple[str, ...] = ()


REPOSITORIES = {
    "sam3.1": Repository(
        "facebook/sam3.1", gated=True, files=("sam3.1_multiplex*.safetensors", "sam3.1_multiplex*.pt")
    ),
    "sam3": Repository("facebook/sam3", gated=True),
    "sam2.1-tiny": Repository("facebook/sam2.1-hiera-tiny"),
    "sam2.1-small": Repository("facebook/sam2.1-hiera-small"),
    "sam2.1-base-plus": Repository("facebook/sam2.1-hiera-base-plus"),
    "sam2.1-large": Repository("facebook/sam2.1-hiera-large"),
    "edgetam": Repository("yonigozlan/EdgeTAM-hf"),
}
"""By engine name."""


def cache_folder() -> Path:
    """Where huggingface_hub keeps what it downloads; follows its environment variables."""
    for name, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if value := os.environ.get(name):
            return Path(value).expanduser() / below
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def is_offline() -> bool:
    """Whether the user has forbidden the network to huggingface_hub or transformers."""
    wanted = (os.environ.get(name, "").upper() for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value in {"1", "ON", "YES", "TRUE"} for value in wanted)


def holds_weights(folder: Path, files: Sequence[str] = ()) -> bool:
    """Whether a folder holds a complete model.

    Args:
        folder: that is looked into.
        files: as `Repository` has them. Without any, the model is a config and all parts of its weights as safetensors.
    """
    if files:
        return whole_file(folder, files) is not None
    if not (folder / "config.json").is_file():
        return False
    shards = {path.name for path in folder.glob("model*.safetensors") if path.is_file()}
    counts = {int(name.split("-of-")[1].split(".")[0]) for name in shards if "-of-" in name}
    return bool(shards) and all(count <= len(shards) for count in counts)


def whole_file(folder: Path, files: Sequence[str]) -> Path | None:
    """The first file in a folder that is a whole model; ``files`` as `Repository` has them."""
    return next((path for pattern in files for path in sorted(folder.glob(pattern)) if path.is_file()), None)


def cached(repository: str, files: Sequence[str] = ()) -> Path | None:
    """The folder of a repository's main revision in the hub's cache; None where it is missing or incomplete."""
    root = cache_folder() / f"models--{repository.replace('/', '--')}"
    try:
        revision = (root / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    folder = root / "snapshots" / revision
    return folder if holds_weights(folder, files) else None
