"""What a camera does to a clip: background warp, motion blur, defocus, light, noise, rescaling and compression."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from dice import Dice
from recipe import Recipe
from script import Plan
from shapes import enlarge, sample, view_grid
from torch import Tensor

TAPS = 5  # of motion blur
TO_LUMA = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
CHANNELS = torch.tensor([1.0, 1.6, 1.6])  # steps of luma and chroma


def background(photos: Tensor, plan: Plan, size: tuple[int, int]) -> Tensor:
    """(B, T, 3, H, W) in [0, 1]: the clips' photos seen by their cameras."""
    clips, frames = plan.steps.shape
    grid = view_grid(size, 8, photos.device)
    depth = 1 + torch.einsum("hwi,bti->bthw", grid, plan.tilt)
    nodes = torch.einsum("hwi,btji->bthwj", grid, plan.camera) / depth[..., None] + plan.shift[:, :, None, None]
    fine = enlarge(nodes, size)
    source = photos[plan.photo].float() / 255
    return sample(source, fine.flatten(1, 2), "reflection").view(clips, 3, frames, *size).transpose(1, 2).contiguous()


def smear(pictures: Tensor, motion: Tensor) -> Tensor:
    """Mean of (n, T, c, H, W) moved along ``motion`` (n, T, 2), view units, while the shutter is open."""
    n, frames, _, height, width = pictures.shape
    x, y = view_grid((height, width), 1, pictures.device).unbind(-1)
    grid = torch.stack([x * (height / width), y], -1)
    motion = torch.stack([motion[..., 0] * (height / width), motion[..., 1]], -1)
    total = torch.zeros_like(pictures).flatten(0, 1)
    for part in torch.linspace(-0.5, 0.5, TAPS).tolist():
        moved = grid + (part * motion).view(n * frames, 1, 1, 2)
        total += sample(pictures.flatten(0, 1), moved, "border")
    return (total / TAPS).view_as(pictures)


def box_blur(pictures: Tensor, radius: int, rounds: int = 2) -> Tensor:
    """Mean over (2 radius + 1)² pixels of (..., H, W), some times over."""
    flat = pictures.reshape(-1, 1, *pictures.shape[-2:])
    for _ in range(rounds):
        flat = F.avg_pool2d(flat, 2 * radius + 1, 1, radius, count_include_pad=False)
    return flat.view_as(pictures)


def develop(pictures: Tensor, dice: Dice, recipe: Recipe, steps: Tensor, noise: torch.Generator) -> Tensor:
    """Light, defocus, rescaling, noise and compression of finished clips.

    Args:
        pictures: (B, T, 3, H, W) in [0, 1], device; changed in place.
        steps: (B, T) on the CPU.
        noise: generator of the device.

    Returns:
        (B, T, 3, H, W) float32, whole numbers 0 to 255.
    """
    clips, device = len(steps), pictures.device
    drift = 0.07 * dice.chance(recipe.light_drift, clips)
    gain = dice.uniform((0.8, 1.2), clips, 1, 1) * (1 + dice.path(steps, drift)[..., None]).clamp(0.6, 1.35)
    gain = gain * dice.uniform((0.93, 1.07), clips, 1, 3)
    tint = 1 + 0.3 * torch.stack([dice.path(steps, drift) for _ in range(3)], -1).clamp(-0.5, 0.5)
    gamma = (dice.uniform((-0.25, 0.25), clips, 1) + dice.path(steps, 0.5 * drift).clamp(-0.4, 0.4)).exp()
    lift = dice.uniform((-0.05, 0.05), clips, 1, 1)
    gain = (gain * tint)[..., None, None].to(device, non_blocking=True)
    gamma = gamma[..., None, None, None].to(device, non_blocking=True)
    lift = lift[..., None, None].to(device, non_blocking=True)
    pictures = (pictures * gain + lift).clamp(1e-4, 1) ** gamma

    for chance, change in (
        (recipe.target_defocus, lambda some: box_blur(some, 1 + int(dice.whole(2)), 2)),
        (recipe.rescale, lambda some: rescale(some, float(dice.uniform(recipe.coarse)))),
    ):
        index = _drawn(dice.chance(chance, clips), device)
        if len(index):
            pictures[index] = change(pictures[index])
    grain = dice.uniform((0.003, 0.03), clips) * dice.chance(recipe.noise, clips)
    grain = grain[:, None, None, None, None].to(device, non_blocking=True)
    pictures.addcmul_(grain, torch.randn(pictures.shape, device=device, generator=noise))
    drawn = dice.chance(recipe.compression, clips)
    index = _drawn(drawn, device)
    if len(index):
        coarse = dice.log_uniform((0.3, 4), clips)[drawn]
        pictures[index] = compress(
            pictures[index], coarse.to(device, non_blocking=True), bool(dice.chance(recipe.chroma))
        )
    return (pictures.clamp_(0, 1) * 255).round_()


def _drawn(chosen: Tensor, device: torch.device) -> Tensor:
    """Indices of True in a CPU tensor, on the device."""
    return torch.where(chosen)[0].to(device, non_blocking=True)


def rescale(pictures: Tensor, factor: float) -> Tensor:
    """Makes (b, T, 3, H, W) smaller and large again."""
    flat = pictures.flatten(0, 1)
    small = F.interpolate(flat, scale_factor=factor, mode="bilinear", antialias=True)
    return F.interpolate(small, flat.shape[-2:], mode="bilinear").view_as(pictures)


def compress(pictures: Tensor, coarse: Tensor, chroma: bool) -> Tensor:
    """Quantises the 8x8 cosine transform of (b, T, 3, H, W); ``coarse`` (b) scales the steps.

    Luma and chroma differ in steps; with ``chroma`` the chroma is also halved in resolution.
    """
    _, frames, _, height, width = pictures.shape
    device = pictures.device
    to_luma = TO_LUMA.to(device, non_blocking=True)
    flat = torch.einsum("cd,ndhw->nchw", to_luma, pictures.flatten(0, 1))
    if chroma:
        half = F.avg_pool2d(flat[:, 1:], 2, ceil_mode=True)
        flat = torch.cat([flat[:, :1], F.interpolate(half, (height, width), mode="bilinear")], 1)
    tall, wide = -height % 8, -width % 8
    padded = F.pad(flat, (0, wide, 0, tall), mode="replicate")
    i = torch.arange(8.0, device=device)
    basis = torch.cos((2 * i + 1) * i[:, None] * math.pi / 16) * 0.5
    basis[0] *= math.sqrt(0.5)
    blocks = padded.unflatten(3, (-1, 8)).unflatten(2, (-1, 8))  # n, 3, rows, 8, columns, 8
    waves = torch.einsum("ui,ncaibj,vj->ncaubv", basis, blocks, basis)
    step = 0.05 * (0.4 + (i[:, None] + i) * 0.35)[:, None]  # 8, 1, 8
    step = step * CHANNELS.to(device, non_blocking=True)[:, None, None, None, None]
    step = step * coarse.repeat_interleave(frames)[:, None, None, None, None, None]
    waves = torch.round(waves / step) * step
    blocks = torch.einsum("ui,ncaubv,vj->ncaibj", basis, waves, basis)
    flat = blocks.flatten(4, 5).flatten(2, 3)[..., :height, :width]
    return torch.einsum("cd,ndhw->nchw", torch.linalg.inv(TO_LUMA).to(device, non_blocking=True), flat).view_as(
        pictures
    )
