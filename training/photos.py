"""The photographs and paintings of the pack: whole pictures, and regions of the large ones."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from cutouts import gcompris_pictures
from licences import Grant, grant_in, parse_debian_copyright
from packages import Package
from PIL import Image

SIDE, MAX_LONG_SIDE = 512, 768
MIN_SIDE = 200  # of a source's shorter side; smaller ones would be blurred when enlarged
MAX_REGIONS = 6
MIN_DETAIL = 2.5  # see `detail`: of a picture that is worth its place

NOT_PICTURES = (
    "normal", "_nm", "-nm", "_nrm", "gloss", "mask", "spec", "_alpha", "colormap", "glow", "caustic", "vertex",
    "towel", "antlers", "house", "guardian", "hammer", "swatter", "flag", "turf", "screenshot", "watertower", "pagoda",
)  # fmt: skip
"""Parts of names of textures that hold something else than colours, or pieces laid out for a model."""

SCIKIT_IMAGE = {
    "astronaut.png": Grant("NASA", "public-domain", "skimage.data.astronaut"),
    "brick.png": Grant("CC0Textures", "CC0-1.0", "skimage.data.brick"),
    "camera.png": Grant("Lav Varshney", "CC0-1.0", "skimage.data.camera"),
    "chelsea.png": Grant("Stefan van der Walt", "CC0-1.0", "skimage.data.chelsea"),
    "coffee.png": Grant("Rachel Michetti", "CC0-1.0", "skimage.data.coffee"),
    "grass.png": Grant("CC0Textures", "CC0-1.0", "skimage.data.grass"),
    "gravel.png": Grant("CC0Textures", "CC0-1.0", "skimage.data.gravel"),
    "hubble_deep_field.jpg": Grant("NASA", "public-domain", "skimage.data.hubble_deep_field"),
    "rocket.jpg": Grant("SpaceX", "public-domain", "skimage.data.rocket"),
}
"""Pictures in scikit-image's wheel, with what the docstrings of their functions state."""

SCIKIT_LEARN = {
    "china.jpg": Grant("danielbuechele", "CC-BY-2.0", "sklearn/datasets/images/README.txt"),
    "flower.jpg": Grant("vultilion", "CC-BY-2.0", "sklearn/datasets/images/README.txt"),
}


@dataclass
class Photo:
    """image (H, W, 3) uint8, the shorter side 512, the longer at most 768; region is empty for a whole picture."""

    image: np.ndarray
    package: Package
    file: str
    region: str
    grant: Grant


def _decode(data: bytes) -> np.ndarray | None:
    """(H, W, 3) uint8 of an opaque picture of at least MIN_SIDE; else None."""
    try:
        picture = Image.open(io.BytesIO(data))
        if min(picture.size) < MIN_SIDE:
            return None
        rgba = np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return np.ascontiguousarray(rgba[..., :3]) if rgba[..., 3].min() > 250 else None


def _fit(image: np.ndarray) -> np.ndarray:
    """The picture with its shorter side 512, its middle cropped to at most 768."""
    scale = SIDE / min(image.shape[:2])
    h, w = (max(SIDE, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = cv2.resize(image, (w, h), interpolation=method)
    top, left = max(0, h - MAX_LONG_SIDE) // 2, max(0, w - MAX_LONG_SIDE) // 2
    return image[top : top + MAX_LONG_SIDE, left : left + MAX_LONG_SIDE]


def detail(image: np.ndarray) -> float:
    """Mean absolute difference of neighbouring pixels of (H, W, 3) uint8, in grey levels."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


def regions(image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The whole picture (named ""), then regions of 768 x 512 of a large one, the most detailed first."""
    yield "", _fit(image)
    h, w = image.shape[:2]
    if min(h, w) < 2 * SIDE:
        return
    scale = max(1.0, min(h / (2.2 * SIDE), w / (2.2 * MAX_LONG_SIDE)))
    small = cv2.resize(image, (round(w / scale), round(h / scale)), interpolation=cv2.INTER_AREA)
    h, w = small.shape[:2]
    found = []
    for top in np.linspace(0, h - SIDE, max(1, h // SIDE)).astype(int):
        for left in np.linspace(0, w - MAX_LONG_SIDE, max(1, w // MAX_LONG_SIDE)).astype(int):
            region = small[top : top + SIDE, left : left + MAX_LONG_SIDE]
            found.append((detail(region), f"{left},{top} at 1/{scale:.2f}", region))
    for _, name, region in sorted(found, key=lambda f: (-f[0], f[1]))[:MAX_REGIONS]:
        yield name, region


def _pictures(image: np.ndarray | None, whole_only: bool) -> Iterator[tuple[str, np.ndarray]]:
    """The regions of a picture; of a texture, which repeats itself, the whole alone."""
    if image is not None:
        yield from [("", _fit(image))] if whole_only else regions(image)


def files(packages: dict[str, Package]) -> Iterator[tuple[Package, str, bytes, Grant]]:
    """All pictures that may be taken: package, name, content and grant."""
    for name in ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04"):
        package = packages[name]
        stanzas = parse_debian_copyright((package.root / f"usr/share/doc/{name}/copyright").read_text())
        for path in sorted(package.root.rglob("*.jpg")):
            grant = grant_in(stanzas, f"{name[-5:]}/{path.name}", "debian/copyright")
            if grant:
                yield package, path.name, path.read_bytes(), grant
    yield from _stated_pictures(
        packages["endless-sky-data"], "usr/share/games/endless-sky", ("images/land", "images/scene")
    )
    for package, folder, grants in (
        (packages["scikit-image"], "skimage/data", SCIKIT_IMAGE),
        (packages["scikit-learn"], "sklearn/datasets/images", SCIKIT_LEARN),
    ):
        for name, grant in grants.items():
            yield package, f"{folder}/{name}", (package.root / folder / name).read_bytes(), grant
    for name, data, grant in gcompris_pictures(packages["gcompris-qt-data"]):
        yield packages["gcompris-qt-data"], name, data, grant
    karts = packages["supertuxkart-data"]
    yield from _stated_pictures(karts, "usr/share/games/supertuxkart", ("data/textures", "data/tracks", "data/library"))


def _stated_pictures(
    package: Package, base: str, folders: tuple[str, ...]
) -> Iterator[tuple[Package, str, bytes, Grant]]:
    """Pictures below folders of base whose licence debian/copyright states under their path from base."""
    stanzas = parse_debian_copyright((package.root / f"usr/share/doc/{package.name}/copyright").read_text())
    root = package.root / base
    for path in sorted(p for folder in folders for p in (root / folder).rglob("*") if p.suffix in (".jpg", ".png")):
        name = path.relative_to(root).as_posix()
        grant = grant_in(stanzas, name, "debian/copyright")
        if grant and not any(part in path.stem.lower() for part in NOT_PICTURES):
            yield package, name, path.read_bytes(), grant


def photos(packages: dict[str, Package]) -> Iterator[Photo]:
    """All photographs, near duplicates left out."""
    seen: list[np.ndarray] = []
    for package, name, data, grant in files(packages):
        image = _decode(data)
        for region, picture in _pictures(image, whole_only=package.name == "supertuxkart-data"):
            signature = cv2.resize(picture, (12, 12), interpolation=cv2.INTER_AREA).astype(np.float32)
            if detail(picture) >= MIN_DETAIL and all(np.abs(signature - other).mean() > 8.0 for other in seen):
                seen.append(signature)
                yield Photo(picture, package, name, region, grant)
