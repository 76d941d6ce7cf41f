"""Files of numpy (.npy, .npz) with masks -> prompts. Nothing is unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask
from maskferry.errors import InputError
from maskferry.formats._binary import ids_of_names
from maskferry.formats._frame_names import frame_of
from maskferry.formats._given_files import Found
from maskferry.formats._given_pictures import on_frame
from maskferry.formats._images import Pixels
from maskferry.formats._mask_pictures import objects_of
from maskferry.formats._reading import Reading
from maskferry.limits import check_masks, check_size_hw, most_unpacked
from maskferry.masks._convert import as_mask

__all__ = ["read_arrays"]

_Array = NDArray[Any]


def read_arrays(path: Path, frame: int | None, reading: Reading) -> Found:
    """Read masks from a file of numpy.

    - (H, W) of bools or floats is a mask, see `masks.as_mask`; of whole numbers it is what a grey picture of these
      values is, see `objects_of`.
    - (N, H, W) is a stack of masks, of object 1 to N; of whole numbers other than 0 and one more, or with as many masks
      as the video has frames, it is not clear what it is, unless ``frame`` says that they are objects.
    - A .npz file with several arrays has an object in each: its name is the label, or ends with the id.

    Args:
        path: a .npy or .npz file.
        frame: the one that the masks are of; None where nobody says so, which is the first one.
        reading: the video, as far as it is known, and who is told.

    Raises:
        InputError: it cannot be read, holds no masks, or what they are is not clear.
    """
    arrays = _load(path)
    reading.read_as("arrays of numpy")
    masks = {name: array for name, array in arrays.items() if array.ndim >= 2}
    for name in arrays.keys() - masks.keys():
        reading.leave_out("arrays that are no masks", f"{name} {arrays[name].shape}")
    if not masks:
        raise InputError(f"{path} holds no mask: expected an array (H, W) or (N, H, W)")
    if len(masks) > 1:
        return _of_several(masks, frame, frame_of(path, frame, reading), reading)
    found = _objects_of(next(iter(masks.values())), frame, reading)
    return Found(on_frame(frame_of(path, frame, reading), found), {})


def _of_several(arrays: Mapping[str, _Array], said: int | None, frame: int, reading: Reading) -> Found:
    """An array for each object."""
    names = list(arrays)
    ids, counted = ids_of_names(names)
    if all(name.startswith("arr_") for name in names):  # how numpy calls what has no name
        ids, counted = list(range(1, len(names) + 1)), False
    masks = {}
    for i, name in zip(ids, names, strict=True):
        with reading.at(f"{reading.where}: {name}"):
            found = _objects_of(arrays[name], said, reading)
            if len(found) != 1:
                raise InputError(f"{reading.where} holds {len(found)} objects; expected an array for each object")
        masks[i] = next(iter(found.values()))
    labels = dict(zip(ids, names, strict=True)) if counted else {}
    return Found(on_frame(frame, masks), labels, counted)


def _objects_of(array: _Array, frame: int | None, reading: Reading) -> dict[int, Mask]:
    where = reading.where
    while array.ndim > 2 and 1 in (array.shape[0], array.shape[-1]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (2, 3) or not array.size or array.dtype.kind not in "buif":
        raise InputError(
            f"{where}: expected numbers or bools, (H, W) or (N, H, W), got {array.dtype} of shape {array.shape}"
        )
    check_size_hw(array.shape[-2], array.shape[-1], where)
    return _of_plane(array, reading) if array.ndim == 2 else _of_stack(array, frame, reading)


def _of_stack(stack: _Array, frame: int | None, reading: Reading) -> dict[int, Mask]:
    size, count = reading.target.size_hw, reading.target.frame_count
    if size is not None and stack.shape[:2] == size != stack.shape[1:]:
        raise InputError(
            f"{reading.where}: expected a stack (N, H, W), got (H, W, N) = {stack.shape}: save np.moveaxis(masks, 2, 0)"
        )
    if frame is None and stack.shape[0] == count:
        raise InputError(
            f"{reading.where}: a stack of {count} masks may be {count} objects of one frame, or a mask on each of "
            f"{count} frames. If they are objects, say their frame (FRAME=PATH, or frame_idx in Python); if they are "
            "frames, save them as pictures, 00000.png and so on, in a folder"
        )
    masks = {}
    for i, plane in enumerate(stack, 1):
        if not plane.any():
            reading.leave_out("empty masks", f"[{i - 1}]")
            continue
        with reading.at(f"{reading.where}[{i - 1}]"):
            found = _of_plane(plane, reading)
            if len(found) != 1:
                raise InputError(f"{reading.where} holds {len(found)} objects; expected a mask of one object in each")
        masks[i] = next(iter(found.values()))
    return masks


def _of_plane(plane: _Array, reading: Reading) -> dict[int, Mask]:
    """A mask, or what a grey picture of these values is."""
    if plane.dtype.kind in "bf":
        if not plane.any():
            return {}
        return {1: as_mask(plane, (plane.shape[0], plane.shape[1]), what=reading.where)}
    low, high = int(plane.min()), int(plane.max())
    if low < 0 or high > 65535:
        raise InputError(f"{reading.where}: expected values from 0 to 65535, got {low} to {high}")
    return objects_of(Pixels(plane.astype(np.uint16) if high > 255 else plane.astype(np.uint8)), reading)


def _load(path: Path) -> dict[str, _Array]:
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                return {"": _read(file, path.stat().st_size, str(path))}
        with zipfile.ZipFile(path) as archive:
            return _load_all(archive, path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(f"{path} cannot be read as a file of numpy ({err})") from err


def _load_all(archive: zipfile.ZipFile, path: Path) -> dict[str, _Array]:
    members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    most = most_unpacked(path.stat().st_size)
    if sum(info.file_size for info in members) > most:
        raise InputError(f"{path} unpacks to more than {most} bytes: save the masks as bools, or fewer in a file")
    found = {}
    for info in members:
        with archive.open(info) as file:
            data = file.read(info.file_size + 1)
        name = info.filename.removesuffix(".npy")
        found[name] = _read(io.BytesIO(data), len(data), f"{path}: {name}")
    return found


_HEADERS: Mapping[tuple[int, int], Callable[[IO[bytes]], tuple[Sequence[int], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def _read(file: IO[bytes], size: int, where: str) -> _Array:
    """An array, whose header must not claim more than there is."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise InputError(f"{where}: expected version 1 or 2 of numpy's format, got {version}")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject or dtype.kind not in "buif":
        raise InputError(f"{where}: expected numbers or bools, got {dtype}, which is not read as it may run code")
    if math.prod(shape) * dtype.itemsize > size:
        raise InputError(f"{where} is cut short: {shape} of {dtype} take more than its {size} bytes")
    check_masks(math.prod(shape), size, where)
    file.seek(0)
    array: _Array = np.lib.format.read_array(file, allow_pickle=False)
    return array
