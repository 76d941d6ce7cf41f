"""Made video clips for training: a target that moves through a scene, with its exact visible mask.

>>> clips = Clips(Path("assets"), "cuda")
>>> batch = clips.batch(24, 6)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from bank import Bank
from camera import background, box_blur, develop, smear
from dice import Dice
from PIL import Image
from recipe import Recipe
from script import PART, TARGET, Counts, Plan, plan, times
from shapes import numbers, render, sample, view_grid
from torch import Tensor

SMALL = 4  # shadows are made at a quarter of the resolution


@dataclass
class Batch:
    """Clips of one batch.

    Attributes:
        pictures: (B, T, 3, H, W) float32 RGB, whole numbers 0 to 255.
        masks: (B, T, 1, H, W) float32 in [0, 1], visible coverage of the target.
        valid: (B) bool, the target covers at least 0.4 % of frame 0.
    """

    pictures: Tensor
    masks: Tensor
    valid: Tensor


class Clips:
    """Generator of made clips.

    Args:
        assets: folder of a pack, see ``bank``.
        size: side of the square clips, or (height, width), px.
        seed: the same seed gives the same clips (to rounding, and but for noise on another sort of device).
        part: "train", or "held-out" for every tenth asset.
        recipe: what clips show, and how often.
    """

    def __init__(
        self,
        assets: Path,
        device: torch.device | str,
        size: int | tuple[int, int] = 384,
        seed: int = 0,
        part: str = "train",
        recipe: Recipe | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.size = (size, size) if isinstance(size, int) else size
        self.recipe = recipe or Recipe()
        self.bank = Bank(Path(assets), self.device, part)
        self.dice = Dice(seed)
        self.noise = torch.Generator(self.device).manual_seed(seed)
        bank = self.bank
        self.counts = Counts(
            len(bank.photos), bank.real, len(bank.silhouettes), bank.foliage, len(bank.cutouts), len(bank.turntables)
        )

    def batch(self, clips: int, frames: int) -> Batch:
        """Makes clips whose frames lie at growing random gaps."""
        return self.film(times(self.dice, self.recipe, clips, frames))

    @torch.no_grad()
    def film(self, steps: Tensor, sizes: Tensor | None = None) -> Batch:
        """Makes clips with frames at given times.

        Args:
            steps: (B, T) times in steps of about four film frames, from 0.
            sizes: (B) half of the target's longer side in units of half the picture's height; drawn if None.
        """
        script = plan(self.dice, self.recipe, self.counts, steps, self.size[1] / self.size[0], sizes)
        pictures, masks = self.compose(script)
        pictures = develop(pictures, self.dice, self.recipe, steps, self.noise)
        return Batch(pictures, masks, masks[:, 0].mean((1, 2, 3)) >= 0.004)

    def compose(self, script: Plan) -> tuple[Tensor, Tensor]:
        """Draws the layers over the backgrounds, far to near.

        Returns:
            pictures (B, T, 3, H, W) in [0, 1], masks (B, T, 1, H, W).
        """
        device, size = self.device, self.size
        clip, rank, role = script.clip.tolist(), script.rank.tolist(), script.layers.role.tolist()
        kinds, blurred = script.layers.kind.tolist(), (script.layers.blur.abs().amax((1, 2)) > 1e-4).tolist()
        bones = (script.layers.radius > 0).sum(-1).tolist()
        mirrored = (script.layers.reflection > 0).tolist()
        shaded = (script.layers.shadow[:, 0] > 0).tolist()
        panned = (script.pan.abs().amax((1, 2)) > 1e-4).tolist()
        layers = script.layers.to(device)
        canvas = self._far(script.to(device), [b for b, yes in enumerate(panned) if yes])
        colour, coverage = render(self.bank, layers, kinds, bones, size)
        index = numbers([i for i, yes in enumerate(blurred) if yes], device)
        if len(index):
            rgba = torch.cat([colour[index] * coverage[index][:, :, None], coverage[index][:, :, None]], 2)
            rgba = smear(rgba, layers.blur[index])
            coverage[index] = rgba[:, :, 3]
            colour[index] = rgba[:, :, :3] / rgba[:, :, 3:].clamp(min=1e-3)
        visible = torch.zeros(*canvas.shape[:2], *size, device=device)
        for place in range(max(rank) + 1):
            rows = [i for i, r in enumerate(rank) if r == place]
            row = numbers(rows, device)
            at = numbers([clip[i] for i in rows], device)
            under, alpha = canvas[at], coverage[row]
            dark = [j for j, i in enumerate(rows) if shaded[i]]
            if dark:
                j = numbers(dark, device)
                under[j] *= 1 - shadows(alpha[j], layers.shadow[row[j]])[:, :, None]
            image = [j for j, i in enumerate(rows) if mirrored[i]]
            if image:
                j = numbers(image, device)
                below, faint = reflections(colour[row[j]], alpha[j])
                faint = faint * layers.reflection[row[j]][:, None, None, None, None]
                under[j] = under[j] * (1 - faint) + below * faint
            canvas[at] = torch.lerp(under, colour[row], alpha[:, :, None])
            ours = numbers([role[i] in (TARGET, PART) for i in rows], device)
            visible[at] = visible[at] * (1 - alpha) + alpha * ours[:, None, None, None]
        return canvas, visible[:, :, None]

    def _far(self, script: Plan, panned: list[int]) -> Tensor:
        """The backgrounds (B, T, 3, H, W), with their blur and contrast."""
        canvas = background(self.bank.photos, script, self.size)
        clips = len(canvas)
        if panned:
            index = numbers(panned, self.device)
            canvas[index] = smear(canvas[index], script.pan[index])
        index = torch.where(self.dice.chance(self.recipe.defocus, clips))[0].to(self.device, non_blocking=True)
        if len(index):
            canvas[index] = box_blur(canvas[index], 1 + int(self.dice.whole(4)))
        contrast = torch.where(self.dice.chance(0.25, clips), self.dice.uniform((0.35, 1.0), clips), 1.0)
        contrast = contrast[:, None, None, None, None].to(self.device, non_blocking=True)
        mean = canvas.mean((1, 3, 4), keepdim=True)
        return canvas.mul_(contrast).add_(mean * (1 - contrast))


def feet(coverage: Tensor) -> Tensor:
    """(n, T) lowest row of (n, T, h, w) coverage, as y in -1 to 1."""
    height = coverage.shape[-2]
    rows = (coverage.amax(-1) > 0.3) * torch.arange(1, height + 1, device=coverage.device)
    return rows.amax(-1) * (2 / height) - 1


def shadows(coverage: Tensor, shape: Tensor) -> Tensor:
    """Soft darkness (n, T, H, W) thrown by coverage (n, T, H, W).

    Args:
        shape: (n, 5) strength, slant, squash, lift, softness.
    """
    height, width = coverage.shape[-2:]
    small = F.avg_pool2d(coverage, SMALL)
    foot = feet(small)[..., None, None]
    strength, slant, squash, lift, soft = shape[:, :, None, None, None].unbind(1)
    grid = view_grid(small.shape[-2:], 1, coverage.device)
    y = grid[..., 1] - lift
    # over the feet the shadow lies behind the thing, squashed
    up = foot + (y - foot) * squash
    x = grid[..., 0] * (height / width) + slant * (y - foot)
    moved = sample(small.flatten(0, 1)[:, None], torch.stack([x, up], -1).flatten(0, 1), "zeros").view_as(small)
    wide = torch.lerp(box_blur(moved, 2), box_blur(moved, 5), soft) * strength
    return F.interpolate(wide, (height, width), mode="bilinear")


def reflections(colour: Tensor, coverage: Tensor) -> tuple[Tensor, Tensor]:
    """Things upside down below their feet: colour (n, T, 3, H, W), coverage (n, T, 1, H, W) that fades."""
    n, frames, height, width = coverage.shape
    foot = feet(coverage)[..., None, None]
    grid = view_grid((height, width), 1, coverage.device)
    y = (2 * foot - grid[..., 1]).expand(n, frames, height, width)
    x = (grid[..., 0] * (height / width)).expand_as(y)
    rgba = torch.cat([colour, coverage[:, :, None]], 2).flatten(0, 1)
    turned = sample(rgba, torch.stack([x, y], -1).flatten(0, 1), "zeros").view(n, frames, 4, height, width)
    fade = (1 - (grid[..., 1] - foot)).clamp(0, 1)[:, :, None]
    return turned[:, :, :3], turned[:, :, 3:] * fade


def sheet(batch: Batch, path: Path, rows: int = 8) -> None:
    """Writes a contact sheet: a clip a row, the outline of its mask in red, invalid clips grey.

    The suffix of ``path`` says the format.
    """
    pictures, masks = batch.pictures[:rows].cpu(), batch.masks[:rows, :, 0].cpu() > 0.5
    grown = F.max_pool2d(masks.float(), 3, 1, 1) > 0
    shrunk = -F.max_pool2d(-masks.float(), 3, 1, 1) > 0
    edge = (grown & ~shrunk)[:, :, None]
    pictures = torch.where(edge, torch.tensor([255.0, 0, 0])[:, None, None], pictures)
    pictures = torch.where(batch.valid[:rows].cpu()[:, None, None, None, None], pictures, 0.5 * pictures + 64)
    clips, frames, _, height, width = pictures.shape
    tiles = pictures.permute(0, 3, 1, 4, 2).reshape(clips * height, frames * width, 3)
    Image.fromarray(tiles.numpy().astype(np.uint8)).save(path, quality=88)
