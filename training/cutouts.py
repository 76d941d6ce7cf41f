"""Cut-outs and silhouettes: pictures with transparency, scaled into tiles of one size."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from furniture import colour_entropy
from licences import Grant, grant_in, parse_debian_copyright
from packages import Package, qt_resources
from PIL import Image
from turntables import extend_colours

TILE = 160
MARGIN = 4
MIN_SIDE = 90  # of the outline's box, in pixels of the source
MAX_PIXELS = 16_000_000  # of a source; the few larger ones would take most of the time
MIN_CUTOUT_ENTROPY = 3.3
SKIPPED_FOLDERS = ("logos", "special", "computer/icons/lila", "computer/icons/flat-theme", "recreation/games/cards")
MAX_SILHOUETTES = 3000
FOLDER_LIMITS = {"computer": 120, "signs_and_symbols": 250, "shapes": 250, "geography": 40}
FOLDER_LIMIT = 500  # of cut-outs, and as many silhouettes, of any other top folder


@dataclass
class Tile:
    """image (160, 160, 3) uint8, colours extended outside of mask (160, 160) bool."""

    image: np.ndarray
    mask: np.ndarray
    package: Package
    file: str
    grant: Grant
    entropy: float


def make_tile(data: bytes) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Image, mask and entropy of a picture's opaque part; None if it is small, full, or in many pieces."""
    try:
        picture = Image.open(io.BytesIO(data))
        if picture.width * picture.height > MAX_PIXELS:
            return None
        rgba = np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    solid = rgba[..., 3] >= 128
    if not solid.any():
        return None
    y, x = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    box = rgba[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
    if max(box.shape[:2]) < MIN_SIDE or min(box.shape[:2]) < 24:
        return None
    image, mask = _fit(box)
    fill = mask.sum() / (box.shape[0] * box.shape[1] * ((TILE - 2 * MARGIN) / max(box.shape[:2])) ** 2)
    if not 0.12 <= fill <= 0.93 or mask.mean() < 0.05 or _largest_part(mask) < 0.85:
        return None
    return image, mask, colour_entropy(image, cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0)


def _fit(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales box (H, W, 4) into a tile and centres it there; colours are weighted by their opacity."""
    scale = (TILE - 2 * MARGIN) / max(box.shape[:2])
    h, w = (max(1, round(side * scale)) for side in box.shape[:2])
    alpha = box[..., 3:].astype(np.float32) / 255
    both = np.concatenate([box[..., :3] * alpha, alpha], axis=-1)
    both = cv2.resize(both, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    tile = np.zeros((TILE, TILE, 4), np.float32)
    top, left = (TILE - h) // 2, (TILE - w) // 2
    tile[top : top + h, left : left + w] = both
    colours = tile[..., :3] / np.maximum(tile[..., 3:], 1e-3)
    return extend_colours(colours, tile[..., 3] > 0.3), tile[..., 3] >= 0.5


def _largest_part(mask: np.ndarray) -> float:
    """The share of the mask's largest connected part."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return float(stats[1:, cv2.CC_STAT_AREA].max() / mask.sum())


def _signature(tile: Tile) -> bytes:
    """Equal for near duplicates: a coarse mask, and coarse colours."""
    coarse = cv2.resize(tile.mask.astype(np.float32), (12, 12), interpolation=cv2.INTER_AREA) > 0.5
    return np.packbits(coarse).tobytes()


def open_clip_art(package: Package) -> Iterator[Tile]:
    """Tiles of the Open Clip Art Library, whose debian/copyright states the public domain for all of it."""
    root = package.root / "usr/share/openclipart/png"
    author = "a contributor to the Open Clip Art Library, named at the end of the file's name"
    grant = Grant(author, "public-domain", "debian/copyright")
    for path in sorted(root.rglob("*.png")):
        name = path.relative_to(root).as_posix()
        made = None if name.startswith(SKIPPED_FOLDERS) else make_tile(path.read_bytes())
        if made:
            yield Tile(made[0], made[1], package, name, grant, made[2])


def gcompris(package: Package) -> Iterator[Tile]:
    """Tiles of pictures of GCompris whose own licence debian/copyright states."""
    for name, data, grant in gcompris_pictures(package):
        made = make_tile(data)
        if made:
            yield Tile(made[0], made[1], package, name, grant, made[2])


def gcompris_pictures(package: Package) -> Iterator[tuple[str, bytes, Grant]]:
    """Name, content and grant of all the pictures of GCompris that may be taken."""
    text = (package.root / "usr/share/doc/gcompris-qt-data/copyright").read_text()
    stanzas = parse_debian_copyright(text)
    for path in sorted((package.root / "usr/share/gcompris-qt/rcc").glob("*.rcc")):
        for name, data in qt_resources(path.read_bytes()):
            inner = name.removeprefix("/gcompris/")
            grant = grant_in(stanzas, inner, "debian/copyright")
            if grant and name.lower().endswith((".jpg", ".jpeg", ".png", ".webp")):
                yield inner, data, grant


def split(tiles: Iterator[Tile]) -> tuple[list[Tile], list[Tile]]:
    """Cut-outs (rich in colours) and silhouettes, near duplicates left out, no folder too often."""
    cutouts, silhouettes = [], []
    seen: set[bytes] = set()
    of_folder: Counter[tuple[int, str]] = Counter()
    for tile in tiles:
        signature = _signature(tile)
        kind = cutouts if tile.entropy >= MIN_CUTOUT_ENTROPY else silhouettes
        folder = tile.file.split("/")[0]
        limit = FOLDER_LIMITS.get(folder, FOLDER_LIMIT)
        if signature in seen or of_folder[id(kind), folder] >= limit:
            continue
        seen.add(signature)
        of_folder[id(kind), folder] += 1
        kind.append(tile)
    return cutouts, silhouettes[:MAX_SILHOUETTES]
