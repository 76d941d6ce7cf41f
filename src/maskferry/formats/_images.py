"""Pictures of masks on disk: pixel values as they are stored, and how a folder of pictures is ordered."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import PIL.PngImagePlugin
from numpy.typing import NDArray

from maskferry._own_files import SOFTWARE
from maskferry._pillow import open_picture, translate_errors
from maskferry._staging import final_path
from maskferry.data import FrameInfo
from maskferry.errors import InputError
from maskferry.files import atomic_path
from maskferry.formats._reading import Reading
from maskferry.images import PICTURE_SUFFIXES, natural_key

__all__ = [
    "INFO_KEY",
    "Pixels",
    "check_stem",
    "file_stem",
    "info_text",
    "list_pictures",
    "picture_name",
    "picture_stem",
    "read_frame_info",
    "read_pixels",
    "write_pixels",
]

log = logging.getLogger(__name__)

INFO_KEY = "maskferry"
"""Of the text in a PNG that holds a row of the frame table."""

_DESCRIPTION = 270  # ImageDescription, a tag of TIFF

_LOSSY = frozenset({"JPEG", "MPO", "JPEG2000", "WEBP"})


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """A picture's values.

    Attributes:
        values: uint8 or uint16 (H, W), or uint8 RGB (H, W, 3). The indices, where the file has a palette in colour.
        shown: uint8 RGB (H, W, 3), its colours; None where the values are no indices of a palette.
        lossy: the format does not keep values exactly (JPEG and its like).
        alpha: uint8 (H, W), from transparent (0) to opaque (255); None where all of the picture is opaque. What is not
            more opaque than transparent is black in ``values``.
        own: it carries a row of the frame table, as what maskferry writes of a frame does.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    shown: NDArray[np.uint8] | None = None
    lossy: bool = False
    alpha: NDArray[np.uint8] | None = None
    own: bool = False


def read_pixels(path: Path, reading: Reading | None = None) -> Pixels:
    """Read a picture of masks: any format of Pillow, 1 to 32 bits, with a palette, grey or RGB.

    It is turned as its EXIF orientation says. What is more transparent than opaque counts as black. A palette in
    which index n is grey n, or of black and white, is read as grey, and one whose background is not index 0 by its
    colours. Of a file with several pages the first is read; ``reading`` counts the others, without it the log says so.

    Raises:
        InputError: there is no such file, it is no picture, or its values are no whole numbers from 0 to 65535.
    """
    with translate_errors(path), open_picture(path, path) as file:
        if (pages := getattr(file, "n_frames", 1)) > 1:
            if reading is None:
                log.warning("%s has %d pages: only the first is read", path, pages)
            else:
                reading.leave_out("pages behind the first", str(path), count=pages - 1)
        lossy, own = file.format in _LOSSY, _info_in(file) is not None
        file.load()  # turns a TIFF by itself
        image = PIL.ImageOps.exif_transpose(file)
        if image.mode.startswith(("I", "F")):
            return Pixels(_as_uint16(np.array(image), path), own=own)
        alpha = _alpha(image)
        if image.mode == "P" and _is_label_map(image, alpha):
            return Pixels(np.array(image), shown=np.array(image.convert("RGB")), own=own)
        values = np.array(image.convert("L" if _is_grey(image) else "RGB"))
        if alpha is not None:
            values[alpha < 128] = 0
        return Pixels(values, lossy=lossy, alpha=alpha, own=own)


def write_pixels(
    path: Path,
    values: NDArray[np.unsignedinteger[Any]],
    *,
    palette: NDArray[np.uint8] | None = None,
    info: FrameInfo | None = None,
    overwrite: bool = False,
) -> None:
    """Write a picture, in the format that the suffix names (.png, .tif, .jpg, ...).

    Args:
        path: written atomically.
        values: uint8 or uint16 (H, W), or uint8 RGB (H, W, 3).
        palette: RGB (256, 3), for uint8 only.
        info: row of the frame table, which a PNG or TIFF carries along, see `read_frame_info`.
        overwrite: replace a file.

    Raises:
        InputError: no format has this suffix.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    if PIL.Image.registered_extensions().get(path.suffix.lower()) not in PIL.Image.SAVE:
        raise InputError(f"{final_path(path)}: expected a path that ends in .png, .tif or .jpg")
    image = PIL.Image.fromarray(np.ascontiguousarray(values))
    if palette is not None:
        image.putpalette(palette.tobytes())
    options = _tiff_options(info) if path.suffix.lower() in (".tif", ".tiff") else _png_options(info)
    with atomic_path(path, overwrite=overwrite) as part:
        image.save(part, **options)


def info_text(info: FrameInfo) -> str:
    """A row of the frame table as pictures carry it: JSON in ASCII."""
    return json.dumps({"index": info.index, "time": info.time, "name": info.name})


def read_frame_info(path: Path) -> FrameInfo | None:
    """The row of the frame table that a PNG or TIFF of maskferry carries; None where there is none.

    Raises:
        InputError: no such file, or no picture.
    """
    with translate_errors(path), open_picture(path, path) as image:
        return _info_in(image)


def _info_in(image: PIL.Image.Image) -> FrameInfo | None:
    text = image.info.get(INFO_KEY) or getattr(image, "tag_v2", {}).get(_DESCRIPTION) or "null"
    try:
        found = json.loads(text)
        return FrameInfo(int(found["index"]), found["time"], str(found["name"]))
    except (TypeError, KeyError, ValueError, RecursionError):
        return None


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order (2 before 10); hidden files and other files are left out.

    Raises:
        InputError: this is no folder, or there is no picture in it.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of pictures, got {folder}")
    found = [
        p
        for p in folder.iterdir()
        if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".") and p.is_file()
    ]
    if not found:
        raise InputError(f"{folder}: expected pictures (PNG, TIFF, ...), found none")
    return sorted(found, key=natural_key)


def picture_stem(name: str) -> str:
    """A file's name without folders and without the suffix of a picture: "a/frame_1.5.jpg" -> "frame_1.5"."""
    path = Path(name)
    return path.stem if path.suffix.lower() in PICTURE_SUFFIXES else path.name


def picture_name(info: FrameInfo) -> str:
    """The file of the frame's picture. A frame of a video has none: it gets the name that its picture would have.

    >>> picture_name(FrameInfo(7, None, "shore_7.jpg")), picture_name(FrameInfo(7, 0.28, "000007"))
    ('shore_7.jpg', '000007.png')
    """
    known = Path(info.name).suffix.lower() in PICTURE_SUFFIXES
    return info.name if known else f"{info.name}.png"


def file_stem(info: FrameInfo) -> str:
    """What a file about this frame is called, without suffix: as the source's own name of the frame.

    Raises:
        InputError: that cannot be the name of a file.
    """
    return check_stem(picture_stem(info.name), info)


def check_stem(name: str, info: FrameInfo) -> str:
    """The name of a file about a frame, without suffix.

    Raises:
        InputError: it has folders in it, or is otherwise no name of a file.
    """
    if not name or name in (".", "..") or any(c in name for c in "/\\:\0"):
        raise InputError(f"frame {info.index}: {name!r} cannot be the name of a file")
    return name


def _tiff_options(info: FrameInfo | None) -> dict[str, Any]:
    told = {"software": SOFTWARE} if info is None else {"description": info_text(info)}
    return {"compression": "tiff_lzw", **told}


def _png_options(info: FrameInfo | None) -> dict[str, Any]:
    """Those of PNG, and of JPEG, which takes the comment."""
    text = PIL.PngImagePlugin.PngInfo()
    text.add_text(*(("Software", SOFTWARE) if info is None else (INFO_KEY, info_text(info))))
    return {"pnginfo": text, "comment": SOFTWARE}


def _is_label_map(image: PIL.Image.Image, alpha: NDArray[np.uint8] | None) -> bool:
    """Whether the indices of a picture with a palette are ids: it is more than grey, and 0 is its background."""
    if _is_grey(image):
        return False
    indices = np.asarray(image)
    if alpha is not None and indices[alpha < 128].any():
        return False
    border = np.concatenate([indices[0], indices[-1], indices[:, 0], indices[:, -1]])
    if border.min() != border.max() or not border[0] or not (indices == 0).any():
        return True
    return image.convert("RGB").getpixel((0, 0)) not in ((0, 0, 0), (255, 255, 255))


def _is_grey(image: PIL.Image.Image) -> bool:
    """Whether a picture is grey by its mode; with a palette, whether it is black and white or index n is grey n."""
    if image.mode != "P":
        return image.mode in ("1", "L", "LA", "La")
    colors = image.convert("RGB").getcolors(256) or []
    if {color for _, color in colors} <= {(0, 0, 0), (255, 255, 255)}:
        return True
    return bool((np.asarray(image.convert("RGB")) == np.asarray(image)[:, :, None]).all())


def _alpha(image: PIL.Image.Image) -> NDArray[np.uint8] | None:
    if not image.has_transparency_data:
        return None
    alpha = np.array(image.convert("RGBA"))[:, :, 3]
    return None if (alpha == 255).all() else alpha


def _as_uint16(values: NDArray[Any], path: Path) -> NDArray[np.uint16]:
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535 or (values % 1).any():
        raise InputError(
            f"{path}: expected whole numbers from 0 to 65535, got {values.dtype} from {values.min()} to {values.max()}"
            ". Save probabilities as a mask (p > 0.5), or as .npy"
        )
    return values.astype(np.uint16)
