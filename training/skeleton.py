"""Articulated bodies and thin structures, as bones (round-ended bars) and rings in local coordinates, -1 to 1.

Every design gives, for things (*s) and T frames: start (*s, T, BONES, 2), direction (*s, T, BONES), length and radius
(*s, BONES), the radius below 0 where there is no bone.
"""

import math
from typing import NamedTuple

import torch
from dice import Dice
from recipe import Recipe
from torch import Tensor

BODY, HUMAN, BEAST, LINES, WHEELS, BARS = range(6)  # designs
BONES, RINGS = 12, 2


class Bones(NamedTuple):
    """Bones of things, see above."""

    start: Tensor
    direction: Tensor
    length: Tensor
    radius: Tensor


class Joint(NamedTuple):
    """One bone of an animal: where it hangs, how it may bend; ``group``: parts of one colour."""

    parent: int
    along: float  # of the parent
    angle: float  # from the parent's direction
    bend: tuple[float, float]  # by chance, for all frames
    swing: float
    length: float
    radius: float
    group: int


HUMAN_JOINTS = (
    Joint(-1, 0, -math.pi / 2, (-0.25, 0.25), 0.2, 0.55, 0.13, 0),  # trunk, from the hip
    Joint(0, 1.25, 0, (-0.3, 0.3), 0.3, 0.1, 0.1, 1),  # head
    Joint(0, 0.95, math.pi, (-1.4, 1.4), 1.2, 0.3, 0.055, 0),  # arms
    Joint(2, 1, 0, (-1.4, 0), 0.8, 0.28, 0.042, 2),
    Joint(0, 0.95, math.pi, (-1.4, 1.4), 1.2, 0.3, 0.055, 0),
    Joint(4, 1, 0, (-1.4, 0), 0.8, 0.28, 0.042, 2),
    Joint(0, 0, math.pi, (-0.7, 0.7), 1.0, 0.42, 0.08, 3),  # legs
    Joint(6, 1, 0, (0, 0.9), 0.7, 0.42, 0.06, 3),
    Joint(0, 0, math.pi, (-0.7, 0.7), 1.0, 0.42, 0.08, 3),
    Joint(8, 1, 0, (0, 0.9), 0.7, 0.42, 0.06, 3),
)
BEAST_JOINTS = (
    Joint(-1, 0, 0, (-0.15, 0.15), 0.1, 0.75, 0.17, 0),  # trunk, from the hind
    Joint(0, 1, -0.8, (-0.5, 0.6), 0.4, 0.3, 0.09, 0),  # neck
    Joint(1, 1, 0.9, (-0.4, 0.4), 0.4, 0.17, 0.085, 1),  # head
    Joint(0, 0, math.pi, (-0.8, 0.9), 0.9, 0.35, 0.03, 0),  # tail
    Joint(0, 0.0, math.pi / 2, (-0.6, 0.6), 0.9, 0.3, 0.07, 2),  # legs
    Joint(4, 1, 0, (-0.6, 0.4), 0.6, 0.3, 0.045, 2),
    Joint(0, 0.1, math.pi / 2, (-0.6, 0.6), 0.9, 0.3, 0.07, 3),
    Joint(6, 1, 0, (-0.6, 0.4), 0.6, 0.3, 0.045, 3),
    Joint(0, 0.9, math.pi / 2, (-0.6, 0.6), 0.9, 0.3, 0.065, 2),
    Joint(8, 1, 0, (-0.4, 0.6), 0.6, 0.3, 0.04, 2),
    Joint(0, 1.0, math.pi / 2, (-0.6, 0.6), 0.9, 0.3, 0.065, 3),
    Joint(10, 1, 0, (-0.4, 0.6), 0.6, 0.3, 0.04, 3),
)


def ray(angle: Tensor) -> Tensor:
    """(*s, 2) unit vectors."""
    return torch.stack([angle.cos(), angle.sin()], -1)


def spread(x: Tensor, like: Tensor) -> Tensor:
    """Appends axes to x until it has as many as ``like``."""
    return x.reshape(*x.shape, *[1] * (like.dim() - x.dim()))


def choose(design: Tensor, number: int, chosen: Bones, other: Bones) -> Bones:
    """Bones of ``chosen`` where the design is ``number``."""
    return Bones(*(torch.where(spread(design == number, b), a, b) for a, b in zip(chosen, other, strict=True)))


def skeleton(dice: Dice, recipe: Recipe, steps: Tensor, design: Tensor, size: Tensor) -> dict[str, Tensor]:
    """Bones, rings and colours of (B, R) things; steps (B, T); size: half of each thing's longer side."""
    shape = design.shape
    swing = dice.log_uniform(recipe.limb_swing, *shape)
    bones = _tree(dice, steps, swing)
    bones = choose(design, HUMAN, _animal(dice, steps, swing, HUMAN_JOINTS), bones)
    bones = choose(design, BEAST, _animal(dice, steps, swing, BEAST_JOINTS), bones)
    bones = _filled(bones)
    thin = dice.log_uniform(recipe.thin, *shape) / size
    wheels, ring = _wheels(dice, steps, thin)
    bones = choose(design, WHEELS, wheels, bones)
    bones = choose(design, LINES, _lines(dice, steps, thin), bones)
    bones = choose(design, BARS, _bars(dice, steps, thin), bones)
    palette = dice.uniform((-0.3, 0.3), *shape, BONES, 3) * dice.chance(0.6, *shape)[..., None, None]
    grey = dice.uniform((-0.6, 0.6), *shape, BONES, 1)
    palette = torch.where(dice.chance(recipe.dressed, *shape)[..., None, None], grey + 0.7 * palette, palette)
    for number, joints in ((HUMAN, HUMAN_JOINTS), (BEAST, BEAST_JOINTS)):
        group = torch.tensor([j.group for j in joints] + [0] * (BONES - len(joints)))
        palette = torch.where(spread(design == number, palette), 1.3 * palette[..., group, :], palette)
    ring = torch.where(spread(design == WHEELS, ring), ring, -1.0)
    return dict(**bones._asdict(), ring=ring, palette=palette)


def _swings(dice: Dice, steps: Tensor, swing: Tensor) -> Tensor:
    """(*s, T, BONES) paths of joints, of typical speed ``swing`` (*s)."""
    each = swing[..., None].expand(*swing.shape, BONES)
    return dice.path(steps[:, None, None], each).transpose(-1, -2)


def _tree(dice: Dice, steps: Tensor, swing: Tensor) -> Bones:
    """Bodies of 3 to 8 bones that hang on one another at random."""
    shape = swing.shape
    length = torch.cat([dice.uniform((0.35, 0.9), *shape, 1), dice.uniform((0.2, 0.75), *shape, BONES - 1)], -1)
    radius = dice.log_uniform((0.03, 0.2), *shape, BONES)
    radius[..., 0] = dice.log_uniform((0.1, 0.32), *shape)
    count = 3 + dice.whole(6, *shape, 1)
    radius = torch.where(torch.arange(BONES) < count, radius, -1.0)
    bend = dice.uniform((-2.2, 2.2), *shape, 1, BONES) + _swings(dice, steps, swing).clamp(-1.6, 1.6)
    bend[..., 0] = dice.uniform((-3.14, 3.14), *shape, 1)
    limb = dice.chance(0.5, *shape, BONES) | (count <= 4)
    parent = (limb * dice.uniform((0, 1), *shape, BONES) * torch.arange(BONES)).long()
    along = dice.chance(0.7, *shape, BONES) * length.gather(-1, parent)
    start, direction = torch.zeros(*bend.shape, 2), bend.clone()
    for k in range(1, 8):
        here = parent[..., None, k : k + 1].expand(*bend.shape[:-1], 1)
        turn = direction.gather(-1, here)[..., 0]
        near = start.gather(-2, here[..., None].expand(*here.shape, 2))[..., 0, :]
        start[..., k, :] = near + along[..., None, k, None] * ray(turn)
        direction[..., k] += turn
    return Bones(start, direction, length, radius)


def _animal(dice: Dice, steps: Tensor, swing: Tensor, joints: tuple[Joint, ...]) -> Bones:
    """Bodies of one plan, of varying limbs."""
    shape, count = swing.shape, len(joints)
    angle, low, high, move, long, wide = torch.tensor(
        [(j.angle, *j.bend, j.swing, j.length, j.radius) for j in joints] + [(0.0, 0, 0, 0, 1, 0)] * (BONES - count)
    ).unbind(-1)
    length = long * dice.uniform((0.8, 1.25), *shape, BONES)
    radius = wide * dice.uniform((0.8, 1.7), *shape, 1) * dice.uniform((0.85, 1.2), *shape, BONES)
    radius[..., count:] = -1
    bend = low + (high - low) * dice.uniform((0, 1), *shape, 1, BONES) + move * _swings(dice, steps, swing)
    direction = angle + torch.minimum(torch.maximum(bend, low - 0.3), high + 0.3)
    start = torch.zeros(*direction.shape, 2)
    for k, joint in enumerate(joints[1:], 1):
        turn = direction[..., joint.parent]
        arm = joint.along * length[..., None, joint.parent, None]
        start[..., k, :] = start[..., joint.parent, :] + arm * ray(turn)
        direction[..., k] += turn
    return Bones(start, direction, length, radius)


def _filled(bones: Bones) -> Bones:
    """Moves and scales bodies so that they fill their tile on the first frame."""
    first, absent = bones.start[..., 0, :, :], (bones.radius < 0)[..., None]
    ends = first + bones.length[..., None] * ray(bones.direction[..., 0, :])
    low = (torch.minimum(first, ends) - bones.radius[..., None]).masked_fill(absent, 9).amin(-2)
    high = (torch.maximum(first, ends) + bones.radius[..., None]).masked_fill(absent, -9).amax(-2)
    scale = 1.9 / (high - low).amax(-1).clamp(min=0.2)  # (B, R)
    start = (bones.start - (0.5 * (low + high))[..., None, None, :]) * scale[..., None, None, None]
    radius = torch.where(bones.radius < 0, -1.0, bones.radius * scale[..., None])
    return Bones(start, bones.direction, bones.length * scale[..., None], radius)


def _wheels(dice: Dice, steps: Tensor, thin: Tensor) -> tuple[Bones, Tensor]:
    """Two wheels with three turning diameters each, and a frame between them; also rings (*s, RINGS, 4)."""
    shape, frames = thin.shape, steps.shape[1]
    gap, wide = dice.uniform((0.35, 0.6), *shape), dice.uniform((0.25, 0.38), *shape)
    hub = torch.stack([torch.stack([-gap, gap], -1), torch.full((*shape, 2), 0.3)], -1)  # (*s, 2, 2)
    spin = dice.uniform((0, 3.14), *shape)[..., None] + dice.path(steps[:, None], torch.ones(shape))
    start, direction = torch.zeros(*shape, frames, BONES, 2), torch.zeros(*shape, frames, BONES)
    length = torch.ones(*shape, BONES)
    for k in range(6):
        angle = spin + (k % 3) * math.pi / 3
        start[..., k, :] = hub[..., k // 3, None, :] - wide[..., None, None] * ray(angle)
        direction[..., k], length[..., k] = angle, 2 * wide
    top = torch.stack([dice.uniform((-0.2, 0.2), *shape), dice.uniform((-0.5, 0.1), *shape)], -1)
    left, right = hub[..., 0, :], hub[..., 1, :]
    for k, (a, b) in enumerate(((left, top), (right, top), (left, right)), 6):
        start[..., k, :] = a[..., None, :]
        direction[..., k] = torch.atan2((b - a)[..., 1], (b - a)[..., 0])[..., None]
        length[..., k] = (b - a).norm(dim=-1)
    radius = thin[..., None] * torch.tensor([0.6] * 6 + [1.6] * 3 + [0.0] * (BONES - 9))
    rim = torch.stack([wide, 1.5 * thin], -1)[..., None, :].expand(*shape, 2, 2)
    return Bones(start, direction, length, torch.where(radius > 0, radius, -1.0)), torch.cat([hub, rim], -1)


def _lines(dice: Dice, steps: Tensor, thin: Tensor) -> Bones:
    """A pole, or two to four lines that meet in a far point."""
    shape, frames = thin.shape, steps.shape[1]
    sway = dice.path(steps[:, None], torch.full(shape, 0.1)).clamp(-1, 1)
    meet = torch.stack([dice.uniform((-0.8, 0.8), *shape)[..., None] + sway, torch.zeros_like(sway)], -1)
    meet[..., 1] = dice.log_uniform((0.6, 3.5), *shape)[..., None]
    start = dice.uniform((-0.8, 0.8), *shape, 1, BONES, 2) * torch.tensor([1.0, 0.4]) - torch.tensor([0, 0.6])
    way = meet[..., None, :] - start
    count = 1 + dice.whole(4, *shape)[..., None]
    radius = torch.where(torch.arange(BONES) < count, thin[..., None] * torch.where(count == 1, 2.5, 0.8), -1.0)
    return Bones(
        start.expand(*shape, frames, BONES, 2),
        torch.atan2(way[..., 1], way[..., 0]),
        way.norm(dim=-1)[..., 0, :],
        radius,
    )


def _bars(dice: Dice, steps: Tensor, thin: Tensor) -> Bones:
    """One to four long parallel bars."""
    shape, frames = thin.shape, steps.shape[1]
    place = (torch.arange(BONES) - 1.0) * dice.uniform((0.35, 1.2), *shape)[..., None]
    start = torch.stack([place, torch.full_like(place, -4.0)], -1)[..., None, :, :].expand(*shape, frames, BONES, 2)
    count = 1 + dice.kind((0.5, 0.2, 0.2, 0.1), *shape)[..., None]
    radius = torch.where(torch.arange(BONES) < count, dice.log_uniform((0.02, 0.16), *shape)[..., None], -1.0)
    direction = torch.full((*shape, frames, BONES), math.pi / 2)
    return Bones(start, direction, torch.full((*shape, BONES), 8.0), radius)
