"""All that a session remembers, as bytes: a JSON header and arrays in a .npz, without pickle."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.engines._flow.appearance import NormalEquations, mirror
from maskferry.engines._flow.grid import FloatArray, Grid
from maskferry.engines._flow.motion import Grey
from maskferry.engines._flow.options import FlowOptions
from maskferry.engines._flow.recollection import Recollection
from maskferry.engines._flow.target import Target
from maskferry.errors import EngineError

__all__ = ["SessionState", "load", "save"]

FORMAT = "maskferry flow session"
VERSION = 4


@dataclass(slots=True, eq=False)
class SessionState:
    """What the next step depends on, besides the frame.

    Attributes:
        last: the last frame in grey, uint8 (H, W); None before the first frame.
        targets: by object id, ascending.
        nested: pairs of object ids, ascending, that may share pixels.
    """

    last: Grey | None
    targets: dict[int, Target]
    nested: set[tuple[int, int]]


def save(state: SessionState, grid: Grid, options: FlowOptions, seed: int) -> bytes:
    """Pack a state; the same state gives the same bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    rows = []
    for i, target in state.targets.items():
        box = target.box or (0, 0, 0, 0)
        memory = target.recollection
        remembered = None if memory is None else memory.to_row()
        rows.append(target.to_row() | {"box": box, "window": _window(target.grid), "recollection": remembered})
        if memory is not None:
            arrays |= {f"{name}_{i}": array for name, array in memory.to_arrays().items()}
        arrays[f"soft_{i}"] = target.soft[box[1] : box[3], box[0] : box[2]]
        arrays[f"theta_{i}"], arrays[f"theta_given_{i}"] = target.theta, target.theta_given
        for name in ("prompted", "recent"):
            equations = getattr(target, name)
            arrays[f"{name}_gram_{i}"] = equations.gram[np.triu_indices(len(equations.right_side))]
            arrays[f"{name}_target_{i}"] = equations.right_side
    if state.last is not None:
        arrays["last"] = state.last
    header = _identity(grid.frame_hw, options, seed) | {"targets": rows, "nested": sorted(state.nested)}
    header["has_last"] = state.last is not None
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]  # numpy 2.0 would take allow_pickle for an array
    return out.getvalue()


def load(data: bytes, grid: Grid, options: FlowOptions, seed: int) -> SessionState:
    """Unpack a state.

    Args:
        data: from `save`.
        grid: of the video that is opened.
        options: this engine's.
        seed: this engine's.

    Raises:
        EngineError: it is no snapshot of this engine, of another version, or of other options or frame size.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            header = _with_network(json.loads(arrays["header"].tobytes()), options)
            _check(header, _identity(grid.frame_hw, options, seed))
            targets = {row["object_id"]: _target(row, arrays, grid) for row in header["targets"]}
            last = arrays["last"] if header["has_last"] else None
            return SessionState(last, targets, {(int(a), int(b)) for a, b in header["nested"]})
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, AttributeError, IndexError) as err:
        raise EngineError(f"this is no whole snapshot of the engine flow: {err}") from err


def _identity(frame_hw: tuple[int, int], options: FlowOptions, seed: int) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "size_hw": list(frame_hw),
        "seed": seed,
        "options": asdict(options),
    }


def _with_network(header: dict[str, Any], options: FlowOptions) -> dict[str, Any]:
    """Version 3 knew no network: it is resumed without one, where ``options`` leave it out, too."""
    if header["version"] != 3:
        return header
    rows = [row | {"recollection": None} for row in header["targets"]]
    numbers = {"network_weight": 0.0, "network_pixels": options.network_pixels} | header["options"]
    return header | {"version": VERSION, "options": numbers, "targets": rows}


def _check(header: dict[str, object], expected: dict[str, object]) -> None:
    for key, value in expected.items():
        if header.get(key) != value:
            raise EngineError(
                f"this snapshot of the engine flow has {key} {header.get(key)!r}, this session {value!r}; "
                "open it as it was made, or start again from the first frame"
            )


def _target(row: dict[str, Any], arrays: Mapping[str, Any], frame: Grid) -> Target:
    i = row["object_id"]
    x1, y1, x2, y2 = row["box"]
    grid = frame if row["window"] is None else Grid.of_window(frame.frame_hw, *row["window"])
    soft = np.zeros(grid.size_hw, dtype=np.float32)
    soft[y1:y2, x1:x2] = arrays[f"soft_{i}"]
    theta = arrays[f"theta_{i}"]
    prompted, recent = (
        NormalEquations(_unfold(arrays[f"{name}_gram_{i}"], theta.size), arrays[f"{name}_target_{i}"])
        for name in ("prompted", "recent")
    )
    target = Target.from_row(row, grid, soft, prompted, recent, theta, arrays[f"theta_given_{i}"])
    if row["recollection"] is not None:
        own = {name: arrays[f"{name}_{i}"] for name in Recollection.ARRAYS}
        target.recollection = Recollection.from_row(row["recollection"], own, frame.frame_hw)
    return target


def _window(grid: Grid) -> list[Any] | None:
    """What `Grid.of_window` takes, or None for the lattice of the whole frame."""
    return [grid.corner_xy, grid.size_hw, round(grid.pitch_xy[0]), grid.unit] if grid.is_window else None


def _unfold(triangle: FloatArray, size: int) -> FloatArray:
    """The symmetric matrix (size, size) of an upper triangle, row by row."""
    out = np.zeros((size, size), dtype=np.float32)
    out[np.triu_indices(size)] = triangle
    return mirror(out)
