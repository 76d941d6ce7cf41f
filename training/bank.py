"""The pack of pictures and shapes that made clips are put together from, held as uint8 on the device.

Files of a pack (each may be missing):

- ``photos/*.jpg``, shorter side 512;
- ``cutouts_*.jpg``, sheets of 160x160 tiles, 20 a row, with ``cutouts.npz`` {"mask": packed bits of (n, 160, 160)};
- ``silhouettes.npz`` {"mask": packed bits of (m, 160, 160)};
- ``turntables_KKK.jpg``, 48 tiles of 128x128 of one model (2 elevations x 24 azimuths) with ``turntables.npz``
  {"mask": packed bits of (k, 48, 128, 128)}.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

PHOTO, CUTOUT, VIEW = 512, 160, 128  # sides of the squares kept, px
AZIMUTHS, ELEVATIONS = 24, 2


class Bank:
    """Pictures and shapes of one part of a pack.

    Attributes:
        photos: (p, 3, 512, 512) uint8; real photographs first, then procedural textures.
        real: how many of ``photos`` are photographs.
        cutouts: (c, 4, 160, 160) uint8, colours and coverage; the colours go on beyond the edge.
        turntables: (k, 48, 4, 128, 128) uint8, likewise.
        silhouettes: (m, 1, 160, 160) uint8 coverage, softened; foliage last.
        foliage: index of the first foliage mask in ``silhouettes``.
    """

    def __init__(self, assets: Path, device: torch.device | str, part: str = "train", textures: int = 64) -> None:
        dice = np.random.default_rng(5 if part == "train" else 6)
        photos = _photos(assets, part)
        made = _textures(dice, textures)
        self.real = len(photos) or textures
        self.photos = torch.from_numpy(np.concatenate([photos, made])).to(device)
        self.cutouts = _bleed(_cutouts(assets, part).to(device))
        self.turntables = _turntables(assets, part, device)
        shapes = np.concatenate([_silhouettes(assets, part), _blobs(dice, 300)])
        self.foliage = len(shapes)
        shapes = np.concatenate([shapes, _leaves(dice, 80)])
        self.silhouettes = _softened(torch.from_numpy(shapes[:, None]).float() * 255).round().byte().to(device)


def part_of(count: int, part: str) -> NDArray[np.int64]:
    """Indices of a part: every tenth asset is held out."""
    if part not in ("train", "held-out"):
        raise ValueError(f"part must be 'train' or 'held-out', not {part!r}")
    index = np.arange(count)
    return index[(index % 10 == 0) == (part == "held-out")]


def _rgb(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _photos(assets: Path, part: str) -> NDArray[np.uint8]:
    """(p, 3, 512, 512); a long picture gives a square of each end."""
    files = sorted((assets / "photos").glob("*.jpg"))
    squares = []
    for i in part_of(len(files), part):
        picture = _rgb(files[i])
        height, width = picture.shape[:2]
        side = min(height, width)
        for place in (0.0, 1.0) if max(height, width) > 1.25 * side else (0.5,):
            top, left = int((height - side) * place), int((width - side) * place)
            square = Image.fromarray(picture[top : top + side, left : left + side])
            squares.append(np.asarray(square.resize((PHOTO, PHOTO), Image.Resampling.BOX if side > PHOTO else None)))
    if not squares:
        return np.zeros((0, 3, PHOTO, PHOTO), np.uint8)
    return np.ascontiguousarray(np.stack(squares).transpose(0, 3, 1, 2))


def _masks(path: Path, *shape: int) -> NDArray[np.bool_]:
    """Unpacks the bits of (-1, *shape) masks; none if the file is missing."""
    if not path.exists():
        return np.zeros((0, *shape), bool)
    bits = np.unpackbits(np.load(path)["mask"])
    each = math.prod(shape)
    return bits[: bits.size // each * each].reshape(-1, *shape).astype(bool)


def _tiles(sheet: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(rows * columns, 3, side, side) of a sheet of tiles, row by row."""
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    tiles = sheet[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
    return tiles.transpose(0, 2, 4, 1, 3).reshape(rows * columns, 3, side, side)


def _cutouts(assets: Path, part: str) -> Tensor:
    """(c, 4, 160, 160) uint8."""
    masks = _masks(assets / "cutouts.npz", CUTOUT, CUTOUT)
    sheets = [_tiles(_rgb(path), CUTOUT) for path in sorted(assets.glob("cutouts_*.jpg"))]
    if not sheets or not len(masks):
        return torch.zeros(0, 4, CUTOUT, CUTOUT, dtype=torch.uint8)
    tiles = np.concatenate(sheets)
    keep = part_of(min(len(tiles), len(masks)), part)
    return torch.from_numpy(np.concatenate([tiles[keep], masks[keep, None].astype(np.uint8) * 255], 1))


def _turntables(assets: Path, part: str, device: torch.device | str) -> Tensor:
    """(k, 48, 4, 128, 128) uint8, on the device, with the colours carried on."""
    views = AZIMUTHS * ELEVATIONS
    masks = _masks(assets / "turntables.npz", views, VIEW, VIEW)
    files = sorted(assets.glob("turntables_*.jpg"))
    models = []
    for i in part_of(min(len(files), len(masks)), part):
        tiles = _tiles(_rgb(files[i]), VIEW)[:views]
        rgba = np.concatenate([tiles, masks[i][:, None].astype(np.uint8) * 255], 1)
        models.append(_bleed(torch.from_numpy(rgba).to(device), rounds=3))
    return torch.stack(models) if models else torch.zeros(0, views, 4, VIEW, VIEW, dtype=torch.uint8, device=device)


def _silhouettes(assets: Path, part: str) -> NDArray[np.bool_]:
    masks = _masks(assets / "silhouettes.npz", CUTOUT, CUTOUT)
    return masks[part_of(len(masks), part)]


def _softened(coverage: Tensor) -> Tensor:
    """Twice the 3x3 mean, so that outlines stay smooth where they are enlarged and sharpened again."""
    return F.avg_pool2d(F.avg_pool2d(coverage, 3, 1, 1), 3, 1, 1)


def _bleed(rgba: Tensor, rounds: int = 4) -> Tensor:
    """Carries the colours of (n, 4, h, w) tiles beyond their edges, and softens the coverage."""
    if not len(rgba):
        return rgba
    out = torch.empty_like(rgba)
    for i in range(0, len(rgba), 256):
        tiles = rgba[i : i + 256].float()
        inside = (F.avg_pool2d(tiles[:, 3:], 3, 1, 1) > 254).float()  # the rim itself is mixed with the tile's ground
        colour, known = tiles[:, :3] * inside, inside
        for _ in range(rounds):
            total, weight = F.avg_pool2d(colour, 5, 1, 2), F.avg_pool2d(known, 5, 1, 2)
            colour = torch.where(known > 0, colour, total / weight.clamp(min=1e-4))
            known = ((known > 0) | (weight > 1e-3)).float()
            colour = colour * known
        colour = torch.where(known > 0, colour, tiles[:, :3])
        out[i : i + 256] = torch.cat([colour, _softened(tiles[:, 3:])], 1).round().byte()
    return out


def _blob(dice: np.random.Generator, rough: float) -> NDArray[np.bool_]:
    """A random star-shaped region that fills a tile."""
    y, x = np.mgrid[-1 : 1 : CUTOUT * 1j, -1 : 1 : CUTOUT * 1j]
    y = y / dice.uniform(0.5, 1)
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    edge = np.ones_like(angle)
    for k in range(1, dice.integers(3, 9)):
        edge += rough * dice.normal() / k**0.7 * np.cos(k * angle + dice.uniform(0, 6.3))
    edge = np.clip(edge, 0.15, None)
    return radius < 0.92 * edge / edge.max()


def _blobs(dice: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Random regions: blobs, blobs with a hole, unions of ellipses."""
    y, x = np.mgrid[-1 : 1 : CUTOUT * 1j, -1 : 1 : CUTOUT * 1j]
    out = []
    while len(out) < count:
        kind = dice.integers(0, 3)
        mask = _blob(dice, 0.35)
        if kind == 1:
            mask &= np.hypot(x - dice.uniform(-0.3, 0.3), y - dice.uniform(-0.3, 0.3)) > dice.uniform(0.1, 0.3)
        if kind == 2:
            mask = np.zeros_like(mask)
            for _ in range(dice.integers(2, 7)):
                a, b = dice.uniform(0.1, 0.5, 2)
                turn, u, v = dice.uniform(0, 3.2), *dice.uniform(-0.45, 0.45, 2)
                p, q = (x - u) * np.cos(turn) + (y - v) * np.sin(turn), (y - v) * np.cos(turn) - (x - u) * np.sin(turn)
                mask |= (p / a) ** 2 + (q / b) ** 2 < 1
        if 0.04 < mask.mean() < 0.9:
            out.append(mask)
    return np.stack(out)


def _leaves(dice: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Foliage: twigs with many small ellipses, holes between them."""
    y, x = np.mgrid[-1 : 1 : CUTOUT * 1j, -1 : 1 : CUTOUT * 1j]
    out = np.zeros((count, CUTOUT, CUTOUT), bool)
    for mask in out:
        long = dice.uniform(0.05, 0.2)
        for _ in range(dice.integers(25, 90)):
            turn, u, v = dice.uniform(0, 3.2), *np.clip(dice.normal(0, 0.45, 2), -0.85, 0.85)
            p, q = (x - u) * np.cos(turn) + (y - v) * np.sin(turn), (y - v) * np.cos(turn) - (x - u) * np.sin(turn)
            mask |= (p / long) ** 2 + (q / (0.35 * long)) ** 2 < 1
    return out


def _textures(dice: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """(count, 3, 512, 512): stripes, checks, dots and clouds between random colours."""
    y, x = np.mgrid[-1 : 1 : PHOTO * 1j, -1 : 1 : PHOTO * 1j].astype(np.float32)
    out = np.zeros((count, 3, PHOTO, PHOTO), np.uint8)
    for texture in out:
        clouds = sum(
            np.asarray(
                Image.fromarray(dice.normal(0, 1, (n, n)).astype(np.float32)).resize((PHOTO, PHOTO), Image.BICUBIC)
            )
            / n**0.6
            for n in (3, 7, 17, 41, 97)
        )
        turn, wave = dice.uniform(0, 3.2), dice.uniform(6, 60)
        u = np.cos(turn) * x + np.sin(turn) * y + dice.uniform(0, 0.1) * clouds
        v = np.cos(turn) * y - np.sin(turn) * x
        kind = dice.integers(0, 4)
        pattern = [
            clouds / 1.5,
            np.sign(np.sin(wave * u)),
            np.sign(np.sin(wave * u)) * np.sign(np.sin(wave * v)),
            np.sin(wave * u) + np.sin(wave * v) - 0.8,
        ][kind]
        mix = 1 / (1 + np.exp(-3 * pattern))
        low, high = dice.uniform(0, 255, (2, 3, 1, 1))
        picture = low + (high - low) * mix + dice.uniform(0, 25) * clouds
        texture[:] = np.clip(picture + dice.normal(0, dice.uniform(0, 12), picture.shape), 0, 255)
    return out
