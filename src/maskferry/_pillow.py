"""Pictures opened by Pillow: refused by their header where they are too large, and what Pillow says translated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import PIL.Image

from maskferry.errors import InputError, MaskferryError, SourceError
from maskferry.limits import size_problem

__all__ = ["open_picture", "translate_errors"]

_one_at_a_time = threading.Lock()


@contextmanager
def open_picture(
    file: Path | BinaryIO,
    name: object,
    error: type[InputError | SourceError] = InputError,
    *,
    formats: tuple[str, ...] = (),
) -> Iterator[PIL.Image.Image]:
    """Open a picture, whose pixels are decoded when they are asked for.

    Args:
        file: its path, or an open file.
        name: how errors call it.
        error: what is raised.
        formats: Pillow's names of the formats that are allowed; all, where it is empty.

    Raises:
        InputError: or a `SourceError`, as ``error`` says: it has more pixels than `limits` allow.
        Exception: whatever Pillow raises; see `translate_errors`.
    """
    with _open_unlimited(file, formats) as picture:
        problem = size_problem(*picture.size)
        if problem is not None:
            raise error(f"{name}: {problem}")
        yield picture


def _open_unlimited(file: Path | BinaryIO, formats: tuple[str, ...]) -> PIL.Image.Image:
    """Open without Pillow's own limit, which cannot be raised for one call and which warns below it."""
    with _one_at_a_time:
        before, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        try:
            return PIL.Image.open(file, formats=formats or None)
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = before


@contextmanager
def translate_errors(name: object, error: type[InputError | SourceError] = InputError) -> Iterator[None]:
    """Turn whatever Pillow says while a picture is read into an `InputError`, or what else ``error`` names.

    Pillow's readers of damaged files raise nearly everything: SyntaxError, TypeError, ZeroDivisionError, struct.error.
    """
    try:
        yield
    except MaskferryError:
        raise
    except FileNotFoundError as err:
        raise error(f"no such picture: {name}") from err
    except PIL.UnidentifiedImageError as err:
        raise error(f"{name} is no picture that Pillow knows; expected PNG, TIFF, JPEG, ...") from err
    except Exception as err:
        why = str(err) or type(err).__name__
        raise error(f"{name} cannot be read as a picture ({why}): it is damaged, or of a kind unknown here") from err
