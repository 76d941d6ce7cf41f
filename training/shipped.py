"""The weights of an exported network, read back from its ONNX files: to go on training from what is shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from network import MemoryNetwork
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

Weights = dict[str, NDArray[np.generic]]


def read_shipped(folder: Path) -> dict[str, Tensor]:
    """What `MemoryNetwork.load_state_dict` takes, of encoder.onnx, memoriser.onnx and decoder.onnx in a folder.

    Weights of 8 and 16 bits come back as what they stand for, which is not quite what was trained.
    """
    found: dict[str, NDArray[np.float32]] = {}
    for name in ("encoder", "memoriser", "decoder"):
        prefix = "memoriser." if name == "memoriser" else ""
        found |= {prefix + key: value for key, value in _weights(folder / f"{name}.onnx").items()}
    state = {}
    for key, wanted in MemoryNetwork().state_dict().items():
        if key not in found:
            raise KeyError(f"{folder}: the exported network has no weights {key!r}")
        state[key] = torch.from_numpy(found[key].copy()).reshape(wanted.shape)
    # the exported reader holds what follows from these two
    state["reader.sharpness"] = torch.log(8 * state["reader.sharpness"])
    state["reader.nearness"] = torch.log(torch.expm1(state["reader.nearness"]))
    return state


def _weights(path: Path) -> dict[str, NDArray[np.float32]]:
    stored = {part.name: numpy_helper.to_array(part) for part in onnx.load(path).graph.initializer}
    return {
        name.removesuffix(".half").removesuffix("_quantized"): _as_float(name, value, stored)
        for name, value in stored.items()
        if not name.endswith(("_scale", "_zero_point"))
    }


def _as_float(name: str, value: NDArray[np.generic], stored: Weights) -> NDArray[np.float32]:
    if not name.endswith("_quantized"):
        return value.astype(np.float32)
    whole = name.removesuffix("_quantized")
    scale = stored[f"{whole}_scale"] if f"{whole}_scale" in stored else stored[f"{name}_scale"]
    by_channel = scale.astype(np.float32).reshape(scale.shape + (1,) * (value.ndim - scale.ndim))
    return value.astype(np.float32) * by_channel  # symmetric: zero is zero
