"""What a person tells a session: checks of prompts, and taking them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.prompts._given import mask_path as mask_path
    from maskferry.prompts._given import read_given as read_given

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.prompts._given": ("mask_path", "read_given"),
    },
)
