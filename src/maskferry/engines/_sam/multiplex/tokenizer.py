"""The tokenizer of SAM 3.1's text encoder, which is CLIP's: the published file has none."""

from __future__ import annotations

import logging
from pathlib import Path

import transformers
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from maskferry.engines._sam.text_detector import TEXT_TOKENS
from maskferry.engines._sam.untyped import Tokenizer
from maskferry.engines._weights import cache_folder, is_offline
from maskferry.errors import EngineError

__all__ = ["CLIP", "find_tokenizer"]

log = logging.getLogger(__name__)

FILES = ("vocab.json", "merges.txt")

CLIP = "openai/clip-vit-base-patch32"
"""A repository of the hub with these files, free to all."""


def find_tokenizer(engine: str, checkpoint: Path, vocabulary: int) -> Tokenizer:
    """The tokenizer whose files lie beside a checkpoint; else that of `CLIP`, from the hub's cache or the hub.

    Args:
        engine: its name, for messages.
        checkpoint: the file of weights.
        vocabulary: how many tokens the text encoder knows.

    Raises:
        EngineError: there is none, or it has too many tokens.
    """
    folder = checkpoint.parent
    if not all((folder / name).is_file() for name in FILES):
        folder = _from_hub(engine, folder)
    log.info("engine %s: tokenizer from %s", engine, folder)
    try:
        tokenizer: Tokenizer = transformers.CLIPTokenizer.from_pretrained(
            folder, local_files_only=True, model_max_length=TEXT_TOKENS
        )
    except Exception as err:  # the package tokenizers raises nothing narrower
        raise EngineError(f"engine {engine!r}: {folder} holds no tokenizer of CLIP: {_first_line(err)}") from err
    if len(tokenizer) > vocabulary:
        raise EngineError(
            f"engine {engine!r}: the tokenizer in {folder} has {len(tokenizer)} tokens, expected CLIP's, of at most "
            f"{vocabulary}"
        )
    return tokenizer


def _from_hub(engine: str, wanted: Path) -> Path:
    """The folder with the files of `CLIP`: of the hub's cache, downloaded where they are not in it."""
    try:
        paths = [
            Path(hf_hub_download(CLIP, name, cache_dir=cache_folder(), local_files_only=is_offline())) for name in FILES
        ]
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as err:
        raise EngineError(
            f"engine {engine!r}: words need CLIP's tokenizer, which is neither in {wanted} nor to be had of the hub's "
            f"{CLIP}: {_first_line(err)}. Put {' and '.join(FILES)} of {CLIP} or of facebook/sam3 into {wanted}"
        ) from err
    return paths[0].parent


def _first_line(err: Exception) -> str:
    return str(err).splitlines()[0] if str(err) else type(err).__name__
