"""What a person tells a session: checks of prompts, and taking them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.prompts._given import GivenFiles as GivenFiles
    from maskferry.prompts._given import mask_path as mask_path
    from maskferry.prompts._given import target_of as target_of
    from maskferry.prompts._given import with_known_ids as with_known_ids
    from maskferry.prompts._map_coordinates import pixels_of_box as pixels_of_box
    from maskferry.prompts._map_coordinates import pixels_of_points as pixels_of_points

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.prompts._given": ("GivenFiles", "mask_path", "target_of", "with_known_ids"),
        "maskferry.prompts._map_coordinates": ("pixels_of_box", "pixels_of_points"),
    },
)
