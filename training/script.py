"""Draws the plan of a batch of clips: who is in it, how all things look and move. Small tensors, on the CPU.

A clip has eight roles, most of them empty. Coordinates: the view's height spans -1 to 1, y down; an object's local
coordinates span -1 to 1 on its tile.
"""

from dataclasses import dataclass, fields, replace

import torch
from dice import Dice
from recipe import Recipe
from skeleton import BARS, BODY, LINES, WHEELS, skeleton
from torch import Tensor

TARGET, PART, COMPANION, LOOKALIKE, OTHER, OCCLUDER = 0, 1, 2, 3, 4, 7
ROLES = 8
# fields of Layers with an axis of frames
TIMED = (
    "centre",
    "scale",
    "angle",
    "shear",
    "view",
    "wave",
    "swirl",
    "offset",
    "light",
    "glint",
    "blur",
    "start",
    "direction",
)
SILHOUETTE, CUTOUT, TURNTABLE, SKELETON = range(4)


@dataclass
class Counts:
    """How many assets of each sort a bank holds."""

    photos: int
    real: int
    silhouettes: int
    foliage: int
    cutouts: int
    turntables: int


@dataclass
class Layers:
    """Things of a batch, (n) or (B, ROLES) in front of the shapes given; T frames."""

    role: Tensor
    kind: Tensor
    asset: Tensor
    photo: Tensor
    centre: Tensor  # T, 2
    scale: Tensor  # T, 2: half extents along the local axes
    angle: Tensor  # T
    shear: Tensor  # T
    view: Tensor  # T: tile of a turntable
    mirrored: Tensor  # 1 or -1
    waves: Tensor  # 3, 4: wave vector and direction of elastic deformation
    wave: Tensor  # T, 3: its height
    pivot: Tensor  # 2, 3: centre and width of swirls
    swirl: Tensor  # T, 2: their angle
    offset: Tensor  # T, 2: of the texture
    zoom: Tensor  # of the texture
    contrast: Tensor
    keep: Tensor  # bool: the photo's own mean colour
    base: Tensor  # 3: mean colour
    mix: Tensor  # 3, 3: of colour channels
    light: Tensor  # T, 2: gradient of shading
    glint: Tensor  # T, 3: place and strength of a highlight
    shadow: Tensor  # 5: strength, slant, squash, lift, blur
    reflection: Tensor  # strength
    blur: Tensor  # T, 2: motion while the shutter is open
    design: Tensor
    start: Tensor  # T, BONES, 2
    direction: Tensor  # T, BONES
    length: Tensor  # BONES
    radius: Tensor  # BONES; below 0 where there is no bone
    palette: Tensor  # BONES, 3
    ring: Tensor  # RINGS, 4: centre, radius, half width; width below 0 where there is none

    def pick(self, *index: Tensor) -> "Layers":
        """Rows of every field."""
        return Layers(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def during(self, frames: slice) -> "Layers":
        """Some of the frames; rows must be (n)."""
        return Layers(
            **{
                f.name: getattr(self, f.name)[:, frames] if f.name in TIMED else getattr(self, f.name)
                for f in fields(self)
            }
        )

    def to(self, device: torch.device | str) -> "Layers":
        """Copies to a device."""
        return Layers(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})


@dataclass
class Plan:
    """A batch's clips: the camera of each, and its things."""

    steps: Tensor  # B, T
    photo: Tensor  # B: of the background
    camera: Tensor  # B, T, 2, 2: view to photo
    shift: Tensor  # B, T, 2
    tilt: Tensor  # B, T, 2: perspective
    pan: Tensor  # B, T, 2: how the background moves in the view while the shutter is open
    layers: Layers  # n
    clip: Tensor  # n
    rank: Tensor  # n: order of depth within the clip, 0 the farthest
    reach: Tensor  # B: half the side of the window round the target

    def during(self, frames: slice) -> "Plan":
        """Some of the frames."""
        timed = {name: getattr(self, name)[:, frames] for name in ("steps", "camera", "shift", "tilt", "pan")}
        return replace(self, **timed, layers=self.layers.during(frames))

    def to(self, device: torch.device | str) -> "Plan":
        """Copies to a device."""
        return Plan(
            **{
                f.name: value if f.name == "layers" else value.to(device, non_blocking=True)
                for f in fields(self)
                for value in [getattr(self, f.name)]
            }
        )


def times(dice: Dice, recipe: Recipe, clips: int, frames: int) -> Tensor:
    """(B, T) times in steps; the gaps grow over the clip."""
    gap = 1 + dice.uniform(recipe.growth, clips, 1) * torch.arange(max(frames - 1, 1))
    gap = gap * dice.uniform(recipe.jitter, clips, max(frames - 1, 1))
    gap = gap / gap.mean(1, keepdim=True)
    return torch.cat([torch.zeros(clips, 1), gap.cumsum(1)], 1)[:, :frames]


def turn_matrix(angle: Tensor) -> Tensor:
    """(*s, 2, 2) rotations."""
    c, s = angle.cos(), angle.sin()
    return torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)


def apply(matrix: Tensor, vector: Tensor) -> Tensor:
    """Matrix times vector, over leading axes."""
    return (matrix @ vector[..., None])[..., 0]


def _camera(dice: Dice, recipe: Recipe, steps: Tensor, aspect: float) -> tuple[Tensor, Tensor, Tensor]:
    """The way from the view to the photo: matrix (B, T, 2, 2), shift (B, T, 2), tilt (B, T, 2)."""
    clips = len(steps)
    speed = dice.log_uniform(recipe.camera_speed, clips) * ~dice.chance(recipe.still_camera, clips)
    # 5 is where a path's growth is held
    zoom = dice.log_uniform(recipe.zoom, clips)[:, None] / max(1, aspect / 1.2)
    zoom = zoom * (0.4 * dice.path(steps, speed)).clamp(-0.8, 0.6).exp()
    angle = dice.uniform((-0.15, 0.15), clips)[:, None] + 0.3 * dice.path(steps, speed)
    pan = torch.stack([dice.path(steps, speed), dice.path(steps, 0.6 * speed)], -1)
    shake = dice.chance(recipe.shake, clips)[:, None, None] * dice.normal(clips, steps.shape[1], 2) * 0.012
    start = dice.uniform((-0.3, 0.3), clips, 1, 2)
    shift = 0.8 * torch.tanh((start + zoom[:, :1, None] * (pan + shake)) / 0.8)
    tilt = torch.stack([dice.path(steps, 0.12 * speed), dice.path(steps, 0.12 * speed)], -1).clamp(-0.25, 0.25)
    flip = torch.where(dice.chance(0.5, clips), -1.0, 1.0)
    matrix = zoom[..., None, None] * turn_matrix(angle)
    mirror = torch.stack([flip, torch.ones(clips)], -1)[:, None]
    return matrix * mirror[..., None], shift * mirror, tilt


def _sizes(dice: Dice, recipe: Recipe, clips: int) -> Tensor:
    """(B, ROLES) half of each thing's longer side, for a reach of 1."""
    size = dice.log_uniform(recipe.other_size, clips, ROLES)
    usual = dice.chance(recipe.usual_size, clips)
    target = torch.where(usual, dice.uniform(recipe.size, clips), dice.log_uniform(recipe.any_size, clips))
    size[:, TARGET] = target
    size[:, PART] = target * dice.uniform((0.4, 1.2), clips)
    size[:, COMPANION] = target * dice.uniform((0.4, 1.3), clips)
    size[:, LOOKALIKE] = target * dice.uniform((0.8, 1.2), clips)
    return size


def _active(dice: Dice, recipe: Recipe, clips: int) -> Tensor:
    """(B, ROLES) bool."""
    chances = [1.1, recipe.part, recipe.companion, recipe.lookalike, *[recipe.other] * 3, recipe.occluder]
    return torch.stack([dice.chance(chance, clips) for chance in chances], 1)


def _scales(dice: Dice, recipe: Recipe, steps: Tensor, speed: Tensor) -> Tensor:
    """(B, ROLES, T) logarithm of the change of scale."""
    end = steps[:, -1:].clamp(min=1)
    slow = dice.path(steps[:, None], 0.4 * speed).clamp(-0.5, 0.5)
    total = dice.uniform(recipe.growth_total, *speed.shape) * torch.where(dice.chance(0.5, *speed.shape), -1.0, 1.0)
    bend = dice.uniform((0.6, 1.8), *speed.shape)[..., None]
    deep = total[..., None] * ((steps / end)[:, None].clamp(0, 1) ** bend)
    return torch.where(dice.chance(recipe.deep, *speed.shape)[..., None], deep, slow)


def _target_path(dice: Dice, recipe: Recipe, steps: Tensor, speed: Tensor, roam: tuple[float, float]) -> Tensor:
    """(B, T, 2) centre of the target for a reach of 1; ``roam``: half of the area it stays in."""
    clips, frames = steps.shape
    room = torch.tensor(roam)
    start = dice.uniform((-0.45, 0.45), clips, 1, 2) * room
    path = torch.stack([dice.path(steps, speed), dice.path(steps, 0.7 * speed)], -1)
    jump = dice.chance(recipe.jumps, clips)[:, None] * (
        torch.arange(frames) >= 1 + dice.whole(max(frames - 1, 1), clips, 1)
    )
    path = path + jump[..., None] * dice.uniform((-0.6, 0.6), clips, 1, 2)
    path = start + path
    path = 0.85 * room * torch.tanh(path / (0.85 * room))
    # leaves: out and back, away on some frames in the middle
    when = (0.35 + 0.5 * dice.uniform((0, 1), clips)) * steps[:, -1]
    wide = dice.uniform((0.6, 1.6), clips)[:, None]
    out = torch.exp(-(((steps - when[:, None]) / wide) ** 4)) * dice.chance(recipe.leaves, clips)[:, None]
    out = out * (steps > 0)
    side = dice.uniform((0, 6.28), clips)
    away = torch.stack([side.cos(), side.sin()], -1) * (2 * room + 0.6)
    return path + out[..., None] * away[:, None]


def _looks(
    dice: Dice, recipe: Recipe, counts: Counts, background: Tensor, steps: Tensor, size: Tensor
) -> dict[str, Tensor]:
    """Kinds, assets, textures, colours and deformation of (B, ROLES) things."""
    shape, u = size.shape, dice.uniform
    clips = len(steps)
    kinds = list(recipe.kinds)
    kinds[CUTOUT] *= counts.cutouts > 0
    kinds[TURNTABLE] *= counts.turntables > 0
    kind = dice.kind(tuple(kinds), *shape)
    design = dice.kind(recipe.bodies, *shape)
    thin = dice.chance(recipe.thin_part, clips)
    design[:, PART] = torch.where(thin, torch.where(dice.chance(recipe.wheels, clips), WHEELS, LINES), design[:, PART])
    bars = dice.chance(0.5, clips)
    design[:, OCCLUDER] = torch.where(bars, BARS, BODY)
    kind[:, PART] = torch.where(thin, SKELETON, kind[:, PART])
    leaves = dice.chance(0.4, clips)
    kind[:, OCCLUDER] = torch.where(bars, SKELETON, torch.where(leaves, SILHOUETTE, kind[:, OCCLUDER]))
    many = torch.tensor([counts.foliage, counts.cutouts, counts.turntables, 1])[kind]
    asset = (u((0, 1), *shape) * many).long().clamp(max=(many - 1).clamp(min=0))
    foliage = counts.foliage + dice.whole(counts.silhouettes - counts.foliage, clips)
    asset[:, OCCLUDER] = torch.where(leaves & ~bars, foliage, asset[:, OCCLUDER])

    photo = dice.whole(counts.real, *shape)
    hidden = dice.chance(recipe.low_contrast, *shape)
    photo = torch.where(hidden, background[:, None], photo)
    plain = dice.chance(recipe.plain, *shape) & ~hidden
    contrast = torch.where(plain, u((0.1, 0.5), *shape), u((0.7, 1.2), *shape))
    base = u((0.03, 0.95), *shape, 1) + u((-0.22, 0.22), *shape, 3)
    mixed = dice.chance(0.3, *shape) & ~hidden
    mix = torch.eye(3) + mixed[..., None, None] * dice.normal(*shape, 3, 3) * 0.25
    offset = u((-0.7, 0.7), *shape, 1, 2)
    slide = (
        dice.chance(recipe.drift, *shape)[..., None, None] * u((-0.08, 0.08), *shape, 1, 2) * steps[:, None, :, None]
    )

    strength = dice.log_uniform(recipe.deform, *shape)
    strength = strength * (kind != SKELETON) * (design != BARS)
    waves = torch.cat([u((-4, 4), *shape, 3, 2), u((-1, 1), *shape, 3, 2)], -1)
    height = 0.02 * (strength > 0)[..., None, None] + dice.path(
        steps[:, None, None], (0.4 * strength)[..., None].expand(*shape, 3)
    ).transpose(-1, -2).clamp(-0.12, 0.12)
    soft = torch.where((kind == SILHOUETTE) | (kind == SKELETON), 1.0, 0.5)
    swirl = (
        0.3 * u((-1, 1), *shape, 1, 2) * (kind == SILHOUETTE)[..., None, None]
        + dice.path(steps[:, None, None], (1.5 * strength)[..., None].expand(*shape, 2))
        .transpose(-1, -2)
        .clamp(-0.8, 0.8)
        * soft[..., None, None]
    )
    pivot = torch.cat([u((-0.7, 0.7), *shape, 2, 2), u((0.25, 0.6), *shape, 2, 1)], -1)

    speed = dice.log_uniform(recipe.azimuth, *shape) * 24 / 6.28
    view = u((0, 24), *shape)[..., None] + dice.path(steps[:, None], speed)
    view = view.round().long() % 24 + 24 * dice.whole(2, *shape)[..., None]
    gleam = u((0, 0.3), *shape)[..., None, None]
    sun = u((0, 6.28), *shape)[..., None] + dice.path(steps[:, None], torch.full(shape, 0.15))
    light = gleam * torch.stack([sun.cos(), sun.sin()], -1)
    spot = u((-0.5, 0.5), *shape, 1, 2) + torch.stack([dice.path(steps[:, None], torch.full(shape, 0.1))] * 2, -1)
    flicker = (u((0, 0.5), *shape)[..., None] + dice.path(steps[:, None], torch.full(shape, 0.5))).clamp(0, 0.8)
    flicker = flicker * dice.chance(recipe.specular, *shape)[..., None]
    return dict(
        kind=kind, asset=asset, photo=photo, view=view, waves=waves,
        mirrored=torch.where(dice.chance(0.5, *shape), -1.0, 1.0), wave=height, pivot=pivot, swirl=swirl,
        offset=offset + slide, zoom=u((0.35, 1.1), *shape) * size.clamp(max=1) * 0.8, contrast=contrast,
        keep=(dice.chance(0.5, *shape) & ~mixed) | hidden, base=base, mix=mix, light=light,
        glint=torch.cat([spot, flicker[..., None]], -1), design=design,
        **skeleton(dice, recipe, steps, design, size),
    )  # fmt: skip


def _place(dice: Dice, recipe: Recipe, steps: Tensor, size: Tensor, motion: dict[str, Tensor]) -> Tensor:
    """(B, ROLES, T, 2) centres from the target's path and those that things would take on their own."""
    clips, u = len(steps), dice.uniform
    centre, angle, growth = motion["centre"], motion["angle"], motion["growth"]
    target = centre[:, TARGET]
    now = size[..., None] * growth.exp()  # (B, R, T)

    def ray() -> Tensor:
        side = u((0, 6.28), clips)
        return torch.stack([side.cos(), side.sin()], -1)

    # part: fixed to the target's own frame, or coming out from behind it
    arm = (
        ray()
        * u((0.3, 0.9), clips)[:, None]
        * torch.minimum(size[:, TARGET], 0.5 * (size[:, TARGET] + size[:, PART]))[:, None]
    )
    shown = (steps / (steps[:, -1:].clamp(min=1) * u((0.3, 1), clips)[:, None])).clamp(0, 1)
    shown = torch.where(motion["emerges"][:, None], 1.2 * shown, 1.0)
    spin = turn_matrix(angle[:, TARGET] - angle[:, TARGET, :1])
    out = apply(spin, arm[:, None] * shown[..., None])
    centre[:, PART] = target + out * growth[:, TARGET].exp()[..., None]
    # companion: touches the target, then goes its own way
    beside = ray() * (0.6 * (size[:, TARGET] + size[:, COMPANION]))[:, None]
    apart = torch.stack([dice.path(steps, 0.3 * motion["speed"][:, TARGET]) for _ in range(2)], -1)
    centre[:, COMPANION] = target + beside[:, None] * growth[:, TARGET].exp()[..., None] + apart
    # look-alike: stands beside or crosses
    start = ray() * (u((0.9, 1.7), clips) * (size[:, TARGET] + size[:, LOOKALIKE]))[:, None]
    crosses = dice.chance(recipe.lookalike_crosses, clips)[:, None]
    middle = steps / (steps[:, -1:].clamp(min=1) * u((0.3, 0.9), clips)[:, None])
    course = torch.where(crosses, 1 - middle, 1.0)[..., None] * start[:, None]
    away = torch.stack([dice.path(steps, 0.5 * motion["speed"][:, LOOKALIKE]) for _ in range(2)], -1)
    centre[:, LOOKALIKE] = target + course + away + u((-0.2, 0.2), clips, 1, 2) * size[:, TARGET, None, None]
    # occluder: crosses the target, stays over a part of it, or stands in the scene
    stays = dice.chance(recipe.occluder_stays, clips)[:, None, None]
    way = ray()
    far = (1.0 * (now[:, TARGET].amax(-1) + torch.where(motion["bars"], 0.15, size[:, OCCLUDER])))[:, None]
    cross = far * (1 - middle.roll(1, 0) * u((0.8, 1.6), clips)[:, None])
    over = u((-0.8, 0.8), clips, 1, 2) * size[:, TARGET, None, None] * growth[:, TARGET].exp()[..., None]
    passing = torch.where(stays, over, cross[..., None] * way[:, None])
    placed = target + passing
    fixed = dice.chance(recipe.occluder_attached, clips)[:, None, None] & ~stays
    centre[:, OCCLUDER] = torch.where(
        fixed,
        motion["scene"][:, OCCLUDER]
        + target[:, :1]
        - motion["scene"][:, OCCLUDER, :1]
        + passing[:, :1] * u((0.3, 1), clips)[:, None, None],
        placed,
    )
    return centre


def _velocity(place: Tensor, steps: Tensor) -> Tensor:
    """Change a step of places (*s, T, 2) towards the next frame; the last frame's is that of the one before."""
    if place.shape[-2] == 1:
        return torch.zeros_like(place)
    moved = torch.diff(place, dim=-2)
    gap = torch.diff(steps, dim=-1).clamp(min=0.05)
    velocity = moved / gap[..., None]
    return torch.cat([velocity, velocity[..., -1:, :]], -2)


def _depth(dice: Dice, active: Tensor, emerges: Tensor) -> Tensor:
    """(B, ROLES) order of depth, 0 the farthest: others mostly behind the target, occluders before all.

    Args:
        active: bool (B, ROLES).
        emerges: bool (B), the part comes out from behind the target.
    """
    clips = len(active)
    key = dice.uniform((0, 1), *active.shape)
    key[:, TARGET] = 0.6
    key[:, PART] = torch.where(dice.chance(0.5, clips) | emerges, 0.59, 0.61)
    key[:, COMPANION] = torch.where(dice.chance(0.5, clips), 0.58, 0.62)
    key[:, OCCLUDER] = 1.1
    return key.masked_fill(~active, 9).argsort(1).argsort(1)


def plan(
    dice: Dice, recipe: Recipe, counts: Counts, steps: Tensor, aspect: float = 1.0, sizes: Tensor | None = None
) -> Plan:
    """Draws the clips of a batch.

    Args:
        steps: (B, T) times of the frames, in steps.
        aspect: the view's width over its height.
        sizes: (B) half of the target's longer side, in view units; drawn if None. Speeds and the sizes of other
            things follow it.
    """
    clips, u = len(steps), dice.uniform
    active = _active(dice, recipe, clips)
    size = _sizes(dice, recipe, clips)
    reach = torch.ones(clips)
    if sizes is not None:
        reach = (2.7 * sizes).clamp(max=1)
        size = size * reach[:, None]
        size = size * (sizes / size[:, TARGET])[:, None] ** (torch.arange(ROLES) < OTHER)
    shape = size.shape
    emerges = dice.chance(recipe.emerging, clips)
    size[:, PART] = torch.where(emerges, size[:, PART].clamp(max=0.7 * size[:, TARGET]), size[:, PART])
    matrix, shift, tilt = _camera(dice, recipe, steps, aspect)
    real = dice.chance(1 - recipe.procedural_background, clips) | (counts.photos == counts.real)
    background = torch.where(
        real, dice.whole(counts.real, clips), counts.real + dice.whole(counts.photos - counts.real, clips)
    )

    looks = _looks(dice, recipe, counts, background, steps, size / reach[:, None])
    hides = dice.chance(recipe.occluder_hides, clips) & (looks["design"][:, OCCLUDER] != BARS)
    size[:, OCCLUDER] = torch.where(hides, size[:, TARGET] * u((1.3, 1.9), clips), size[:, OCCLUDER])
    speed = dice.log_uniform(recipe.speed, *shape) * ~dice.chance(recipe.still, *shape)
    slow = torch.arange(ROLES) == OCCLUDER
    growth = _scales(dice, recipe, steps, speed) * ~slow[:, None]
    angle0 = torch.where(dice.chance(0.65, *shape), u((-0.35, 0.35), *shape), u((-3.14, 3.14), *shape))
    spin = dice.path(steps[:, None], dice.log_uniform(recipe.turn, *shape) * ~slow)
    squeeze = dice.path(steps[:, None], 0.35 * speed).clamp(-0.45, 0.45)
    shear = dice.path(steps[:, None], 0.35 * speed).clamp(-0.45, 0.45)
    narrow = u((-0.3, 0.3), *shape) * (looks["kind"] == SILHOUETTE)

    # centres: on their own, then moved with the scene
    free = torch.stack([dice.path(steps[:, None], speed), dice.path(steps[:, None], 0.7 * speed)], -1)
    centre = u((-0.9, 0.9), *shape, 1, 2) * torch.tensor([aspect, 1.0]) + free * reach[:, None, None, None]
    centre[:, TARGET] = _target_path(dice, recipe, steps, speed[:, TARGET] * reach, (aspect, 1.0))
    photo = apply(matrix[:, None, :1], centre) + shift[:, None, :1]
    scene = apply(torch.linalg.inv(matrix)[:, None], photo - shift[:, None])
    depth = torch.where(torch.arange(ROLES) == OCCLUDER, 1.0, u(recipe.parallax, *shape))[..., None, None]
    scene = centre + depth * (scene - centre)
    attached = dice.chance(recipe.attached, *shape) & (torch.arange(ROLES) >= OTHER) & (torch.arange(ROLES) < OCCLUDER)
    centre = torch.where(attached[..., None, None], scene, centre)
    zoom = torch.linalg.det(matrix).abs().sqrt()
    growth = growth + attached[..., None] * (zoom[:, :1] / zoom).log()[:, None]
    # things that go with the target
    growth[:, PART] = growth[:, TARGET]
    growth[:, COMPANION] = growth[:, TARGET]
    growth[:, LOOKALIKE] = 0.6 * growth[:, TARGET] + 0.3 * growth[:, LOOKALIKE]
    growth = growth.clamp(-1.6, 1.6)
    upright = looks["design"][:, PART] == WHEELS
    angle0[:, PART] = torch.where(upright, 0.3 * angle0[:, PART].clamp(-0.35, 0.35), angle0[:, PART])
    angle = angle0[..., None] + spin
    angle[:, PART] = angle0[:, PART, None] + spin[:, TARGET] + 0.2 * spin[:, PART]
    bars = looks["design"][:, OCCLUDER] == BARS
    centre = _place(
        dice, recipe, steps, size,
        dict(centre=centre, angle=angle, growth=growth, speed=speed * reach[:, None], scene=scene, bars=bars,
             emerges=emerges),
    )  # fmt: skip
    size[:, OCCLUDER] = torch.where(bars, reach.clamp(min=0.15), size[:, OCCLUDER])
    scale = size[..., None] * growth.exp()
    scale = torch.stack([scale * (squeeze + narrow[..., None]).exp(), scale * (-squeeze - narrow[..., None]).exp()], -1)

    blurred = dice.chance(recipe.motion_blur, clips)
    shutter = dice.uniform(recipe.shutter, clips) * blurred
    blur = (_velocity(centre, steps[:, None]) * shutter[:, None, None, None]).clamp(-0.08, 0.08)
    pan = apply(torch.linalg.inv(matrix), _velocity(shift, steps)) * shutter[:, None, None]
    cast = u((0.2, 0.6), *shape) * dice.chance(recipe.shadow, clips)[:, None] * ~slow
    shadow = torch.stack(
        [cast, u((-0.8, 0.8), *shape), u((1, 4), *shape), u((-0.1, 0.02), *shape), u((0, 1), *shape)], -1
    )
    mirror = u((0.15, 0.45), *shape) * (
        dice.chance(recipe.reflection, clips)[:, None] & (torch.arange(ROLES) == TARGET)
    )

    for name, value in looks.items():
        if name not in ("wave", "swirl", "glint", "light"):
            value[:, LOOKALIKE] = value[:, TARGET]
    layers = Layers(
        role=torch.arange(ROLES).expand(clips, ROLES), centre=centre, scale=scale, angle=angle, shear=shear,
        shadow=shadow, reflection=mirror, blur=blur, **looks,
    )  # fmt: skip
    order = _depth(dice, active, emerges)
    clip, role = torch.where(active)
    return Plan(
        steps,
        background,
        matrix,
        shift,
        tilt,
        pan.clamp(-0.08, 0.08),
        layers.pick(clip, role),
        clip,
        order[clip, role],
        reach,
    )
