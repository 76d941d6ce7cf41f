"""What a caller gives, checked in one place: numbers, rates, and foreign objects, which may raise anything; and values
shown in messages. Standard library only."""

from __future__ import annotations

import math
import operator
import re
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from numbers import Integral
from typing import Any

from maskferry.errors import InputError, MaskferryError

__all__ = ["foreign", "frames_per_second", "real", "show", "whole"]

_short = reprlib.Repr()
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = _short.maxarray = 6
_short.maxstring = _short.maxother = _short.maxlong = 60
_short.maxlevel = 3

_LONGEST = 120


def show(value: object) -> str:
    """A value in a message: in short, on one line, and whatever it is: even one that cannot be shown."""
    try:
        text = " ".join(_short.repr(value).split())
    except Exception:  # its own __repr__ failed, or it is a number of thousands of digits
        return f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def whole(value: Any, what: str, *, least: int | None = None, most: int | None = None) -> int:  # noqa: ANN401
    """Read a whole number: an int, or one of numpy; no bool, no text and no float.

    Args:
        value: what the caller gave.
        what: how errors call it.
        least: the smallest that is allowed.
        most: the largest that is allowed.

    Raises:
        InputError: it is none, or outside of the range.
    """
    try:
        if isinstance(value, bool):
            raise TypeError("a bool is no number")
        number = operator.index(value)
    except Exception as err:  # a foreign object's __index__ may raise anything
        raise _wrong(value, what, "whole number", least, most) from err
    if _is_outside(number, least, most):
        raise _wrong(value, what, "whole number", least, most)
    return number


def real(value: Any, what: str, *, least: float | None = None, most: float | None = None) -> float:  # noqa: ANN401
    """Read a finite number of any type that has a ``float()``; no bool, no text, no array but one of no dimension.

    Args:
        value: what the caller gave.
        what: how errors call it.
        least: the smallest that is allowed.
        most: the largest that is allowed.

    Raises:
        InputError: it is none, not finite, or outside of the range.
    """
    try:
        if isinstance(value, bool | str | bytes | bytearray) or getattr(value, "ndim", None):
            raise TypeError("no number")
        number = float(value)
    except Exception as err:  # a foreign object's __float__ may raise anything
        raise _wrong(value, what, "number", least, most) from err
    if not math.isfinite(number) or _is_outside(number, least, most):
        raise _wrong(value, what, "number", least, most)
    return number


def frames_per_second(value: Any, what: str) -> Fraction:  # noqa: ANN401
    """Read a rate as an exact number: 25, 29.97, "30000/1001".

    Raises:
        InputError: it is no number, or one at which no video runs: not above a billionth and below a billion.
    """
    try:
        if isinstance(value, bool) or (isinstance(value, str) and not _RATE.fullmatch(value)):
            raise TypeError("no rate")
        rate = Fraction(int(value) if isinstance(value, Integral) else value)  # numpy's would overflow in a Fraction
    except Exception as err:  # of foreign numbers, whatever they do
        raise InputError(
            f"{what}: expected a rate, frames per second such as 25, 29.97 or '30000/1001', got {show(value)}"
        ) from err
    if not rate > 0:
        raise InputError(f"{what}: expected a rate above 0, more than 0 frames per second, got {show(value)}")
    if not _SLOWEST <= rate <= 1 / _SLOWEST:
        raise InputError(f"{what}: expected a billionth to a billion frames per second, got {show(value)}")
    return rate


_RATE = re.compile(r"\s*[-+]?[0-9_.]{1,40}(/[0-9_]{1,40}|e[-+]?[0-9]{1,2})?\s*", re.IGNORECASE)
"""Of a text; a fraction made of "1e999999999" would never be finished."""

_SLOWEST = Fraction(1, 10**9)


@contextmanager
def foreign(what: str) -> Iterator[None]:
    """Turn whatever a caller's object raises while it is read into an `InputError`; also a decorator.

    Args:
        what: how errors call it: the argument, or the function that was called.
    """
    try:
        yield
    except MaskferryError:
        raise
    except Exception as err:
        why = " ".join(str(err).split())[:_LONGEST] or "it fails"
        raise InputError(f"{what}: cannot be read: {type(err).__name__}: {why}") from err


def _is_outside(number: float, least: float | None, most: float | None) -> bool:
    return (least is not None and number < least) or (most is not None and number > most)


def _wrong(value: object, what: str, kind: str, least: float | None, most: float | None) -> InputError:
    return InputError(f"{what}: expected a {kind}{_range(least, most)}, got {show(value)}")


def _range(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None:
        return f" from {least}"
    return "" if most is None else f" up to {most}"
