"""Write trained weights as the files that the engine loads.

    python training/export.py NETWORK.pt [NETWORK.pt ...] OUT --photos ASSETS/photos

Three ONNX graphs, for any picture size whose sides are multiples of 16. With photographs to measure ranges on, most
convolutions of encoder and decoder have 8 bits; what is left, or all without photographs, has weights of 16 bits.

    encoder.onnx    picture -> features and keys
    memoriser.onnx  features and a mask -> values
    decoder.onnx    features, memories and the carried mask -> logits, and how right they are
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from network import FARTHEST, KEY, VALUE, Features, Memory, MemoryNetwork, Reader, cell_places, join
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from quantise import example_pictures, quantise
from torch import Tensor, nn
from torch.nn import functional

OPSET = 18
SMALLEST = 64
"""Constants with fewer numbers stay as they are."""

FAINTEST = 60.0
"""What is less likely than the likeliest by this factor, as a logarithm, counts as just so likely: no sum in float32
notices, and no number becomes so small (denormal) that processors take a hundred times as long to multiply it."""


class _Encoder(nn.Module):
    def __init__(self, network: MemoryNetwork) -> None:
        super().__init__()
        self.encoder = network.encoder

    def forward(self, picture: Tensor) -> Features:
        """uint8 (h, w, 3)."""
        return self.encoder(picture.permute(2, 0, 1)[None].float())


class _Reader(nn.Module):
    """A `Reader` whose affinities are one product of matrices each: what is added to them are further channels."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.exp(reader.sharpness.detach()) / 8)
        self.nearness = nn.Parameter(functional.softplus(reader.nearness.detach()))

    def forward(
        self, key: Tensor, memory: Memory, given: int, last: Memory, places: Tensor, last_places: Tensor
    ) -> Tensor:
        """As `Reader.forward`."""
        h, w = key.shape[-2:]
        keys = key.flatten(2)
        near, places = 2 * self.sharpness * keys, 2 * self.nearness * places
        one = torch.ones_like(places[:, :1])
        likeness = self._product(torch.cat([near, one], 1), memory.keys, -self.sharpness * _squared(memory.keys))
        likest = likeness.amax(2, keepdim=True)
        long = memory.values @ _softmax(likeness, likest).transpose(1, 2)
        far = self.sharpness * _squared(keys)
        nearest = torch.stack([likeness[:, :, :given].amax(2), likest[:, :, 0]], 1) - far
        away = -self.sharpness * _squared(last.keys) - self.nearness * _squared(last_places)
        closeness = self._product(torch.cat([near, places, one], 1), torch.cat([last.keys, last_places], 1), away)
        closest = closeness.amax(2, keepdim=True)
        short = last.values @ _softmax(closeness, closest).transpose(1, 2)
        nearest = (nearest / 8).clamp(-FARTHEST, 0) / FARTHEST
        return torch.cat([long, short, nearest], 1).unflatten(2, (h, w))

    @staticmethod
    def _product(near: Tensor, memory: Tensor, added: Tensor) -> Tensor:
        return near.transpose(1, 2) @ torch.cat([memory, added], 1)


def _softmax(x: Tensor, largest: Tensor) -> Tensor:
    return torch.maximum(x, largest - FAINTEST).softmax(2)


def _squared(x: Tensor) -> Tensor:
    return (x * x).sum(1, keepdim=True)


class _Decoder(nn.Module):
    def __init__(self, network: MemoryNetwork) -> None:
        super().__init__()
        self.reader, self.decoder = _Reader(network.reader), network.decoder

    def forward(
        self,
        stride2: Tensor,
        stride4: Tensor,
        stride8: Tensor,
        stride16: Tensor,
        key: Tensor,
        given_keys: Tensor,
        given_values: Tensor,
        kept_keys: Tensor,
        kept_values: Tensor,
        last_keys: Tensor,
        last_values: Tensor,
        places: Tensor,
        last_places: Tensor,
        carried: Tensor,
    ) -> tuple[Tensor, Tensor]:
        memory = join([Memory(given_keys, given_values), Memory(kept_keys, kept_values)])
        last = Memory(last_keys, last_values)
        read = self.reader(key, memory, given_keys.shape[2], last, places, last_places)
        logits, quality = self.decoder(Features(stride2, stride4, stride8, stride16, key), read, carried)
        return logits[0, 0], torch.sigmoid(quality[0, 0])


def export(network: MemoryNetwork, out: Path, pictures: Sequence[NDArray[np.uint8]] = ()) -> None:
    """Write the three files into a folder; with 8 bits where there are pictures, see `quantise`."""
    _export(network, out)
    if pictures:
        quantise(out, pictures)
    for path in out.glob("*.onnx"):
        model = onnx.load(path)
        _halve(model)
        del model.opset_import[:]
        model.opset_import.append(helper.make_opsetid("", OPSET))  # the quantiser adds all it knows
        onnx.save(model, path)


def average(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of the weights of several trainings, which must have begun from the same trained weights.

    It is often better than each of them ("model soups", Wortsman et al. 2022).
    """
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def _export(network: MemoryNetwork, out: Path) -> None:
    network.eval()
    with torch.no_grad():
        features = network.encoder(torch.rand(1, 3, 160, 192) * 255)
    names = ("stride2", "stride4", "stride8", "stride16", "key")
    maps = {name: {2: f"h{name}", 3: f"w{name}"} for name in names}
    picture = torch.randint(0, 255, (160, 192, 3), dtype=torch.uint8)
    _write(_Encoder(network), {"picture": picture}, maps, out / "encoder.onnx", {"picture": {0: "h", 1: "w"}})
    mask = torch.rand(1, 1, 40, 48)
    inputs = {"stride4": features.stride4, "stride16": features.stride16, "mask": mask}
    at = maps | {"mask": {2: "h4", 3: "w4"}}
    _write(network.memoriser, inputs, {"value": {2: "h16", 3: "w16"}}, out / "memoriser.onnx", at)
    inputs = dict(zip(names, features, strict=True))
    for name, count in (("given", 130), ("kept", 110), ("last", 120)):
        inputs[f"{name}_keys"], inputs[f"{name}_values"] = torch.randn(1, KEY, count), torch.randn(1, VALUE, count)
        at |= {f"{name}_keys": {2: name}, f"{name}_values": {2: name}}
    places = cell_places(features)
    inputs |= {"places": places, "last_places": places.clone(), "carried": mask}
    at |= {"places": {2: "cells"}, "last_places": {2: "last"}, "carried": {2: "h4", 3: "w4"}}
    _write(_Decoder(network), inputs, {"logits": {0: "h2", 1: "w2"}, "quality": {}}, out / "decoder.onnx", at)


def _write(
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: dict[str, dict[int, str]],
    path: Path,
    axes: dict[str, dict[int, str]],
) -> None:
    used = {name: axes[name] for name in inputs if name in axes}
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes=used | outputs,
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(path)
    _pad_within(model)
    onnx.save(model, path)


def _pad_within(model: onnx.ModelProto) -> None:
    """Let the backbone's convolutions of stride 2 do their own padding, which spares a copy of their inputs."""
    nodes = model.graph.node
    pads = {node.output[0]: node for node in nodes if node.op_type == "Pad"}
    for node in nodes:
        if node.op_type == "Conv" and node.input[0] in pads:
            at = {attribute.name: attribute for attribute in node.attribute}
            kernel = at["kernel_shape"].ints[0]
            before = (kernel - 2) // 2
            at["pads"].ints[:] = [before] * 2 + [kernel - 2 - before] * 2
            node.input[0] = pads[node.input[0]].input[0]
    _drop_unused(model)


def _drop_unused(model: onnx.ModelProto) -> None:
    used = {output.name for output in model.graph.output}
    for node in reversed(list(model.graph.node)):
        if used.isdisjoint(node.output):
            model.graph.node.remove(node)
        else:
            used.update(node.input)


def _halve(model: onnx.ModelProto) -> None:
    """Keep large weights as 16 bits; a cast, which the runtime folds when it loads them, makes them 32 again."""
    casts = []
    scales = {name for node in model.graph.node if "Linear" in node.op_type for name in node.input}
    for weights in list(model.graph.initializer):
        small = np.prod(weights.dims) < SMALLEST
        if weights.data_type != TensorProto.FLOAT or small or weights.name in scales:
            continue
        values = numpy_helper.to_array(weights).astype(np.float16)
        half = numpy_helper.from_array(values, f"{weights.name}.half")
        casts.append(helper.make_node("Cast", [half.name], [weights.name], to=TensorProto.FLOAT))
        model.graph.initializer.remove(weights)
        model.graph.initializer.append(half)
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", type=Path, nargs="+", help="the weights that train.py wrote; several are averaged")
    parser.add_argument("out", type=Path, help="the folder of the files")
    parser.add_argument("--photos", type=Path, help="a folder of photographs, to measure ranges for 8 bits on")
    settings = parser.parse_args()
    settings.out.mkdir(parents=True, exist_ok=True)
    network = MemoryNetwork()
    network.load_state_dict(average([torch.load(p, map_location="cpu", weights_only=True) for p in settings.networks]))
    export(network, settings.out, example_pictures(settings.photos) if settings.photos else ())
    for path in sorted(settings.out.glob("*.onnx")):
        print(path.name, f"{path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
