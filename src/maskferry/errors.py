"""Everything maskferry raises or warns of on purpose.

MaskferryError
├── InputError (ValueError)            the caller's masks, prompts, files or options are wrong
│   ├── NothingFoundError              a detector, or words, were to find what is tracked, and found nothing
│   └── DamagedTracksError             a tracks file is not what was written: bytes have changed, or are missing
├── SourceError (OSError)              frames cannot be opened or decoded
├── OutputExistsError (FileExistsError)  the output is there already, and overwriting was not asked for
├── OutputError (OSError)              results cannot be written: no room, no permission
├── RunningElsewhereError (BlockingIOError)   another process, or another run, writes to it now
├── OutdatedError (RuntimeError)       somebody else has edited what is to be changed since it was looked at
├── UnknownEngineError (LookupError)   no engine of this name
├── UnknownObjectError (LookupError)   no object of this id
├── PromptNotSupportedError (NotImplementedError)   this engine does not take this kind of prompt
├── MissingExtraError (ImportError)    an optional dependency is not installed
└── EngineError (RuntimeError)         a tracking backend failed

MaskferryWarning (UserWarning)
├── MaskResizedWarning                 a mask did not have the size of the video
├── LeftOutWarning                     something of a file is not taken; the message counts it
├── UnconfirmedWarning                 a detector's finds were all left out: no later one confirmed them
├── MaskPlacementWarning               which frame, or which object, the masks of a file are of is not sure
└── DamagedSourceWarning               the video ends early or is corrupt; what came before it is kept
"""

from __future__ import annotations

__all__ = [
    "DamagedSourceWarning",
    "DamagedTracksError",
    "EngineError",
    "InputError",
    "LeftOutWarning",
    "MaskPlacementWarning",
    "MaskResizedWarning",
    "MaskferryError",
    "MaskferryWarning",
    "MissingExtraError",
    "NothingFoundError",
    "OutdatedError",
    "OutputError",
    "OutputExistsError",
    "PromptNotSupportedError",
    "RunningElsewhereError",
    "SourceError",
    "UnconfirmedWarning",
    "UnknownEngineError",
    "UnknownObjectError",
]


class MaskferryError(Exception):
    """Base of every error that maskferry raises on purpose."""


class InputError(MaskferryError, ValueError):
    """The caller's masks, prompts, files or options are wrong. Nothing was done."""


class NothingFoundError(InputError):
    """A detector, or words, were to find what is tracked, and found nothing on any frame that was looked at."""


class DamagedTracksError(InputError):
    """A tracks file is not what was written: bytes have changed, or are missing.

    ``maskferry check`` says what can be saved, and saves it.
    """


class SourceError(MaskferryError, OSError):
    """Frames cannot be opened or decoded.

    Attributes:
        frame: index of the first frame that is unavailable; None where the whole source cannot be opened.
    """

    def __init__(self, message: str, *, frame: int | None = None) -> None:
        super().__init__(message)
        self.frame = frame


class OutputExistsError(MaskferryError, FileExistsError):
    """The output is there already, and overwriting was not asked for."""


class OutputError(MaskferryError, OSError):
    """Results cannot be written. What was written before is kept.

    Attributes:
        errno: the operating system's number of what is wrong, such as ``errno.ENOSPC``; None where it gave none.
    """

    def __init__(self, message: str, *, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class RunningElsewhereError(MaskferryError, BlockingIOError):
    """Another process, or another run of this one, writes to the same place. Nothing was changed.

    Attributes:
        host: the machine on which that process runs; None where it is not known.
        pid: its number there; None where it is not known.
        what: what it does there, for people; None where it is not known.
    """

    def __init__(
        self, message: str, *, host: str | None = None, pid: int | None = None, what: str | None = None
    ) -> None:
        super().__init__(message)
        self.host, self.pid, self.what = host, pid, what


class OutdatedError(MaskferryError, RuntimeError):
    """Somebody else has edited what is to be changed since it was looked at. Nothing was changed.

    Attributes:
        revision: of the tracks as they are now.
        objects: ids of what others have changed.
    """

    def __init__(self, message: str, *, revision: int = 0, objects: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.revision, self.objects = revision, objects


class UnknownEngineError(MaskferryError, LookupError):
    """No engine of this name is registered."""


class UnknownObjectError(MaskferryError, LookupError):
    """No object of this id has been given."""


class PromptNotSupportedError(MaskferryError, NotImplementedError):
    """The engine does not take this kind of prompt."""


class MissingExtraError(MaskferryError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class EngineError(MaskferryError, RuntimeError):
    """A tracking backend failed. Frames that were finished are kept."""


class MaskferryWarning(UserWarning):
    """Base of every warning that maskferry gives."""


class MaskResizedWarning(MaskferryWarning):
    """A mask did not have the size of the video and was resized, nearest neighbour."""


class LeftOutWarning(MaskferryWarning):
    """Something of a file of masks is not taken; the message says what, how many, and where the first one is."""


class UnconfirmedWarning(MaskferryWarning):
    """All that a detector found was left out, because no later run of it found that again: no object is left."""


class MaskPlacementWarning(MaskferryWarning):
    """Masks are put on a frame that their file does not name, or on another than it names, or it does not say which of
    them are one object, or what belongs to it; the message says how they are read, and how to say it."""


class DamagedSourceWarning(MaskferryWarning):
    """The source ended early or cannot be decoded further; every frame before that is kept."""
