"""The exported graphs with convolutions of 8 bits, which take about 0.6 times the processor time.

The ranges of what goes into a convolution come from example pictures. Weights have a scale for each channel; those of
dense convolutions use 7 of the 8 bits, as processors without VNNI add two products in 16 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

OPERATORS = {"encoder": ("Conv", "Clip", "Add"), "decoder": ("Conv",)}
"""What is computed with 8 bits. The memoriser is not: it takes little time, and its errors would stay."""

EXACT = ("/key/", "/skip2/", "/out/out.3/")
"""Convolutions that make or take what should be exact: keys, the finest features, logits."""

SIDE, SHIFT = 384, (12, 20)
"""Of an example picture, and how far it moves, (y, x), all in pixels."""

PICTURES, CAMERA_SIDE = 16, 520
"""So many examples, of photographs scaled to this shorter side."""

Feed = dict[str, NDArray[Any]]


def example_pictures(folder: Path) -> list[NDArray[np.uint8]]:
    """Some photographs of a folder, RGB uint8."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
    pictures = []
    for path in paths[:: max(1, len(paths) // PICTURES)][:PICTURES]:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        scale = CAMERA_SIDE / min(picture.shape[:2])
        scaled = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pictures.append(np.ascontiguousarray(scaled[:, :, ::-1], dtype=np.uint8))
    return pictures


def quantise(folder: Path, pictures: Sequence[NDArray[np.uint8]]) -> None:
    """Replace the graphs of a folder, of float32, by those of 8 bits.

    Args:
        folder: of encoder.onnx, memoriser.onnx and decoder.onnx.
        pictures: RGB uint8, their shorter sides of `CAMERA_SIDE` pixels.
    """
    examples = _examples(folder, pictures)
    for name, operators in OPERATORS.items():
        with TemporaryDirectory() as temporary:
            prepared = Path(temporary) / f"{name}.onnx"
            quant_pre_process(folder / f"{name}.onnx", prepared, skip_symbolic_shape=True)
            _quantise(prepared, folder / f"{name}.onnx", operators, examples[name])


class _Examples(CalibrationDataReader):
    def __init__(self, feeds: list[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


def _quantise(graph: Path, out: Path, operators: Sequence[str], examples: list[Feed]) -> None:
    model = onnx.load(graph).graph
    shapes = {weights.name: weights.dims for weights in model.initializer}
    convolutions = [node for node in model.node if node.op_type == "Conv"]
    exact = [node.name for node in convolutions if any(part in node.name for part in EXACT)]
    dense = [node.input[1] for node in convolutions if node.name not in exact and shapes[node.input[1]][1] > 1]
    quantize_static(
        graph,
        out,
        _Examples(examples),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(operators),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=exact,
        extra_options={"TensorQuantOverrides": {name: [{"axis": 0, "reduce_range": True}] for name in dense}},
    )


def _examples(folder: Path, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, list[Feed]]:
    """What the graphs are fed with, where an ellipse of each picture is the object and the camera moves a little."""
    run = {
        name: onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        for name in ("encoder", "memoriser")
    }
    names = [output.name for output in run["encoder"].get_outputs()]
    rng = np.random.default_rng(0)
    ys, xs = np.mgrid[: SIDE // 16, : SIDE // 16]
    places = np.stack([xs.ravel(), ys.ravel()]).astype(np.float32)[None]
    feeds: dict[str, list[Feed]] = {"encoder": [], "decoder": []}
    for picture in pictures:
        before, now = ({"picture": np.ascontiguousarray(picture[y:, x:][:SIDE, :SIDE])} for y, x in ((0, 0), SHIFT))
        feeds["encoder"] += [before, now]
        seen, features = (dict(zip(names, run["encoder"].run(None, feed), strict=True)) for feed in (before, now))
        mask = _ellipse(rng)
        told = {"stride4": seen["stride4"], "stride16": seen["stride16"], "mask": mask}
        keys, values = (part.reshape(1, part.shape[1], -1) for part in (seen["key"], *run["memoriser"].run(None, told)))
        memory = {f"{name}_keys": keys for name in ("given", "last")} | {"kept_keys": keys[:, :, :0]}
        memory |= {f"{name}_values": values for name in ("given", "last")} | {"kept_values": values[:, :, :0]}
        feeds["decoder"].append(features | memory | {"places": places, "last_places": places, "carried": mask})
    return feeds


def _ellipse(rng: np.random.Generator) -> NDArray[np.float32]:
    """A mask at stride 4, float32 (1, 1, h, w)."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    (x, y), axes = rng.integers(SIDE // 3, 2 * SIDE // 3, 2), rng.integers(SIDE // 10, SIDE // 4, 2)
    cv2.ellipse(mask, (int(x), int(y)), (int(axes[0]), int(axes[1])), 0, 0, 360, 1, -1)
    small = cv2.resize(mask, (SIDE // 4, SIDE // 4), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)[None, None]
