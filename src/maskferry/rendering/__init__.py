"""Tracks drawn over their video: films, contact sheets, pictures for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry._palettes import Palette as Palette
    from maskferry._palettes import color_of as color_of
    from maskferry.rendering._contact_sheets import render_moments as render_moments
    from maskferry.rendering._contact_sheets import render_sheet as render_sheet
    from maskferry.rendering._film import render as render
    from maskferry.rendering._notebook import play_in_notebook as play_in_notebook
    from maskferry.rendering._notebook import plot_frame as plot_frame
    from maskferry.rendering._notebook import plot_frames as plot_frames
    from maskferry.rendering._tracked_video import reads_of as reads_of
    from maskferry.rendering._tracked_video import source_of as source_of

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry._palettes": ("Palette", "color_of"),
        "maskferry.rendering._contact_sheets": ("render_moments", "render_sheet"),
        "maskferry.rendering._film": ("render",),
        "maskferry.rendering._notebook": ("play_in_notebook", "plot_frame", "plot_frames"),
        "maskferry.rendering._tracked_video": ("reads_of", "source_of"),
    },
)
