"""Time, memory and agreement of the SAM engines, beside transformers' own loop. One JSON row a measurement.

    python benchmarks/sam.py --objects 1 5 20 50 --compile >> sam.jsonl
    python benchmarks/sam.py --engine sam3.1 --objects 1 16 50 128 --compile --what step run stages parts \
        --growth 2000 --growth-objects 1 128 >> sam.jsonl

Without ``--checkpoint``, full-size random weights are made: speed and memory do not depend on their values. They are
calibrated (mask logits with a deviation of 5.6, about half of the pixels inside), so that agreement means something.

step        a session, frame by frame, with look-ahead: upload to RLE, once all memories are filled
loop        transformers' own loop over the same frames, as many, with the masks brought to the host
beside      step and loop in turn, twice, in one process on one card; ``ratio`` is how many times as long the loop takes
run         a whole run from a video file to a tracks file
text        such a run without words, with them on every 10th frame, and on every frame (``--every``, ``--phrases``), in
            turn, twice, in one process on one card; ``ratios`` are how many times as long it takes with words. ``--what
            text`` makes random weights of sam3 or sam3.1 with the detector. Finds are those that are tracked; only on
            demand
agreement   masks of bfloat16, plain and compiled, against float32
stages      milliseconds a frame of each stage, with the device waited for at both ends; only on demand
parts       of sam3.1: milliseconds of the network's stages for one group of buckets, each alone; only on demand
growth      device memory over many frames

The masks of random weights are noise with a hundred thousand edges each, which no real mask has, and run-length
encoding takes as long as there are edges. In step, run and growth the network's work is all done, but what is enlarged,
encoded and stored are discs of the size of a tenth of the picture.

Times of different runs are not to be compared, even of one kind of card: for what the engine gains take ``beside``, for
what memory selection costs ``--memory-selection on off``, which measures both.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import logging
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import transformers
from machine import stamp
from multiplex_model import TINY, random_checkpoint, stage_times

from maskferry import AssociationOptions, MaskTracker
from maskferry.data import Frame, FrameInfo, FrameMasks, Image, Mask, MaskPrompt, VideoInfo
from maskferry.engines._sam import MultiplexEngine, SamEngine, SessionHooks, text_detector
from maskferry.engines._sam.checkpoint import kind_of
from maskferry.engines._sam.preprocessing import normalise, resize, upload
from maskferry.engines._sam.prompting import resize_masks
from maskferry.run._look_ahead import looking_ahead

CONFIGS = {
    "sam3": ("Sam3TrackerVideoConfig", "Sam3TrackerVideoModel"),
    "sam2.1-large": ("Sam2VideoConfig", "Sam2VideoModel"),
}
WITH_DETECTOR = ("Sam3VideoConfig", "Sam3VideoModel")
WARM = 24
"""Frames until all memories and pointers are filled, compiled and replayed."""

PICTURES = 16

AT_ONCE = 4
"""Frames are encoded so many at a time: only whole groups of frames are compared."""

ROUNDS = 2
"""So often the engine and transformers' loop take turns."""

GAINS = {
    "mask_decoder.conv_s0": 0.1,
    "mask_decoder.conv_s1": 0.1,
    "memory_encoder.feature_projection": 0.1,
    "cross_attn_image.q_proj": 0.3,
    "cross_attn_image.k_proj": 0.3,
    "cross_attn_image.o_proj": 12.0,
}
"""Of random weights, so that memories are heard and objects differ: else nobody would notice two of them swapped."""

SAME_PLACE, GIVEN_FIRST = 1.5, 1.12
"""How much memory attention looks at the same place, and how much more at the memories of given masks."""


# --- weights and pictures -----------------------------------------------------------------------------------------


def random_detector(name: str, folder: Path, device: str, *, tiny: bool) -> Path:
    """A model of full size with its detector, with random weights, and a tokenizer."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    if name == "sam3.1":
        return random_checkpoint(folder, device, TINY if tiny else None, detector=True)
    config, cls = WITH_DETECTOR
    model = getattr(transformers, cls)(getattr(transformers, config)())
    with torch.no_grad():  # all objects are in sight
        model.tracker_model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(2.0)
    model.save_pretrained(folder)
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 32}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


Measured = SamEngine | MultiplexEngine


def load(folder: Path, args: argparse.Namespace, **options: Any) -> Measured:  # noqa: ANN401
    """A fresh engine."""
    if args.engine == "sam3.1":
        return (TinyMultiplexEngine if args.tiny else MultiplexEngine)(checkpoint=folder, device=args.device, **options)
    options |= selection(args)
    return SamEngine(args.engine, checkpoint=folder, device=args.device, **options)


class TinyMultiplexEngine(MultiplexEngine):
    """Whether the script works at all."""

    architecture = TINY


def random_model(name: str, folder: Path, device: str, *, tiny: bool) -> Path:
    """A model of full size with calibrated random weights, where ``checkpoint=`` finds it."""
    if name == "sam3.1":
        return random_checkpoint(folder, device, TINY if tiny else None)
    config, cls = CONFIGS[name]
    model = getattr(transformers, cls)(getattr(transformers, config)()).eval().to(device)
    randomise(model)
    model.cpu().save_pretrained(folder)
    return folder


def randomise(model: Any) -> None:  # noqa: ANN401
    """Give a model calibrated random weights."""
    device = model.no_memory_embedding.device
    generator = torch.Generator(device).manual_seed(1)
    with torch.no_grad():
        for key, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator, device=device)
            if weight.ndim >= 2 and "embed" not in key and "encoding" not in key:
                gain = next((g for part, g in GAINS.items() if part in key), 1.0)
                weight.copy_(noise * gain / max(1, weight[0].numel()) ** 0.5)
            elif "norm" in key and key.endswith("weight"):
                weight.fill_(1.0)
            else:
                weight.copy_(noise * (0.3 if weight.ndim >= 2 or key.endswith("scale") else 0.1))
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(2.0)
        attend(model)
        calibrate(model)


def attend(model: Any) -> None:  # noqa: ANN401
    """Let memory attention do what training teaches it.

    Equal constants in queries and keys are closest, after rotation by their places, where the places are the same. A
    channel that only the code of given masks has lengthens their keys: without it, all objects drift into one.
    """
    code = model.memory_temporal_positional_encoding
    code[..., 0] = 0
    code[-1, ..., 0] = 10.0
    for layer in model.memory_attention.layers:
        attention = layer.cross_attn_image
        attention.q_proj.bias.fill_(SAME_PLACE)
        attention.k_proj.bias.fill_(SAME_PLACE)
        attention.k_proj.weight[:, 0] = SAME_PLACE * (GIVEN_FIRST - 1) / 10.0


def calibrate(model: Any) -> None:  # noqa: ANN401
    """Scale the mask decoder so that the logits of a first frame deviate by 5.6."""
    from maskferry.engines._sam.network import Network
    from maskferry.engines._sam.stage_types import Features

    network = Network(model, torch.float32)
    image = normalise(
        torch.randint(0, 256, (1, 3, network.image_size, network.image_size)).float(), CENTRED, torch.float32
    )
    features = Features(*network.encode(image.to(network.device)))
    prompt = network.unprompted
    conditioned = network.features_without_memory(features)
    candidates = network.decode_candidates(
        conditioned, features.fine, features.middle, prompt.sparse, prompt.dense, True
    )
    masks = candidates[0]
    for head in model.mask_decoder.output_hypernetworks_mlps:
        head.proj_out.weight.mul_(5.6 / masks.std())
        head.proj_out.bias.mul_(5.6 / masks.std())


CENTRED = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def picture(index: int, size_hw: tuple[int, int]) -> Image:
    """Coarse noise that moves."""
    height, width = size_hw
    coarse = np.random.default_rng(7).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    image = np.kron(coarse, np.ones((8, 8, 1), dtype=np.uint8))[:height, :width]
    return np.roll(image, 5 * index, axis=1)


def given(objects: int, size_hw: tuple[int, int]) -> list[Mask]:
    """Boxes of many sizes and places."""
    height, width = size_hw
    rng = np.random.default_rng(3)
    masks = np.zeros((objects, height, width), dtype=np.bool_)
    for mask in masks:
        h, w = rng.integers(height // 10, height // 2), rng.integers(width // 10, width // 2)
        y, x = rng.integers(0, height - h), rng.integers(0, width - w)
        mask[y : y + h, x : x + w] = True
    return list(masks)


def halves(objects: int, size_hw: tuple[int, int]) -> list[Mask]:
    """Halves of the picture, each cut at another angle."""
    y, x = np.indices(size_hw)
    angles = np.arange(objects) * 2 * np.pi / objects + 0.3
    return [(x - size_hw[1] / 2) * np.cos(a) + (y - size_hw[0] / 2) * np.sin(a) > 20 for a in angles]


def walk(engine: Measured, masks: Sequence[Mask], count: int) -> Iterator[FrameMasks]:
    """A session over ``count`` frames."""
    size_hw = masks[0].shape
    images = [picture(i, size_hw) for i in range(PICTURES)]
    session = engine.open(VideoInfo(size_hw[1], size_hw[0]))
    prompts = [MaskPrompt(0, i + 1, mask) for i, mask in enumerate(masks)]
    frames = (Frame(FrameInfo(i, None, str(i)), images[i % PICTURES]) for i in range(count))
    for frame in looking_ahead(session, frames):
        yield session.step(frame, prompts if frame.index == 0 else ())
    session.close()


def discs(logits: torch.Tensor) -> torch.Tensor:
    """Logits of discs in place of the noise that random weights make; a hook of sessions."""
    count, _, height, width = logits.shape
    ys = torch.linspace(-1, 1, height, device=logits.device)[:, None]
    xs = torch.linspace(-1, 1, width, device=logits.device)
    numbers = torch.arange(count, device=logits.device, dtype=torch.float32)[:, None, None]
    away = (xs - 0.6 * torch.cos(numbers)) ** 2 + (ys - 0.6 * torch.sin(numbers)) ** 2
    disc = (0.36**2 - away)[:, None] * 50
    return disc + 0 * logits.float().clamp(-1, 1)


# --- measurements -------------------------------------------------------------------------------------------------


def step(engine: Measured, objects: int, args: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a frame in the steady state, peak memory of it, and peak memory before, compiling included."""
    times, peak_before = step_times(engine, objects, args)
    spans = steady(times)
    found = {"ms": float(np.mean(spans)), "median_ms": float(np.median(spans))}
    return found | {"peak_gb": peak(args.device), "peak_gb_before": peak_before}


def step_times(engine: Measured, objects: int, args: argparse.Namespace) -> tuple[list[float], float | None]:
    """When each frame was done, in seconds, and the peak memory before the steady state."""
    peak_before = None
    times = []
    clear_peak(args.device)
    for number, _ in enumerate(walk(engine, given(objects, args.size), args.frames)):
        if number == WARM:
            peak_before = peak(args.device)
            clear_peak(args.device)
        times.append(time.perf_counter())
    return times, peak_before


def steady(times: Sequence[float]) -> list[float]:
    """Milliseconds a frame, group by group, once all memories are filled."""
    return [(b - a) * 1000 / AT_ONCE for a, b in pairwise(times[WARM::AT_ONCE])]


def beside(folder: Path, engine: Measured, objects: int, args: argparse.Namespace) -> dict[str, Any]:
    """The engine and transformers' loop over as many frames, in turn; each round's milliseconds a frame too."""
    rounds = []
    for _ in range(ROUNDS):
        ours = float(np.mean(steady(step_times(engine, objects, args)[0])))
        theirs = float(np.mean(steady(loop_times(folder, engine, objects, args))))
        rounds.append((ours, theirs))
    ours, theirs = np.mean(rounds, axis=0).tolist()
    return {"ms": ours, "loop_ms": theirs, "ratio": theirs / ours, "rounds_ms": rounds}


def stages(engine: Measured, objects: int, args: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a frame in the steady state, by stage. Waiting for the device makes the whole slower than `step`."""
    spent: Counter[str] = Counter()

    @contextmanager
    def timer(stage: str) -> Iterator[None]:
        wait_for(args.device)
        start = time.perf_counter()
        yield
        wait_for(args.device)
        spent[stage] += time.perf_counter() - start  # type: ignore[assignment]

    plain_hooks, engine.hooks = engine.hooks, replace(engine.hooks, timer=timer)
    try:
        for number, _ in enumerate(walk(engine, given(objects, args.size), args.frames)):
            if number == WARM:
                spent.clear()
    finally:
        engine.hooks = plain_hooks
    return {f"{stage}_ms": 1000 * seconds / (args.frames - WARM - 1) for stage, seconds in sorted(spent.items())}


def parts(engine: Measured, objects: int, args: argparse.Namespace) -> dict[str, Any]:
    """What the network's stages take for the largest group of buckets, plain and compiled."""
    assert isinstance(engine, MultiplexEngine)
    frames = (Frame(FrameInfo(i, None, str(i)), picture(i % PICTURES, args.size)) for i in range(WARM))
    prompts = [MaskPrompt(0, i + 1, mask) for i, mask in enumerate(given(objects, args.size))]
    return stage_times(engine, VideoInfo(args.size[1], args.size[0]), frames, prompts, compiled=args.compile)


def loop(folder: Path, engine: Measured, objects: int, args: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a frame of transformers' own loop, and its peak memory, with the engine's weights."""
    spans = steady(loop_times(folder, engine, objects, args))
    return {"ms": float(np.mean(spans)), "median_ms": float(np.median(spans)), "peak_gb": peak(args.device)}


def loop_times(folder: Path, engine: Measured, objects: int, args: argparse.Namespace) -> list[float]:
    """When each frame was done by transformers' loop, in the engine's precision, its masks brought to the host."""
    kind, here = kind_of(engine.name, folder), first(args.device)
    dtype = torch.bfloat16 if args.device.startswith("cuda") else torch.float32
    model = getattr(transformers, kind.model_class).from_pretrained(folder, dtype=dtype).to(here).eval()
    size, count = int(model.prompt_encoder.input_image_size), args.frames
    small = [resize(upload(picture(i, args.size), torch.device(here)), size) for i in range(PICTURES)]
    video = torch.cat([normalise(small[i % PICTURES], kind.mean_std, dtype) for i in range(count)])
    module = importlib.import_module(type(model).__module__)
    session_class = next(getattr(module, n) for n in dir(module) if n.endswith("InferenceSession"))
    height, width = args.size
    options = {"inference_device": here, "inference_state_device": here}
    session = session_class(video, height, width, video_storage_device=here, dtype=dtype, **options)
    for i, mask in enumerate(given(objects, args.size)):
        row = session.obj_id_to_idx(i + 1)
        session.add_mask_inputs(row, 0, resize_masks([mask], size, torch.device(here)))
    session.obj_with_new_inputs = list(range(1, objects + 1))
    times = []
    for index in range(count):
        if index == WARM:
            clear_peak(args.device)
        out = model(session, frame_idx=index)
        masks = torch.nn.functional.interpolate(out.pred_masks.float(), size=args.size, mode="bilinear") > 0
        masks.cpu()
        times.append(time.perf_counter())
    return times


def run(engine: Measured, objects: int, args: argparse.Namespace) -> dict[str, Any]:
    """From a video file to a tracks file: decoding, tracking, RLE, SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path, args.frames, args.size)
        tracker = MaskTracker(str(path), engine=engine)
        for i, mask in enumerate(given(objects, args.size)):
            tracker.add_mask_prompt(mask, obj_id=i + 1)
        times: list[float] = []
        tracker.propagate(callback=lambda _: times.append(time.perf_counter()))
        tracker.close()
    return {"ms": float(np.mean(np.diff(times[WARM:]))) * 1000}


def text(engine: Measured, objects: int, args: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a frame of a run without words and with them on every n-th frame, and how often each looked."""
    every: dict[str, int | None] = {"without": None} | {f"every_{n}": n for n in args.every}
    plain, rounds = text_detector.non_maximum_suppression, []
    looks: Counter[str] = Counter()
    try:
        for name, n in list(every.items()) * ROUNDS:

            def as_tracked(
                scores: torch.Tensor,
                masks: torch.Tensor,
                min_score: float,
                max_overlap: float,
                *,
                overlap: text_detector.Overlap = "iou",
                name: str = name,
            ) -> list[int]:
                looks[name] += 1
                plain(scores, masks, min_score, max_overlap, overlap=overlap)
                return list(range(objects))

            text_detector.non_maximum_suppression = as_tracked
            rounds.append((name, text_run(engine, objects, n, args)))
    finally:
        text_detector.non_maximum_suppression = plain
    ms = {name: float(np.mean([one for other, one in rounds if other == name])) for name in every}
    ratios = {name: ms[name] / ms["without"] for name in every if name != "without"}
    looks_each = {name: looks[name] / args.phrases / ROUNDS for name in ratios}
    return {"ms": ms, "ratios": ratios, "looks": looks_each, "phrases": args.phrases, "rounds_ms": rounds}


def text_run(engine: Measured, objects: int, every: int | None, args: argparse.Namespace) -> float:
    """From a video file to a tracks file, with as many finds of a phrase as there are objects, none of them new."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path, args.frames, args.size)
        tracker = MaskTracker(str(path), engine=engine, tracks=Path(folder) / "tracks.sqlite")
        for i, mask in enumerate(given(objects, args.size)):
            tracker.add_mask_prompt(mask, obj_id=i + 1)
        times: list[float] = []
        phrases = [letter * 3 for letter in "abcdefghij"[: args.phrases]]
        tracker.propagate(
            direction="forward",
            text=None if every is None else phrases,
            association=AssociationOptions(every=every, min_score=0, min_new_score=1),
            callback=lambda _: times.append(time.perf_counter()),
        )
        tracker.shutdown()
    return float(np.mean(np.diff(times[WARM:]))) * 1000


def write_clip(path: Path, count: int, size_hw: tuple[int, int]) -> None:
    """An H.264 file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = size_hw[1], size_hw[0], "yuv420p"
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(picture(i % PICTURES, size_hw), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def agreement(folder: Path, objects: int, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Mask IoU with float32 on one device: of each object with itself, and with the closest other, to tell a swap."""
    alone = argparse.Namespace(**vars(args) | {"device": first(args.device)})
    exact = [rows.stack() for rows in collect(folder, "float32", False, objects, alone)]
    for compiled in (False, True) if args.compile else (False,):
        found = collect(folder, "bfloat16", compiled, objects, args)
        own, other, known = [], [], []
        for rows, wanted in zip(found[1:], exact[1:], strict=True):
            table = ious(rows.stack(), wanted)
            own += list(np.diag(table))
            known += list(table.argmax(axis=1) == np.arange(len(table)))
            other += list((table - 2 * np.eye(len(table))).max(axis=1)) if len(table) > 1 else []
        yield {
            "compiled": compiled,
            "iou_with_float32": float(np.mean(own)),
            "worst_iou": float(np.min(own)),
            "iou_with_closest_other": float(np.mean(other)) if other else None,
            "closest_to_itself": float(np.mean(known)),
            "share_inside": float(np.mean([wanted.mean() for wanted in exact[1:]])),
        }


def collect(folder: Path, precision: str, compiled: bool, objects: int, args: argparse.Namespace) -> list[FrameMasks]:
    """All frames of a fresh engine."""
    engine = load(folder, args, precision=precision, compile=compiled)
    try:
        return list(walk(engine, halves(objects, args.size), args.frames))
    finally:
        engine.close()
        gc.collect()


def ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) of masks (N, H, W) and (M, H, W)."""
    a, b = (x.reshape(len(x), -1).astype(np.float32) for x in (a, b))
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1)[None] - both
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def growth(engine: Measured, objects: int, args: argparse.Namespace) -> dict[str, Any]:
    """Device memory that is in use after a fifth of the frames, and after all of them."""
    held = [allocated(args.device) for _ in walk(engine, given(objects, args.size), args.growth)]
    return {"frames": args.growth, "bytes_early": held[args.growth // 5], "bytes_late": held[-1]}


def first(devices: str) -> str:
    """The first of several devices."""
    return devices.split(",")[0]


# --- rows ---------------------------------------------------------------------------------------------------------


def clear_peak(device: str) -> None:
    if device.startswith("cuda"):
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def wait_for(device: str) -> None:
    if device.startswith("cuda"):
        for number in range(torch.cuda.device_count()):
            torch.cuda.synchronize(number)


def peak(device: str) -> float | None:
    return torch.cuda.max_memory_allocated() / 1e9 if device.startswith("cuda") else None


def allocated(device: str) -> int:
    return torch.cuda.memory_allocated() if device.startswith("cuda") else 0


def about(args: argparse.Namespace, device: str) -> dict[str, Any]:
    """What every row says of where it comes from."""
    gpu = torch.cuda.get_device_name(first(device)) if device.startswith("cuda") else None
    return stamp() | {
        "device": gpu or platform.processor() or "CPU",
        "devices": len(device.split(",")),
        "engine": args.engine,
        "weights": "random" if args.checkpoint is None else "checkpoint",
        "size": f"{args.size[1]}x{args.size[0]}",
        "frames": args.frames,
        "memory_selection": args.memory_selection,
    }


def selection(args: argparse.Namespace) -> dict[str, bool]:
    """The engine's option, where it has it."""
    return {} if args.memory_selection is None else {"memory_selection": args.memory_selection == "on"}


def measure(folder: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All rows that were asked for."""
    if "agreement" in args.what:
        for row in agreement(folder, 6, args):
            yield {"what": "agreement", "objects": 6} | row
    engine = load(folder, args, compile=args.compile)
    engine.hooks = SessionHooks(change_logits=discs)
    measurements = {"step": step, "stages": stages, "parts": parts, "run": run, "text": text}
    for objects in args.objects:
        for what in args.what:
            row = {"what": what, "objects": objects, "compile": args.compile}
            if what in measurements:
                yield row | measurements[what](engine, objects, args)
            elif what in (with_loop := {"loop": loop, "beside": beside}):
                yield row | with_loop[what](folder, engine, objects, args)
    for objects in args.growth_objects if args.growth else ():
        yield {"what": "growth", "objects": objects, "compile": args.compile} | growth(engine, objects, args)
    engine.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="sam3")
    parser.add_argument(
        "--checkpoint", help="a folder; by default random weights of full size (sam3.1, sam3, sam2.1-large)"
    )
    parser.add_argument("--objects", type=int, nargs="*", default=[1, 5, 20, 50])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--size", type=lambda s: tuple(int(v) for v in s.split("x"))[::-1], default=(720, 1280))
    parser.add_argument(
        "--device",
        nargs="+",
        default=["cuda" if torch.cuda.is_available() else "cpu"],
        help="measured one after the other; objects are spread over cuda:0,cuda:1",
    )
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--growth", type=int, default=0, help="frames over which memory is watched")
    parser.add_argument("--growth-objects", type=int, nargs="*", default=[3])
    parser.add_argument("--tiny", action="store_true", help="a tiny sam3.1: whether this script works at all")
    parser.add_argument("--log", action="store_true", help="what the engine does, on stderr")
    parser.add_argument(
        "--what", nargs="*", help="by default step, run, agreement, and beside where transformers has the model"
    )
    parser.add_argument("--every", type=int, nargs="+", default=[10, 1], help="with text: on every n-th frame")
    parser.add_argument("--phrases", type=int, default=1, help="with text: how many are looked for")
    parser.add_argument(
        "--memory-selection",
        nargs="+",
        choices=["on", "off"],
        default=None,
        help="measured one after the other; by default on with sam3, which alone has it",
    )
    args = parser.parse_args()
    if args.what is None:
        args.what = ["step", *(["beside"] if args.engine in CONFIGS else []), "run", "agreement"]
    if args.log:
        logging.basicConfig(level=logging.INFO)
    if args.frames <= WARM + AT_ONCE:
        parser.error(f"--frames: more than {WARM + AT_ONCE} are needed, the first {WARM} of which are not timed")
    with tempfile.TemporaryDirectory() as made:
        if args.checkpoint:
            folder = Path(args.checkpoint)
        elif "text" in args.what:
            folder = random_detector(args.engine, Path(made), first(args.device[0]), tiny=args.tiny)
        else:
            folder = random_model(args.engine, Path(made), first(args.device[0]), tiny=args.tiny)
        settings = args.memory_selection or ["on" if args.engine == "sam3" else None]
        for device, selects in product(args.device, settings):
            chosen = argparse.Namespace(**vars(args) | {"device": device, "memory_selection": selects})
            for row in measure(folder, chosen):
                print(json.dumps(about(chosen, device) | row), flush=True)


if __name__ == "__main__":
    main()
