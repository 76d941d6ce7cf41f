"""What requests say, checked: numbers, names, masks and bodies, each refused with what was expected and what came."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from starlette.requests import Request

from maskferry.child_processes import Message
from maskferry.data import VideoInfo
from maskferry.errors import InputError
from maskferry.rle import Rle
from maskferry.web._answers import ApiError

__all__ = ["LARGEST_ID", "Body", "base_revision", "id_list", "number_of", "path_number", "query_number"]

LARGEST_ID = (1 << 31) - 1
LARGEST = (1 << 53) - 1


class Body:
    """The JSON object that a request brought."""

    def __init__(self, value: Message, video: VideoInfo) -> None:
        """Take one that was read, see `read`."""
        self._value, self._video = value, video

    @classmethod
    async def read(cls, request: Request, video: VideoInfo, known: Collection[str]) -> Body:
        """Read a request's body; nothing at all is an empty object.

        Args:
            request: whose.
            video: of the tracks.
            known: the names that it may have.

        Raises:
            ApiError: it is no JSON.
            InputError: it is no object, or has other names.
        """
        text = await request.body()
        try:
            value = json.loads(text) if text else {}
        except (ValueError, RecursionError) as err:
            raise ApiError(400, "InputError", f"the request's body is no JSON: {err}") from err
        if not isinstance(value, dict):
            raise InputError(f"expected a JSON object, got {type(value).__name__}")
        unknown = sorted(value.keys() - set(known))
        if unknown:
            raise InputError(f"expected {', '.join(sorted(known)) or 'an empty object'}, got {unknown[0][:50]!r} too")
        return cls(value, video)

    def __contains__(self, name: str) -> bool:
        return self._value.get(name) is not None

    def frame(self, name: str = "frame") -> int:
        """A frame of the video."""
        return self._video.check_frame(number_of(self._value.get(name), name))

    def end(self, name: str = "stop") -> int:
        """A frame to end before."""
        return self._video.check_frame(number_of(self._value.get(name), name) - 1) + 1

    def number(self, name: str, least: int = 0) -> int:
        """A whole number."""
        return number_of(self._value.get(name), name, least)

    def object_id(self, name: str) -> int:
        """An object's id."""
        return number_of(self._value.get(name), name, 1, LARGEST_ID)

    def text(self, name: str, longest: int = 200) -> str:
        """A text, not empty."""
        found = self._value.get(name)
        if not isinstance(found, str) or not found or len(found) > longest:
            raise InputError(f"{name}: expected a text of 1 to {longest} characters, got {_short(found)}")
        try:
            found.encode()
        except UnicodeEncodeError as err:
            raise InputError(f"{name}: expected a text, got half of a character: {err}") from err
        return found

    def truth(self, name: str) -> bool:
        """True or false; false where it is missing."""
        found = self._value.get(name, False)
        if not isinstance(found, bool):
            raise InputError(f"{name}: expected true or false, got {_short(found)}")
        return found

    def choice(self, name: str, choices: Collection[str]) -> str:
        """One of some texts."""
        found = self._value.get(name)
        if not isinstance(found, str) or found not in choices:
            raise InputError(f"{name}: expected one of {', '.join(choices)}, got {_short(found)}")
        return found

    def frames(self, name: str) -> list[int]:
        """Frames of the video; none where it is missing."""
        found = self._list(name)
        return [self._video.check_frame(number_of(value, name)) for value in found]

    def pairs(self, name: str) -> list[tuple[int, int]]:
        """(object id, frame) of each."""
        found = self._list(name)
        pairs = [value for value in found if isinstance(value, list) and len(value) == 2]
        if len(pairs) != len(found):
            raise InputError(f"{name}: expected a list of [object id, frame]")
        return [
            (number_of(i, name, 1, LARGEST_ID), self._video.check_frame(number_of(frame, name))) for i, frame in pairs
        ]

    def points(self) -> Message:
        """Points with their labels."""
        points, labels = self._list("points"), self._list("labels")
        return {"points": [_floats(p, "points", 2) for p in points], "labels": [number_of(n, "labels") for n in labels]}

    def box(self) -> list[float]:
        """A box, xyxy."""
        return _floats(self._value.get("box"), "box", 4)

    def mask(self, name: str = "mask") -> Message:
        """A mask of the video's size, as COCO's compressed string. Its size is looked at first."""
        value = self._value.get(name)
        if not isinstance(value, dict):
            raise InputError(f'{name}: expected an RLE {{"size": [h, w], "counts": "..."}}, got {_short(value)}')
        expected = list(self._video.size_hw)
        if value.get("size") != expected:
            raise InputError(f"{name}: expected the video's size {expected}, [h, w], got {_short(value.get('size'))}")
        rle = Rle.from_coco(value)
        return {"size": expected, "counts": rle.counts.decode()}

    def mapping(self, name: str) -> Message:
        """An object of texts and numbers; an empty one where it is missing."""
        found = self._value.get(name, {})
        if not isinstance(found, dict):
            raise InputError(f"{name}: expected an object, got {_short(found)}")
        return found

    def _list(self, name: str, longest: int = 10_000) -> list[Any]:
        found = self._value.get(name, [])
        if not isinstance(found, list) or len(found) > longest:
            raise InputError(f"{name}: expected a list of at most {longest}, got {_short(found)}")
        return found


def number_of(value: object, name: str, least: int = 0, most: int = LARGEST) -> int:
    """A whole number in a range."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{name}: expected a whole number from {least}, got {_short(value)}")
    return value


def _floats(value: object, name: str, count: int) -> list[float]:
    is_list = isinstance(value, list) and len(value) == count
    if not is_list or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):  # type: ignore[attr-defined]
        raise InputError(f"{name}: expected {count} numbers, got {_short(value)}")
    return [float(v) for v in value]  # type: ignore[attr-defined]


def _digits(text: str, name: str, least: int, most: int) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= 16
    return number_of(int(text) if is_number else text, name, least, most)


def path_number(request: Request, name: str, least: int = 0, most: int = LARGEST) -> int:
    """A whole number that stands in the path."""
    return _digits(request.path_params[name], name, least, most)


def query_number(request: Request, name: str, default: int | None = None) -> int:
    """A whole number behind the question mark."""
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    return _digits(text or "", name, 0, LARGEST)


def id_list(request: Request, name: str = "objects") -> list[int] | None:
    """Ids, separated by commas; None where nothing is said."""
    text = request.query_params.get(name)
    if text is None:
        return None
    return [_digits(part, name, 1, LARGEST_ID) for part in text.split(",") if part]


def base_revision(request: Request) -> int:
    """The revision that the user looked at.

    Raises:
        ApiError: it is missing, or no number.
    """
    text = request.headers.get("if-match", "").strip().strip('"')
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise ApiError(
            428, "RevisionError", "If-Match: expected the revision that was looked at", "send If-Match: <revision>"
        )
    return int(text)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
