"""Trying an engine out, with its real weights: a clip whose masks are known, and a report to paste into an issue."""

from __future__ import annotations

from maskferry.engine_check._check import EngineCheck, Pass, check_engine

__all__ = ["EngineCheck", "Pass", "check_engine"]
