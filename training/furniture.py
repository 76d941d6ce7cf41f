"""The 3D models of the pack: which are taken from the furniture catalogues, and their turntables."""

from __future__ import annotations

import logging
import posixpath
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from licences import Grant, blend_swap_grant
from packages import Package, catalogue
from turntables import Model, parse_obj, prepare, render

log = logging.getLogger(__name__)

CATALOGUES = {
    "Reallusion": "CC-BY-3.0-US",
    "BlendSwap-CC-0": "CC0-1.0",
    "BlendSwap-CC-BY": "CC-BY-3.0",
    "KatorLegaz": "CC-BY-3.0-US",
    "Scopia": "CC-BY-3.0",
}
"""Each catalogue and the licence that its LICENSE.TXT and debian/copyright state."""

QUOTAS = {
    "Characters": 36, "Vehicles": 28, "Exterior": 45, "Miscellaneous": 48, "Living room": 22, "Kitchen": 20,
    "Bedroom": 7, "Bathroom": 5, "Lights": 6, "Office": 9, "Doors and windows": 2, "Staircases": 2,
}  # fmt: skip
"""How many models of a category are taken at most."""

SAME_NAME_LIMIT = 2
MIN_MASK_FRACTION = 0.025


@dataclass
class Candidate:
    """A model of a catalogue, with what its two trial views tell."""

    catalogue: str
    entry: dict[str, str]
    grant: Grant
    score: float


def folder_of(package: Package) -> str:
    """Where the catalogues lie in the package."""
    return str(package.root / "usr/share/sweethome3d/furniture")


def load(archive: zipfile.ZipFile, entry: dict[str, str]) -> Model | None:
    """The model of an entry, or None if it is too large or has nothing opaque."""
    path = entry["model"].lstrip("/")
    names = {name.lower(): name for name in archive.namelist()}

    def read(name: str) -> bytes | None:
        found = names.get(posixpath.normpath(posixpath.join(posixpath.dirname(path), name)).lower())
        return archive.read(found) if found else None

    mesh = parse_obj(archive.read(path).decode("latin-1"), read)
    rotation = entry.get("modelRotation")
    matrix = np.array(rotation.split(), dtype=np.float64).reshape(3, 3) if rotation else None
    return prepare(mesh, matrix) if mesh else None


def _grant(archive: zipfile.ZipFile, name: str, entry: dict[str, str]) -> Grant | None:
    """The grant of an entry: of Blend Swap models, the licence file in the model's folder must state it, too."""
    licence, creator = CATALOGUES[name], entry.get("creator", "unknown")
    if not name.startswith("BlendSwap"):
        return Grant(creator, licence, f"{name}.sh3f: LICENSE.TXT")
    folder = posixpath.dirname(entry["model"].lstrip("/"))
    texts = [n for n in archive.namelist() if posixpath.dirname(n) == folder and "license" in n.lower()]
    if not texts:
        return None
    text = archive.read(texts[0]).decode("latin-1")
    return blend_swap_grant(text, licence, creator, f"{name}.sh3f: {texts[0]}")


def candidates(package: Package) -> Iterator[Candidate]:
    """All models that may be taken, with the entropy of the colours of two views as their score."""
    for name in CATALOGUES:
        with zipfile.ZipFile(f"{folder_of(package)}/{name}.sh3f") as archive:
            for entry in catalogue(archive.read("PluginFurnitureCatalog.properties").decode("latin-1")):
                grant = _grant(archive, name, entry)
                model = load(archive, entry) if grant else None
                if grant is None or model is None:
                    log.info("left out: %s (%s)", entry["model"], "no grant" if grant is None else "no mesh")
                    continue
                views = [render(model, azimuth, 15.0, 30.0, 64) for azimuth in (30.0, 300.0)]
                if min(mask.mean() for _, mask in views) >= MIN_MASK_FRACTION:
                    yield Candidate(name, entry, grant, float(np.mean([colour_entropy(*v) for v in views])))


def colour_entropy(image: np.ndarray, mask: np.ndarray) -> float:
    """Bits of the histogram of the colours (4 bits a channel) of image (H, W, 3) uint8 in mask (H, W)."""
    levels = image[mask].astype(np.int64) >> 4
    counts = np.bincount(levels @ np.array([256, 16, 1]))
    p = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(p * np.log2(p)).sum())


def choose(found: list[Candidate]) -> list[Candidate]:
    """The most colourful of each category; of one name no more than a few, except of people."""
    taken: list[Candidate] = []
    of_category: Counter[str] = Counter()
    of_name: Counter[str] = Counter()
    for candidate in sorted(found, key=lambda c: (-c.score, c.entry["model"])):
        category, name = candidate.entry["category"], candidate.entry.get("name", "")
        full = of_category[category] >= QUOTAS.get(category, 10)
        if full or (of_name[name] >= SAME_NAME_LIMIT and category != "Characters"):
            continue
        of_category[category] += 1
        of_name[name] += 1
        taken.append(candidate)
    return sorted(taken, key=lambda c: (c.catalogue, c.entry["model"]))


def light_azimuth_deg(entry: dict[str, str]) -> float:
    """From where the light comes to a model: between -70 and 70 degrees, by its name."""
    return crc32(entry["model"].encode()) % 1401 / 10.0 - 70.0
