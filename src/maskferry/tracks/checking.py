"""Tracks files that may be damaged: what is wrong with them, what can be saved, and saving it.

What is read is not trusted, and what is looked at is not touched. A file that is sound costs a look at every row, and
about 30 bytes of memory a mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskferry.data import VideoInfo
from maskferry.errors import DamagedTracksError, OutputExistsError, RunningElsewhereError
from maskferry.tracks._checking_report import problems_of
from maskferry.tracks._database import Database
from maskferry.tracks._pending import Pending, pending_spans
from maskferry.tracks._salvage import Salvage
from maskferry.tracks._schema import FORMAT
from maskferry.tracks._survey import Survey
from maskferry.tracks._untrusted import Untrusted, open_untrusted

__all__ = ["Report", "check", "repair"]


@dataclass(frozen=True, slots=True)
class Report:
    """What a tracks file holds, and what is wrong with it.

    Attributes:
        path: the file.
        format: its format; 1 and 2 have no checksums.
        video: the video that was tracked; None where that is lost.
        frames: how many finished frames can be read.
        masks: how many masks can be saved.
        objects: ids of its objects, but for removed ones.
        revision: see `Tracks.revision`.
        pending: what is still to be tracked; of a damaged file, once it is repaired. See `Tracks.pending`.
        problems: what is damaged and what of it can be saved, one line each.
    """

    path: Path
    format: int
    video: VideoInfo | None
    frames: int
    masks: int
    objects: tuple[int, ...]
    revision: int
    pending: tuple[Pending, ...]
    problems: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """As values for JSON."""
        video = None if self.video is None else {**asdict(self.video), "rate": str(self.video.rate or "") or None}
        return {
            "path": str(self.path),
            "is_sound": self.is_sound,
            "format": self.format,
            "video": video,
            "frames": self.frames,
            "masks": self.masks,
            "objects": list(self.objects),
            "revision": self.revision,
            "pending": [list(part) for part in self.pending],
            "problems": list(self.problems),
        }


def check(path: str | Path) -> Report:
    """Look at every page and every row of a tracks file. Nothing is written, beside the file or into it.

    Args:
        path: the file; that of a run that was killed, or that goes on, may be looked at, too.

    Raises:
        InputError: it is no tracks file, or a newer maskferry wrote it.
        RunningElsewhereError: somebody wrote to it meanwhile.
    """
    with _opened(Path(path)) as (opened, survey):
        return _report(opened, survey, None)


def repair(path: str | Path, out: str | Path, *, video: VideoInfo | None = None) -> Report:
    """Write everything of a tracks file that is sound into a new one. The damaged one stays as it is.

    A mask that cannot be saved is left out, and counts as not tracked: the next run tracks it again. An edit that is
    damaged, or that touches an object of which something was lost, is left out with all older ones.

    Args:
        path: the file.
        out: the new one.
        video: the video that was tracked, for a file that does not say it any more.

    Returns:
        What was found in the file, as `check` does.

    Raises:
        InputError: it is no tracks file, or a newer maskferry wrote it.
        DamagedTracksError: it does not say of which video it is, and ``video`` is not given; or that is another one.
        OutputExistsError: there is something at ``out``.
        OutputError: it cannot be written.
        RunningElsewhereError: somebody wrote to one of the two meanwhile.
    """
    import os

    out = Path(out)
    if os.path.lexists(out):
        raise OutputExistsError(f"{out} exists already: give another path to save what is sound")
    with _opened(Path(path), video) as (opened, survey):
        if survey.video is None:
            raise DamagedTracksError(f"{path}: what it says of its video is lost: give the video, too (--video)")
        with closing(Database.create(out)) as new:
            report = _report(opened, survey, new)
            _check_unchanged(opened)
            new.save()
        return report


@contextmanager
def _opened(path: Path, video: VideoInfo | None = None) -> Iterator[tuple[Untrusted, Survey]]:
    opened = open_untrusted(path)
    with closing(opened):
        if opened.version < FORMAT:
            from maskferry.tracks._old_check import in_present_format

            opened = in_present_format(opened)
        with closing(opened):
            yield opened, Survey(opened, video)


def _report(opened: Untrusted, survey: Survey, new: Database | None) -> Report:
    """What was found; ``new`` takes what is sound."""
    salvage = None if survey.video is None else Salvage(survey)
    problems = problems_of(opened, survey, salvage)
    pending: list[Pending] = []
    if salvage is not None and survey.video is not None:
        with closing(Database.create()) as small:
            salvage.write(new or small, all_rows=new is not None)
            pending = pending_spans(new or small, survey.video)
    _check_unchanged(opened)
    revision = next((int(str(row[1])) for row in survey.rows["meta"] if row[0] == "revision"), 0)
    return Report(
        path=opened.path,
        format=opened.version,
        video=survey.video,
        frames=len(survey.frames),
        masks=len(survey.sound) + (len(salvage.restored) if salvage else 0),
        objects=tuple(i for i, row in sorted(survey.objects.items()) if not row[2]),
        revision=revision,
        pending=tuple(pending),
        problems=tuple(problems),
    )


def _check_unchanged(opened: Untrusted) -> None:
    if opened.has_changed:
        raise RunningElsewhereError(f"{opened.path} has been written to meanwhile: try again when that has ended")
