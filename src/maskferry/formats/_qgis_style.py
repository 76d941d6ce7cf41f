"""The style with which QGIS shows the layer of objects: a colour for each object; the fields of time preselected."""

from __future__ import annotations

from maskferry._palettes import color_of

__all__ = ["STYLE"]

_COLORS = 24
"""Objects of one colour are this many ids apart."""


def _symbol(name: int) -> str:
    red, green, blue = color_of(name + 1)
    return (
        f'<symbol type="fill" name="{name}" alpha="1"><layer class="SimpleFill" enabled="1">'
        f'<Option type="Map"><Option name="color" type="QString" value="{red},{green},{blue},120"/>'
        f'<Option name="outline_color" type="QString" value="{red},{green},{blue},255"/>'
        '<Option name="outline_width" type="QString" value="0.5"/></Option></layer></symbol>'
    )


def _category(name: int) -> str:
    return f'<category value="{name}" symbol="{name}" label="" render="true" type="long"/>'


STYLE = (
    "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
    '<qgis version="3.22" styleCategories="Symbology|Temporal">'
    '<temporal enabled="0" mode="2" startField="begin" endField="end" limitMode="0" accumulate="0" fixedDuration="0" '
    'durationUnit="min" durationField=""/>'
    f'<renderer-v2 type="categorizedSymbol" attr="(&quot;object_id&quot; - 1) % {_COLORS}" enableorderby="0">'
    f"<categories>{''.join(map(_category, range(_COLORS)))}</categories>"
    f"<symbols>{''.join(map(_symbol, range(_COLORS)))}</symbols></renderer-v2></qgis>"
)
"""QML of QGIS 3.22 and later."""
