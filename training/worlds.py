"""Made videos for evaluation, from the held-out assets unless told: consecutive frames of whole scenes, not windows.

    python training/worlds.py ASSETS OUT --count 100 --seed 7

writes OUT/JPEGImages/480p/NAME/00000.jpg and OUT/Annotations/480p/NAME/00000.png (0 or 255), the layout of DAVIS.
"""

import argparse
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from camera import develop
from dice import Dice
from numpy.typing import NDArray
from PIL import Image
from recipe import Recipe
from script import Plan, plan

from clips import Clips

SIZE, FRAMES = (480, 854), 40
RATES = (1.6, 4.0)  # film frames a step, log: fast scenes to calm ones
SHARES = (0.003, 0.3)  # of the picture that the target covers on frame 0; drawn evenly in the logarithm
FILL = 0.35  # share of its tile that a thing covers, about
CHUNK = 8  # frames drawn at once
# half a film frame of exposure at most; light and shake change less from frame to frame than in clips with gaps
RECIPE = dataclasses.replace(Recipe(), shutter=(0.03, 0.12), target_defocus=0.04, leaves=0.06, growth_total=(0.4, 1.2))

World = tuple[str, NDArray[np.uint8], NDArray[np.bool_]]


def worlds(
    count: int,
    seed: int,
    assets: Path = Path("assets"),
    size: tuple[int, int] = SIZE,
    frames: int = FRAMES,
    skip: int = 0,
    part: str = "held-out",
) -> Iterator[World]:
    """Makes videos number ``skip`` to ``count`` - 1; each depends on its number and the seed alone.

    Yields:
        name, pictures (T, H, W, 3) uint8 RGB, truth (T, H, W) bool.
    """
    clips = Clips(assets, "cpu", size, seed, part, RECIPE)
    for number in range(skip, count):
        clips.dice, clips.noise = Dice(1000 * seed + number), torch.Generator().manual_seed(1000 * seed + number)
        yield f"w{number:03d}", *_film(clips, _script(clips, size, frames), size)


def _script(clips: Clips, size: tuple[int, int], frames: int, tries: int = 15) -> Plan:
    """A scene whose target has about the share drawn on frame 0 and is seen on most frames."""
    share = float(clips.dice.log_uniform(SHARES))
    aspect = size[1] / size[0]
    sizes = torch.full((1,), math.sqrt(share * aspect / FILL))
    steps = torch.arange(frames)[None] / clips.dice.log_uniform(RATES)
    clips.size = (size[0] // 4, size[1] // 4)
    for _ in range(tries):
        script = plan(clips.dice, clips.recipe, clips.counts, steps, aspect, sizes)
        with torch.no_grad():
            _, masks = clips.compose(script.during(slice(0, frames, 5)))
        areas = masks.mean((2, 3, 4))[0]
        if share / 1.6 < areas[0] < 1.6 * share and (areas > 0.1 * areas[0]).float().mean() > 0.6:
            break
    return script


@torch.no_grad()
def _film(clips: Clips, script: Plan, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draws a scene, some frames at a time."""
    clips.size = size
    optics = clips.dice.generator.get_state()
    pictures, truth = [], []
    for first in range(0, script.steps.shape[1], CHUNK):
        clips.dice.generator.set_state(optics)  # the same optics for all frames
        drawn, masks = clips.compose(script.during(slice(first, first + CHUNK)))
        pictures.append((drawn[0] * 255).round().byte())
        truth.append(masks[0, :, 0] > 0.5)
    film = torch.cat(pictures).float()[None] / 255
    film = develop(film, clips.dice, clips.recipe, script.steps, clips.noise)[0].byte()
    return film.permute(0, 2, 3, 1).numpy(), torch.cat(truth).numpy()


def write(out: Path, world: World) -> None:
    """Writes a video in the layout of DAVIS."""
    name, pictures, truth = world
    folders = [out / kind / "480p" / name for kind in ("JPEGImages", "Annotations")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for i, (picture, mask) in enumerate(zip(pictures, truth, strict=True)):
        Image.fromarray(picture).save(folders[0] / f"{i:05d}.jpg", quality=95)
        Image.fromarray(mask.astype(np.uint8) * 255).save(folders[1] / f"{i:05d}.png")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assets", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--skip", type=int, default=0, help="leave out the first, which are there already")
    parser.add_argument("--part", default="held-out", choices=["held-out", "train"], help="of the assets")
    parser.add_argument("--frames", type=int, default=FRAMES)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for world in worlds(args.count, args.seed, args.assets, frames=args.frames, skip=args.skip, part=args.part):
        write(args.out, world)


if __name__ == "__main__":
    main()
