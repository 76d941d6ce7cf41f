"""Tracking backends: the contract (`base`), their names (`registry`), and the engines that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.engines._flow import AccurateFlowEngine as AccurateFlowEngine
    from maskferry.engines._flow import FlowEngine as FlowEngine
    from maskferry.engines._flow import FlowOptions as FlowOptions
    from maskferry.engines._hold import HoldEngine as HoldEngine
    from maskferry.engines._sam import MultiplexEngine as MultiplexEngine
    from maskferry.engines._sam import SamEngine as SamEngine

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.engines._flow": ("AccurateFlowEngine", "FlowEngine", "FlowOptions"),
        "maskferry.engines._hold": ("HoldEngine",),
        "maskferry.engines._sam": ("MultiplexEngine", "SamEngine"),
    },
)
