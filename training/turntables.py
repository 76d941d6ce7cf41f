"""A small z-buffer rasteriser: one textured OBJ model becomes the views of a turntable.

Conventions: models are Y up, in units of their own; colours are sRGB in [0, 255]; texture coordinates have
their origin at the lower left, as in OBJ. A view is (size, size, 3) uint8 with its mask (size, size) bool.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numba
import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

ReadFile = Callable[[str], bytes | None]
"""Reads a file named relative to the model's folder; None where there is no such file."""

AZIMUTHS_DEG = tuple(range(0, 360, 15))
ELEVATIONS_DEG = (8.0, 30.0)
CAMERA_DISTANCE = 4.0  # in radii of the bounding sphere
SUPERSAMPLING = 2
MAX_TEXTURE_SIDE = 512
ALPHA_CUTOFF = 0.35  # less opaque than this is not drawn
REACH = 6  # pixels outside of the mask over which its colours go on
AMBIENT, SKY, KEY = 0.48, 0.14, 0.52  # weights of the lights, before clipping


@dataclass
class Material:
    """What of an MTL material is drawn: diffuse colour (3,) in [0, 1], opacity and the diffuse texture."""

    colour: tuple[float, float, float] = (0.7, 0.7, 0.7)
    opacity: float = 1.0
    texture: np.ndarray | None = None  # (H, W, 4) uint8, RGBA


@dataclass
class Mesh:
    """Triangles. Corners point into the arrays of their own kind; -1 where a corner has none."""

    positions: np.ndarray  # (V, 3) float64
    uvs: np.ndarray  # (T, 2) float64
    normals: np.ndarray  # (N, 3) float64
    corners: np.ndarray  # (F, 3, 3) int64: corner, then position / uv / normal
    materials: np.ndarray  # (F,) int64, index into `palette`
    palette: list[Material] = field(default_factory=list)


def _resolve(token: str, sizes: tuple[int, int, int]) -> tuple[int, int, int]:
    """'v/vt/vn' of a face as 0-based indices; OBJ counts from 1, and backwards where negative."""
    parts = [*token.split("/"), "", ""][:3]
    numbers = [int(p) if p else 0 for p in parts]
    v, t, n = (x - 1 if x > 0 else (size + x if x < 0 else -1) for x, size in zip(numbers, sizes, strict=True))
    return v, t, n


def _floats(rows: list[str], width: int) -> np.ndarray:
    """Rows of numbers as (N, width) float64; further numbers in a row are left out."""
    if not rows:
        return np.zeros((0, width))
    return np.array([row.split()[:width] for row in rows], dtype=np.float64)


def parse_obj(text: str, read: ReadFile, max_triangles: int = 400_000) -> Mesh | None:
    """The mesh of an OBJ file, polygons as fans; None if it holds no or too many triangles."""
    rows: dict[str, list[str]] = {"v": [], "vt": [], "vn": []}
    names: dict[str, int] = {}
    library: dict[str, Material] = {}
    corners: list[tuple[tuple[int, int, int], ...]] = []
    materials: list[int] = []
    current = names.setdefault("", 0)
    for line in text.replace("\\\n", " ").split("\n"):
        kind, _, rest = line.strip().partition(" ")
        if kind in rows:
            rows[kind].append(rest if kind != "vt" or len(rest.split()) > 1 else rest + " 0")
        elif kind == "f":
            sizes = (len(rows["v"]), len(rows["vt"]), len(rows["vn"]))
            polygon = [_resolve(token, sizes) for token in rest.split()]
            fan = [(polygon[0], b, c) for b, c in pairwise(polygon[1:])]
            corners.extend(fan)
            materials.extend([current] * len(fan))
            if len(corners) > max_triangles:
                return None
        elif kind == "usemtl":
            current = names.setdefault(rest.strip(), len(names))
        elif kind == "mtllib":
            library.update(parse_mtl(read(rest.strip()), read))
    if not corners:
        return None
    palette = [library.get(name, Material()) for name in names]
    arrays = _floats(rows["v"], 3), _floats(rows["vt"], 2), _floats(rows["vn"], 3)
    return Mesh(*arrays, np.array(corners, dtype=np.int64), np.array(materials, dtype=np.int64), palette)


def parse_mtl(data: bytes | None, read: ReadFile) -> dict[str, Material]:
    """The materials of an MTL file by name: Kd, d or Tr, and map_Kd."""
    library: dict[str, Material] = {}
    material = Material()
    for line in (data or b"").decode("latin-1").splitlines():
        kind, _, rest = line.strip().partition(" ")
        words = rest.split()
        if kind == "newmtl":
            material = library.setdefault(rest.strip(), Material())
        elif kind == "Kd" and len(words) >= 3:
            material.colour = (float(words[0]), float(words[1]), float(words[2]))
        elif kind == "d" and words:
            material.opacity = float(words[-1])
        elif kind == "map_Kd" and words:
            material.texture = _read_texture(rest.strip(), read)
    return library


def _read_texture(name: str, read: ReadFile) -> np.ndarray | None:
    """(H, W, 4) uint8, at most MAX_TEXTURE_SIDE wide and high; None if it is missing or unreadable."""
    data = read(name.replace("\\", "/")) or read(name.split()[-1])
    if data is None:
        return None
    try:
        image = Image.open(io.BytesIO(data)).convert("RGBA")
    except (OSError, ValueError):
        return None
    image.thumbnail((MAX_TEXTURE_SIDE, MAX_TEXTURE_SIDE), Image.Resampling.BOX)
    return np.asarray(image)


def _pyramids(palette: list[Material]) -> tuple[np.ndarray, np.ndarray]:
    """Mipmaps of all textures in one array.

    Returns:
        texels (N, 4) uint8, and levels (M, L, 3) int64: offset, height, width of each material's levels;
        a height of 0 says: no texture.
    """
    depth = int(np.log2(MAX_TEXTURE_SIDE)) + 1
    levels = np.zeros((len(palette), depth, 3), dtype=np.int64)
    chunks: list[np.ndarray] = [np.zeros((1, 4), np.uint8)]
    offset = 1
    for m, material in enumerate(palette):
        texture = material.texture
        for level in range(depth if texture is not None else 0):
            h, w = texture.shape[:2]
            levels[m, level] = offset, h, w
            chunks.append(texture.reshape(-1, 4))
            offset += h * w
            half = (max(1, w // 2), max(1, h // 2))
            texture = cv2.resize(texture, half, interpolation=cv2.INTER_AREA)
    return np.concatenate(chunks), levels


@numba.njit(cache=True, fastmath=True)
def _sample(texels, levels, level, u, v, out):  # noqa: ANN001, ANN202
    """Writes the bilinear RGBA at (u, v) of a repeating texture into out (4,)."""
    offset, h, w = levels[level, 0], levels[level, 1], levels[level, 2]
    x = (u - np.floor(u)) * w - 0.5
    y = (1.0 - (v - np.floor(v))) * h - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - x0, y - y0
    for c in range(4):
        out[c] = 0.0
    for dy in range(2):
        for dx in range(2):
            weight = (fx if dx else 1.0 - fx) * (fy if dy else 1.0 - fy)
            at = offset + ((y0 + dy) % h) * w + (x0 + dx) % w
            for c in range(4):
                out[c] += weight * texels[at, c]


@numba.njit(cache=True, fastmath=True)
def _rasterise(xy, depth, uv, light, colours, material, texels, levels, image, covered, zbuffer):  # noqa: ANN001, ANN202, C901
    """Draws triangles into image (S, S, 3) float32, covered (S, S) bool and zbuffer (S, S) of 1 / depth.

    xy, depth, uv, light: (F, 3, 2), (F, 3), (F, 3, 2), (F, 3), of corners; colours (M, 3) in [0, 255].
    """
    size = image.shape[0]
    rgba = np.zeros(4)
    for f in range(xy.shape[0]):
        x0, y0, x1, y1, x2, y2 = xy[f, 0, 0], xy[f, 0, 1], xy[f, 1, 0], xy[f, 1, 1], xy[f, 2, 0], xy[f, 2, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        m = material[f]
        level = 0
        textured = levels[m, 0, 1] > 0
        if textured:
            du1, dv1, du2, dv2 = (
                uv[f, 1, 0] - uv[f, 0, 0],
                uv[f, 1, 1] - uv[f, 0, 1],
                uv[f, 2, 0] - uv[f, 0, 0],
                uv[f, 2, 1] - uv[f, 0, 1],
            )
            ratio = abs(du1 * dv2 - du2 * dv1) * levels[m, 0, 1] * levels[m, 0, 2] / abs(area)
            level = min(max(int(0.5 * np.log2(ratio + 1e-12) + 0.3), 0), levels.shape[1] - 1)
        w0, w1, w2 = 1.0 / depth[f, 0], 1.0 / depth[f, 1], 1.0 / depth[f, 2]
        left, right = max(int(np.ceil(min(x0, x1, x2) - 0.5)), 0), min(int(np.floor(max(x0, x1, x2) - 0.5)), size - 1)
        top, bottom = max(int(np.ceil(min(y0, y1, y2) - 0.5)), 0), min(int(np.floor(max(y0, y1, y2) - 0.5)), size - 1)
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                b1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) / area
                b2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) / area
                b0 = 1.0 - b1 - b2
                if b0 < 0.0 or b1 < 0.0 or b2 < 0.0:
                    continue
                near = b0 * w0 + b1 * w1 + b2 * w2
                if near <= zbuffer[y, x]:
                    continue
                p0, p1, p2 = b0 * w0 / near, b1 * w1 / near, b2 * w2 / near
                shade = p0 * light[f, 0] + p1 * light[f, 1] + p2 * light[f, 2]
                if textured:
                    u = p0 * uv[f, 0, 0] + p1 * uv[f, 1, 0] + p2 * uv[f, 2, 0]
                    v = p0 * uv[f, 0, 1] + p1 * uv[f, 1, 1] + p2 * uv[f, 2, 1]
                    _sample(texels, levels[m], level, u, v, rgba)
                    if rgba[3] < 128.0:
                        continue
                    for c in range(3):
                        image[y, x, c] = min(rgba[c] * shade, 255.0)
                else:
                    for c in range(3):
                        image[y, x, c] = min(colours[m, c] * shade, 255.0)
                zbuffer[y, x] = near
                covered[y, x] = True


def _corner_normals(mesh: Mesh, positions: np.ndarray) -> np.ndarray:
    """Unit normals (F, 3, 3) of the corners: those of the file where given, else the face's."""
    a, b, c = (positions[:, k] for k in range(3))
    face = np.cross(b - a, c - a)
    normals = np.repeat(face[:, None], 3, axis=1)
    index = mesh.corners[..., 2]
    given = (index >= 0) & (index < len(mesh.normals))
    if given.any():
        normals[given] = mesh.normals[index[given]]
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return normals / np.maximum(length, 1e-12)


@dataclass
class Model:
    """A mesh made ready: centred, in the unit sphere, invisible triangles left out."""

    positions: np.ndarray  # (F, 3, 3)
    normals: np.ndarray  # (F, 3, 3)
    uvs: np.ndarray  # (F, 3, 2)
    materials: np.ndarray  # (F,)
    colours: np.ndarray  # (M, 3) in [0, 255]
    texels: np.ndarray
    levels: np.ndarray


def prepare(mesh: Mesh, rotation: np.ndarray | None = None) -> Model | None:
    """The model of a mesh, turned by rotation (3, 3) first; None if nothing of it is opaque."""
    opacity = np.array([m.opacity for m in mesh.palette])
    valid = (mesh.corners[..., 0] >= 0).all(axis=1) & (mesh.corners[..., 0] < len(mesh.positions)).all(axis=1)
    keep = (opacity[mesh.materials] >= ALPHA_CUTOFF) & valid
    if not keep.any():
        return None
    kept = Mesh(mesh.positions, mesh.uvs, mesh.normals, mesh.corners[keep], mesh.materials[keep], mesh.palette)
    positions = kept.positions[kept.corners[..., 0]]
    normals = _corner_normals(kept, positions)
    if rotation is not None:
        positions, normals = positions @ rotation.T, normals @ rotation.T
    centre = (positions.min(axis=(0, 1)) + positions.max(axis=(0, 1))) / 2
    positions = positions - centre
    positions /= max(np.linalg.norm(positions, axis=-1).max(), 1e-12)
    index = kept.corners[..., 1]
    uvs = np.zeros((*index.shape, 2))
    given = (index >= 0) & (index < len(kept.uvs))
    if given.any():
        uvs[given] = kept.uvs[index[given]]
    texels, levels = _pyramids(kept.palette)
    colours = 255.0 * np.clip([m.colour for m in kept.palette], 0.03, 1.0)
    return Model(positions, normals, uvs, kept.materials, colours, texels, levels)


def _view_matrix(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Rotation (3, 3) from the model to the camera: x right, y up, z towards the camera."""
    a, e = np.radians([azimuth_deg, elevation_deg])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    return tilt @ turn


def render(
    model: Model, azimuth_deg: float, elevation_deg: float, light_azimuth_deg: float, size: int = 128
) -> tuple[np.ndarray, np.ndarray]:
    """One view: (size, size, 3) uint8, colours extended outside of the mask, and the mask (size, size) bool.

    The model turns below a light that stands still beside the camera.
    """
    fine = size * SUPERSAMPLING
    view = _view_matrix(azimuth_deg, elevation_deg)
    positions, normals = model.positions @ view.T, model.normals @ view.T
    depth = CAMERA_DISTANCE - positions[..., 2]
    focal = 0.49 * fine * np.sqrt(CAMERA_DISTANCE**2 - 1.0)
    xy = np.stack([fine / 2 + focal * positions[..., 0] / depth, fine / 2 - focal * positions[..., 1] / depth], -1)
    to_camera = -positions
    to_camera[..., 2] += CAMERA_DISTANCE
    normals = normals * np.where((normals * to_camera).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    a = np.radians(light_azimuth_deg)
    key = np.array([np.sin(a) * 0.8, 0.6, np.cos(a) * 0.8])
    up = _view_matrix(0, elevation_deg) @ np.array([0.0, 1.0, 0.0])
    light = AMBIENT + SKY * (normals @ up) + KEY * np.maximum(normals @ key, 0.0)
    image = np.zeros((fine, fine, 3), np.float32)
    covered = np.zeros((fine, fine), np.bool_)
    zbuffer = np.zeros((fine, fine), np.float32)
    _rasterise(
        xy, depth, model.uvs, light, model.colours, model.materials, model.texels, model.levels,
        image, covered, zbuffer,
    )  # fmt: skip
    return _downsample(image, covered, size)


def _downsample(image: np.ndarray, covered: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of what is covered in each block of samples; a pixel is of the mask if half of them are."""
    blocks = (size, SUPERSAMPLING, size, SUPERSAMPLING)
    weight = covered.reshape(blocks).mean(axis=(1, 3))
    total = (image * covered[..., None]).reshape(*blocks, 3).mean(axis=(1, 3))
    colours = total / np.maximum(weight, 1e-6)[..., None]
    return extend_colours(colours, weight > 0), weight >= 0.5


def extend_colours(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 in which unknown pixels take the colour of the nearest known one, blurred.

    Farther than REACH they turn into the mean colour, which takes few bits.
    """
    if known.all() or not known.any():
        return np.clip(image, 0, 255).astype(np.uint8)
    distance, nearest = distance_transform_edt(~known, return_indices=True)
    filled = np.ascontiguousarray(image[nearest[0], nearest[1]], dtype=np.float32)
    far = np.clip((distance - REACH) / REACH, 0.0, 1.0)[..., None].astype(np.float32)
    blurred = cv2.blur(filled, (7, 7)) * (1 - far) + image[known].mean(axis=0) * far
    return np.clip(np.where(known[..., None], filled, blurred), 0, 255).astype(np.uint8)


def turntable(model: Model, light_azimuth_deg: float, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """All views: a sheet (2 * size, 24 * size, 3) uint8, a row for each elevation, and masks (48, size, size)."""
    views = [render(model, a, e, light_azimuth_deg, size) for e in ELEVATIONS_DEG for a in AZIMUTHS_DEG]
    rows = len(ELEVATIONS_DEG)
    columns = len(AZIMUTHS_DEG)
    tiles = np.stack([v[0] for v in views]).reshape(rows, columns, size, size, 3)
    sheet = tiles.transpose(0, 2, 1, 3, 4).reshape(rows * size, columns * size, 3)
    return sheet, np.stack([v[1] for v in views])
