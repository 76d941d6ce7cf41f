"""Write tests/fixtures/multiplex_float64.npz: what another implementation answers to `multiplex_scenarios`, in float64.

    python tests/record_multiplex_float64.py FOLDER

FOLDER holds ``sam31_prototype.py``, a study of SAM 3.1 that is not part of this repository. It was written separately,
agrees with the original to 1e-12 in float64, and shares no code with the engine.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import multiplex_models
from maskferry.engines._sam.checkpoint import CENTRED
from maskferry.engines._sam.preprocessing import normalise
from maskferry.engines._sam.prompting import resize_masks
from multiplex_scenarios import POINTS, SCENARIOS, Recorder, Scenario, mask, picture, weights

FIXTURE = Path(__file__).parent / "fixtures" / "multiplex_float64.npz"


def reference_model(reference: Any, scenario: Scenario) -> Any:
    size = multiplex_models.TINY
    config = reference.Config(
        image=size.image_size,
        pretrain=size.pretrain_size,
        width=size.trunk_width,
        depth=size.trunk_depth,
        heads=size.trunk_heads,
        vit_mlp=size.trunk_mlp,
        window=size.window,
        full=size.global_blocks,
        dim=size.hidden,
        recall_layers=size.attention_layers,
        recall_mlp=size.attention_mlp,
        decoder_mlp=size.decoder_mlp,
        iou_hidden=size.quality_hidden,
        mask_channels=size.mask_channels,
    )
    model = reference.Model(config)
    model.load(weights(scenario))
    return model.double().ready(torch.float64)


def pixels(index: int) -> torch.Tensor:
    image = torch.from_numpy(picture(index).image).permute(2, 0, 1)[None].float()
    return normalise(image, CENTRED, torch.float64)


def play(reference: Any, scenario: Scenario) -> Recorder:
    model = reference_model(reference, scenario)
    tracker = reference.Tracker(model, len(scenario.frames), isolate=scenario.isolate)
    tracker.share_given = not scenario.isolate
    recorder, side = Recorder(scenario), multiplex_models.TINY.mask_size
    for step, index in enumerate(scenario.frames):
        for i in scenario.drops.get(step, ()):
            tracker.drop(i)
        seeds = scenario.prompts.get(step, {})
        masks = {i: resize_masks([mask(s)], side, torch.device("cpu"))[0, 0].double() for i, s in seeds.items()}
        with torch.inference_mode():
            rows = tracker.step(model.encode(pixels(index)), masks)
        for i, found in rows.items():
            recorder.note_object(step, i, found.logits[0, 0], found.presence, found.pointer)
        for bucket in tracker.buckets:
            live = [i for i in bucket.slots if isinstance(i, int) and i not in bucket.ghosts]
            recorder.note_memory(step, live, (bucket.given | bucket.recent)[step].feature)
    return recorder


def points(reference: Any) -> dict[str, Any]:
    """Prompts without memory, with and without a mask of before."""
    model = reference_model(reference, SCENARIOS["three"])
    before = torch.from_numpy(np.random.RandomState(8).standard_normal((1, 1, 24, 24)) * 3)
    kept = {}
    with torch.inference_mode():
        looks = model.encode(pixels(0))
        for name, (xy, labels) in POINTS.items():
            for what, logits in (("new", None), ("corrected", before)):
                places = torch.tensor(xy, dtype=torch.float64)
                found = model.net.take_points(looks, places, torch.tensor(labels), logits)
                parts = [found.logits.flatten(), found.presence.flatten(), found.pointer.flatten()]
                kept[f"points/{name}/{what}"] = torch.cat([*parts, found.quality.flatten()]).numpy()
    return kept


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    reference = importlib.import_module("sam31_prototype")
    kept = points(reference)
    for name, scenario in SCENARIOS.items():
        recorder = play(reference, scenario)
        kept |= {f"{name}/objects": recorder.objects, f"{name}/memories": recorder.memories}
        presence = recorder.objects[:, :, -6]
        print(name, "in sight", (presence > 0).sum(), "out of sight", (presence <= 0).sum())  # noqa: T201
    np.savez_compressed(FIXTURE, **kept)


if __name__ == "__main__":
    main()
