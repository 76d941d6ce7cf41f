"""Short synthetic videos of all difficulties, to learn what a mask is worth that was tracked under given signs.

They hold what makes tracking fail in real ones: limbs that swing, sides that were never seen, growth and shrinking,
backgrounds and passers-by of the object's colours, posts in front, shadows that move along, changing light, blur.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Array = NDArray[np.float64]
Picture = NDArray[np.float32]

SIZE_HW = (240, 426)
FRAMES = 60
SKIN = 160


@dataclass(frozen=True)
class Part:
    """A body or a limb: a shape cut out of a skin that may slide under it, as when a ball turns.

    Attributes:
        skin: float32 (SKIN, 3 SKIN, 3).
        shape: opacity, float32 (SKIN, SKIN).
        cloth: how it bends, in its cells, float32 (2, SKIN, SKIN, 2): now this way, now that.
        joint_xy: where it is hinged to the body, from -1 to 1 in halves of the body.
        size_wh: in halves of the body.
        angle: at rest, radians.
        swing: amplitude, radians.
        pace: radians a frame.
        phase: of the swing.
    """

    skin: Picture
    shape: Picture
    cloth: Picture
    joint_xy: tuple[float, float] = (0.0, 0.0)
    size_wh: tuple[float, float] = (1.0, 1.0)
    angle: float = 0.0
    swing: float = 0.0
    pace: float = 0.0
    phase: float = 0.0

    def sprite(self, turned: float, frame: int) -> Picture:
        """RGB and opacity, float32 (SKIN, SKIN, 4), after the skin has slid by ``turned`` of its width."""
        start = round((0.5 + 0.5 * float(np.clip(turned, -1, 1))) * 2 * SKIN)
        flat = np.dstack((self.skin[:, start : start + SKIN], self.shape))
        here = np.dstack(np.meshgrid(np.arange(SKIN), np.arange(SKIN))).astype(np.float32)
        return cv2.remap(flat, here + _bent(self.cloth, frame), None, cv2.INTER_LINEAR)  # type: ignore[call-overload]

    def pose(self, body: Array, frame: int) -> Array:
        """From its sprite to pixels, (3, 3); ``body`` leads from halves of the body to pixels."""
        bent = self.angle + self.swing * np.sin(self.pace * frame + self.phase)
        hang = 0.0 if self.joint_xy == (0.0, 0.0) else 0.85 * self.size_wh[1]
        unit = _affine(0, 2 * self.size_wh[0] / SKIN, 2 * self.size_wh[1] / SKIN, -self.size_wh[0], -self.size_wh[1])
        return body @ _affine(bent, 1, 1, *self.joint_xy) @ _affine(0, 1, 1, 0, hang) @ unit


@dataclass(frozen=True)
class Figure:
    """An object: parts, those behind the body first, and how it moves.

    Attributes:
        parts: painted in this order.
        way: x, y in pixels, size in pixels, angle in radians, squeeze and turn, (FRAMES, 6).
    """

    parts: tuple[Part, ...]
    way: Array

    def paint(self, image: Picture, frame: int) -> Mask:
        """Paint it onto an image, float32 (H, W, 3), and tell where."""
        x, y, size, angle, squeeze, turned = self.way[frame]
        body = _affine(angle, size * (1 + squeeze), size / (1 + squeeze), x, y)
        where = np.zeros(image.shape[:2], dtype=np.bool_)
        for part in self.parts:
            drawn = cv2.warpAffine(
                part.sprite(turned, frame), part.pose(body, frame)[:2], SIZE_HW[::-1], flags=cv2.INTER_AREA
            )
            opacity = drawn[:, :, 3:]
            image += opacity * (drawn[:, :, :3] - image)
            where |= opacity[:, :, 0] >= 0.5
        return where


def trial(number: int) -> Iterator[tuple[Image, Mask]]:
    """One video; all of its hardships are drawn at random for each number, most of them absent from most videos.

    Yields:
        RGB uint8 (240, 426, 3) and the visible object, bool (240, 426).
    """
    rng = np.random.default_rng([78, number])
    around, own = _colors(7, rng), _colors(7, rng)
    shared = rng.random(7) < rng.choice([0.0, 0.3, 0.7])  # of the object's colours with the background
    own[shared] = 0.8 * around[shared] + 0.2 * own[shared]
    world = _world(around, rng)
    waves = _cloth(rng.choice([0, 0, 3]) * rng.normal(0, 1), SIZE_HW, rng)  # of water, leaves, a crowd
    camera = _path(rng.choice([0.5, 3.0, 8.0]) * rng.uniform(0, 1), rng)
    hero = _figure(own, rng)
    twins = [Figure(hero.parts, _way(rng)) for _ in range(rng.choice([0, 0, 0, 0, 0, 1]))]
    posts = _posts(around[0], rng) if rng.random() < 0.2 else []
    shadow = rng.uniform(0.4, 0.8) if rng.random() < 0.4 else 1.0
    light = _light(rng)
    blur, noise, quality = rng.choice([0, 0, 3, 5]), rng.uniform(0, 7), int(rng.uniform(35, 95))
    for i in range(FRAMES):
        image = _view(world, camera[i], _bent(waves, i))
        for twin in twins:
            twin.paint(image, i)
        body = _shade(hero, image, shadow, i)
        for x, width, color in posts:
            left = int((x - 1.3 * camera[i, 0]) % (2 * SIZE_HW[1])) - 100
            image[:, max(0, left) : max(0, left + width)] = color
            body[:, max(0, left) : max(0, left + width)] = False
        yield _develop(image * light[i], blur, noise, quality, rng), body


def _shade(hero: Figure, image: Picture, shadow: float, frame: int) -> Mask:
    """Paint the object, and first its shadow, which moves along but is no part of it."""
    if shadow < 1:
        below = hero.paint(image.copy(), frame).astype(np.float32)
        low = hero.way[frame, 1] + hero.way[frame, 2]
        flat = np.array([[1, -0.6, 0.6 * low], [0, -0.35, 1.35 * low]])
        image *= 1 - (1 - shadow) * cv2.warpAffine(below, flat, SIZE_HW[::-1])[:, :, None]
    return hero.paint(image, frame)


def _develop(image: Picture, blur: int, noise: float, quality: int, rng: np.random.Generator) -> Image:
    """What a camera makes of it: blur along the way, noise, compression."""
    if blur:
        image = cv2.blur(image, (int(blur), 1))  # type: ignore[assignment]
    seen = cv2.GaussianBlur(image, (0, 0), 0.6) + rng.normal(0, noise, image.shape)
    coded = cv2.imencode(".jpg", np.clip(seen + 0.5, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)


def _affine(angle: float, wide: float, high: float, x: float, y: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c * wide, -s * high, x], [s * wide, c * high, y], [0, 0, 1]])


def _colors(count: int, rng: np.random.Generator) -> Array:
    """Muted, as most of what is filmed."""
    return np.clip(rng.uniform(15, 225, (count, 1)) + rng.normal(0, rng.uniform(4, 28), (count, 3)), 0, 255)


def _figure(colors: Array, rng: np.random.Generator) -> Figure:
    """A body with up to five limbs; each has colours of its own or the body's."""
    texture, bend = rng.uniform(2, 25), rng.choice([0, 4, 10]) * rng.normal(0, 1)
    skin, shape = _skin(colors[: rng.integers(2, 5)], texture, rng), _star(rng.uniform(0.05, 0.35), rng)
    body = Part(skin, shape, _cloth(bend, (SKIN, SKIN), rng))
    limbs = []
    for _ in range(rng.choice([0, 0, 2, 3, 4, 5])):
        at = rng.uniform(0, 2 * np.pi)
        dress = colors[:2] if rng.random() < 0.4 else colors[4:7] * rng.uniform(0.7, 1.2)
        limbs.append(
            Part(
                _skin(dress, texture, rng),
                _star(0.1, rng),
                _cloth(bend, (SKIN, SKIN), rng),
                joint_xy=(0.7 * np.cos(at), 0.7 * np.sin(at)),
                size_wh=(rng.uniform(0.1, 0.3), rng.uniform(0.4, 1.0)),
                angle=at - np.pi / 2,
                swing=rng.uniform(0, 1.2),
                pace=rng.uniform(0.05, 0.8),
                phase=rng.uniform(0, 6),
            )
        )
    cut = int(rng.integers(0, len(limbs) + 1))
    return Figure((*limbs[:cut], body, *limbs[cut:]), _way(rng))


def _way(rng: np.random.Generator) -> Array:
    """How a figure goes: mostly steady, sometimes wild."""
    height, width = SIZE_HW
    wild, i = rng.choice([0.2, 0.6, 1.2]), np.arange(FRAMES)
    reach = np.array([0.35 * width, 0.25 * height]) * rng.uniform(0.1, 1)
    pace = wild * rng.uniform(0.02, 0.25, 2)
    where = (width / 2, height / 2) + reach * np.sin(pace * i[:, None] + rng.uniform(0, 6, 2))
    size = rng.uniform(16, 65) * np.exp(rng.normal(0, 0.5) * wild * np.sin(rng.uniform(0.01, 0.1) * i))
    angle = wild * rng.normal(0, 0.08) * i + wild * rng.uniform(0, 0.5) * np.sin(0.2 * i)
    squeeze = wild * rng.uniform(0, 0.3) * np.sin(rng.uniform(0.05, 0.4) * i)
    turned = np.clip(rng.choice([0, 1]) * wild * rng.uniform(0, 0.06) * i, -1, 1)
    return np.column_stack((where, np.clip(size, 8, 90), angle, squeeze, turned))


def _path(speed: float, rng: np.random.Generator) -> Array:
    """Where the camera looks, (FRAMES, 2): a pan with changes of speed, and a shaking hand."""
    way = rng.uniform(0, 2 * np.pi)
    along = speed * (np.arange(FRAMES) + 8 * np.sin(np.arange(FRAMES) / rng.uniform(5, 20)))
    return along[:, None] * (np.cos(way), 0.4 * np.sin(way)) + rng.normal(0, rng.choice([0, 0.3, 1.0]), (FRAMES, 2))


def _posts(color: Array, rng: np.random.Generator) -> list[tuple[float, int, Array]]:
    """Left edge, width and colour of what stands in front."""
    return [(rng.uniform(0, 2 * SIZE_HW[1]), int(rng.uniform(4, 40)), color) for _ in range(rng.integers(1, 5))]


def _light(rng: np.random.Generator) -> list[Picture]:
    """What light does to each pixel of each frame: a slow change and spots, through which everything moves."""
    height, width = SIZE_HW
    spots = cv2.GaussianBlur(rng.normal(0, 1, (height // 8, width // 8)).astype(np.float32), (0, 0), rng.uniform(2, 6))
    spots = cv2.resize(spots / max(float(spots.std()), 1e-6), (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[arg-type]
    depth, slope = rng.choice([0, 0, 0.1, 0.25]), rng.choice([0, 0, 1]) * rng.normal(0, 0.003)
    still = np.clip(1 + depth * spots, 0.3, 1.6)[:, :, None]
    return [still * np.float32(np.clip(1 + slope * i, 0.4, 1.6)) for i in range(FRAMES)]


def _world(colors: Array, rng: np.random.Generator) -> Picture:
    """A background twice as wide and high as a frame: regions, some smooth and some rough, with things in them."""
    height, width = 2 * SIZE_HW[0], 2 * SIZE_HW[1]
    regions = _patches(height, width, colors, rng.uniform(6, 50), rng)
    rough = np.abs(cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 30)) * 30
    for scale, strength in ((1.0, rng.uniform(0, 80)), (3.0, rng.uniform(0, 160)), (9.0, rng.uniform(0, 300))):
        grain = cv2.GaussianBlur(rng.normal(0, strength, (height, width)).astype(np.float32), (0, 0), scale)
        regions += (np.clip(rough, 0, 1.5) * grain)[:, :, None]
    for _ in range(rng.integers(0, 25)):
        middle = rng.uniform((0, 0), (width, height))
        box = cv2.boxPoints((tuple(middle), tuple(rng.uniform(4, 90, 2)), float(rng.uniform(0, 90))))
        cv2.fillConvexPoly(regions, box.astype(np.int32), (colors[rng.integers(0, 7)] * rng.uniform(0.7, 1.3)).tolist())
    return np.clip(cv2.GaussianBlur(regions, (0, 0), 0.8), 0, 255)


def _skin(colors: Array, scale: float, rng: np.random.Generator) -> Picture:
    """Three times as wide as what is seen of it; the outer thirds differ from the middle as a back from a front."""
    skin = _patches(SKIN, 3 * SKIN, colors, scale, rng)
    skin += cv2.GaussianBlur(rng.normal(0, 40, (SKIN, 3 * SKIN)).astype(np.float32), (0, 0), 2)[:, :, None]
    side = np.abs(np.linspace(-1.5, 1.5, 3 * SKIN)) > rng.uniform(0.5, 1.5)
    skin[:, side] += rng.normal(0, 45, 3).astype(np.float32)
    return np.clip(skin, 0, 255)


def _patches(height: int, width: int, colors: Array, scale: float, rng: np.random.Generator) -> Picture:
    """Patches of these colours, float32 (h, w, 3)."""
    step = max(1, int(scale / 3))
    small = height // step + 2, width // step + 2
    layers = [cv2.GaussianBlur(rng.normal(size=small), (0, 0), scale / step) for _ in colors]
    fine = [cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) for layer in layers]
    return np.asarray(colors, dtype=np.float32)[np.argmax(fine, axis=0)]


def _star(bumps: float, rng: np.random.Generator) -> Picture:
    """A round shape with bumps, opacity float32 (SKIN, SKIN)."""
    y, x = (np.indices((SKIN, SKIN)) + 0.5) / SKIN * 2 - 1
    around = np.arctan2(y, x)
    waves = sum(rng.normal(0, bumps) / (k + 1) * np.cos((k + 1) * around + rng.uniform(0, 6)) for k in range(1, 5))
    return cv2.GaussianBlur((np.hypot(x, y) < 0.8 * (1 + np.clip(waves, -0.6, 0.2))).astype(np.float32), (0, 0), 1)


def _cloth(strength: float, size_hw: tuple[int, int], rng: np.random.Generator) -> Picture:
    """How something bends: two fields of shifts in pixels, float32 (2, h, w, 2)."""
    fields = [cv2.GaussianBlur(rng.normal(0, 1, (*size_hw, 2)).astype(np.float32), (0, 0), 20) for _ in range(2)]
    return np.stack([np.float32(strength) * field / max(float(field.std()), 1e-6) for field in fields])


def _bent(cloth: Picture, frame: int) -> Picture:
    """The shifts on a frame, float32 (h, w, 2)."""
    return np.float32(np.sin(0.4 * frame)) * cloth[0] + np.float32(np.sin(0.23 * frame)) * cloth[1]


def _view(world: Picture, at: Array, bent: Picture) -> Picture:
    """What the camera sees of the world, float32 (H, W, 3)."""
    height, width = SIZE_HW
    here = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    there = here + bent + np.float32((width / 2 + at[0], height / 2 + at[1]))  # type: ignore[arg-type, operator]
    return cv2.remap(world, there, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)  # type: ignore[call-overload]
