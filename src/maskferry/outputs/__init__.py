"""From tracks to files that other programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.outputs._export import NEEDS_PICTURES as NEEDS_PICTURES
    from maskferry.outputs._export import Format as Format
    from maskferry.outputs._export import export as export
    from maskferry.outputs._export import save_label_maps as save_label_maps

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.outputs._export": ("Format", "NEEDS_PICTURES", "export", "save_label_maps"),
    },
)
