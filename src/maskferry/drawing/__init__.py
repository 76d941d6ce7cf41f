"""Pictures for people: masks drawn over a frame, several pictures on one sheet, and names in any script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry._palettes import Color as Color
    from maskferry._palettes import color_of as color_of
    from maskferry.drawing._caption import date_text as date_text
    from maskferry.drawing._caption import draw_caption as draw_caption
    from maskferry.drawing._caption import shrink as shrink
    from maskferry.drawing._contact_sheet import contact_sheet as contact_sheet
    from maskferry.drawing._fonts import check_font as check_font
    from maskferry.drawing._overlay import draw_overlay as draw_overlay
    from maskferry.drawing._overlay import fitting_zoom as fitting_zoom

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry._palettes": ("Color", "color_of"),
        "maskferry.drawing._caption": ("date_text", "draw_caption", "shrink"),
        "maskferry.drawing._contact_sheet": ("contact_sheet",),
        "maskferry.drawing._fonts": ("check_font",),
        "maskferry.drawing._overlay": ("draw_overlay", "fitting_zoom"),
    },
)
