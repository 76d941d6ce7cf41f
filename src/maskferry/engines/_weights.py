"""Where a model's weights come from, and whether they are on this machine. Imports neither torch nor transformers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["REPOSITORIES", "Repository", "cache_folder", "cached", "holds_weights", "is_offline"]


@dataclass(frozen=True, slots=True)
class Repository:
    """Weights on the Hugging Face hub.

    Attributes:
        name: "owner/name".
        gated: they are given only to accounts that have asked for access.
    """

    name: str
    gated: bool = False


REPOSITORIES = {
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


def holds_weights(folder: Path) -> bool:
    """Whether a folder holds a complete model: its config and all parts of its weights as safetensors."""
    if not (folder / "config.json").is_file():
        return False
    shards = {path.name for path in folder.glob("model*.safetensors") if path.is_file()}
    counts = {int(name.split("-of-")[1].split(".")[0]) for name in shards if "-of-" in name}
    return bool(shards) and all(count <= len(shards) for count in counts)


def cached(repository: str) -> Path | None:
    """The folder of a repository's main revision in the hub's cache; None where it is missing or incomplete."""
    root = cache_folder() / f"models--{repository.replace('/', '--')}"
    try:
        revision = (root / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    folder = root / "snapshots" / revision
    return folder if holds_weights(folder) else None
