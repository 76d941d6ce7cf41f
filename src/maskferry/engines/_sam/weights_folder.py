"""Where an engine's weights lie: a local folder or file, the hub's cache, or downloaded; advice where that fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from maskferry.engines._weights import REPOSITORIES, Repository, cached, holds_weights, is_offline, whole_file
from maskferry.errors import EngineError

__all__ = ["find_file", "find_folder"]

log = logging.getLogger(__name__)

UNGATED = "sam2.1-large, sam2.1-base-plus, sam2.1-small, sam2.1-tiny and edgetam need no permission"
FLOW_RUNS = "Engine 'flow' needs no weights and runs now"


def find_folder(name: str, checkpoint: str | Path | None = None) -> Path:
    """The folder that holds an engine's weights, downloaded where they are not here yet.

    Args:
        name: of the engine.
        checkpoint: a local folder or a repository of the hub; by default the engine's own repository.

    Raises:
        EngineError: the weights are unavailable; the message says what can be done.
    """
    known = REPOSITORIES[name]
    wanted = known.name if checkpoint is None else str(checkpoint)
    if (folder := Path(wanted).expanduser()).is_dir():
        if not holds_weights(folder, known.files):
            raise EngineError(f"engine {name!r}: the folder {folder} holds no model: expected {_expected(known)}")
        return folder
    if isinstance(checkpoint, Path) or wanted.count("/") != 1 or wanted.startswith((".", "/", "~")):
        raise EngineError(
            f"engine {name!r}: there is no folder {wanted}, and it is not the name of a repository either"
        )
    return cached(wanted, known.files) or _download(name, wanted)


def find_file(name: str, checkpoint: str | Path | None = None) -> Path:
    """The file of an engine whose weights are one file; arguments and errors as `find_folder`.

    Args:
        name: of the engine.
        checkpoint: the file itself, or as `find_folder` takes it.
    """
    if checkpoint is not None and (path := Path(checkpoint).expanduser()).is_file():
        return path
    folder = find_folder(name, checkpoint)
    return whole_file(folder, REPOSITORIES[name].files) or folder


def _expected(known: Repository) -> str:
    """What a folder of weights holds, in words."""
    if known.files:
        return " or ".join(known.files)
    return "config.json and all parts of model*.safetensors, as save_pretrained of transformers writes them"


def _download(name: str, repository: str) -> Path:
    if is_offline():
        raise EngineError(
            f"engine {name!r}: the weights of {repository} are not on this machine, and the network is forbidden "
            f"(HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set). {_advice(name, repository)}"
        )
    log.info("engine %s: fetching the weights of %s, once", name, repository)
    known = REPOSITORIES[name]
    try:
        folder = _fetch(repository, known.files)
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
    if not holds_weights(folder, known.files):
        raise EngineError(f"engine {name!r}: {repository} holds no model: expected {_expected(known)}")
    return folder


def _fetch(repository: str, files: Sequence[str]) -> Path:
    """Download what is needed of a repository: of several whole models in it, the preferred one."""
    if not files:
        return Path(snapshot_download(repository, allow_patterns=["*.json", "*.txt", "model*.safetensors"]))
    folder = Path()
    for pattern in files:
        folder = Path(snapshot_download(repository, allow_patterns=[pattern]))
        if holds_weights(folder, [pattern]):
            break
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
    return f'{access}A local folder works too: checkpoint="path/to/folder".{other} {FLOW_RUNS}'
