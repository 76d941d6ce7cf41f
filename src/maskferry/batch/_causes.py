"""Why an attempt failed, told by its error: the one rule of what is tried again."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence

from maskferry.batch._runner import Cause
from maskferry.batch._stores import is_remote
from maskferry.errors import InputError, MissingExtraError, PromptNotSupportedError, SourceError, UnknownEngineError

__all__ = ["cause_of"]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

OF_THE_NETWORK = ("aiohttp", "botocore", "aiobotocore", "gcsfs", "s3fs", "http", "urllib", "urllib3", "requests")
"""Packages whose errors are those of a network."""

TRANSIENT = re.compile(r"\b(429|5\d\d)\b|timed? ?out|reset by peer|refused|unreachable|temporar", re.IGNORECASE)
"""What messages of such errors say that may pass."""


def cause_of(err: BaseException, places: Sequence[str]) -> Cause:
    """Why an attempt failed.

    Args:
        err: what was raised.
        places: the video and its masks.
    """
    chain = list(_chain(err))
    if any(getattr(one, "errno", None) in FULL for one in chain):
        return "environment"
    if any(isinstance(one, MissingExtraError | UnknownEngineError) for one in chain):
        return "environment"
    if any(isinstance(one, MemoryError) for one in chain):
        return "killed"
    if any(map(is_remote, places)) and any(map(_is_of_the_network, chain)):
        return "network"
    if isinstance(err, InputError | SourceError | PromptNotSupportedError | FileNotFoundError):
        return "input"
    return "error"


def _chain(err: BaseException) -> Iterator[BaseException]:
    """An error and those that it came of."""
    seen: set[int] = set()
    one: BaseException | None = err
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _is_of_the_network(err: BaseException) -> bool:
    if isinstance(err, ConnectionError | TimeoutError):
        return True
    code = getattr(err, "code", None) or getattr(err, "status", None)
    if isinstance(code, int) and 400 <= code < 600:
        return code == 429 or code >= 500
    is_foreign = type(err).__module__.partition(".")[0] in OF_THE_NETWORK
    return (is_foreign or isinstance(err, SourceError | OSError)) and TRANSIENT.search(str(err)) is not None
