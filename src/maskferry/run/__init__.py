"""Making the passes: what is open, which objects are active, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.run._runner import Progress as Progress

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.run._runner": ("Progress",),
    },
)
