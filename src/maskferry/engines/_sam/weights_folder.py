"""The folder of an engine's weights: a local one, the hub's cache, or downloaded; and advice where that fails."""

from __future__ import annotations

import logging
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from maskferry.engines._weights import REPOSITORIES, cached, holds_weights, is_offline
from maskferry.errors import EngineError

__all__ = ["find_folder"]

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
    wanted = REPOSITORIES[name].name if checkpoint is None else str(checkpoint)
    if (folder := Path(wanted).expanduser()).is_dir():
        if not holds_weights(folder):
            raise EngineError(
                f"engine {name!r}: the folder {folder} holds no model: expected config.json and all parts of "
                "model*.safetensors, as save_pretrained of transformers writes them"
            )
        return folder
    if isinstance(checkpoint, Path) or wanted.count("/") != 1 or wanted.startswith((".", "/", "~")):
        raise EngineError(
            f"engine {name!r}: there is no folder {wanted}, and it is not the name of a repository either"
        )
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
    return f'{access}A local folder works too: checkpoint="path/to/folder".{other} {FLOW_RUNS}'
