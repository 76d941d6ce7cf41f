"""Whether a run on the disk is the one that is asked for: the one rule for resuming."""

from __future__ import annotations

from maskferry.data import Stretch, VideoInfo
from maskferry.tracks import Tracks
from maskferry.tracks._journal import Journal
from maskferry.tracks._pending import last_run

__all__ = ["run_difference", "video_difference"]


def video_difference(there: Tracks, now: Tracks) -> str | None:
    """What sets the video of an earlier run apart from the one that is open; None where they agree.

    The name tells only where it is not known what the files hold.
    """
    old, new = there.video, now.video
    size = f"{old.width}x{old.height}"
    if other := _other_opening(old, new):
        return other
    if (old.size_hw, old.frame_count, old.rate) != (new.size_hw, new.frame_count, new.rate):
        return f"another video ({old.name}, {size}, {old.frame_count} frames) or another rate (--rate)"
    if old.stretch != new.stretch:
        return f"the same video with {_shown(old.stretch)} (pass that to resume it), not with {_shown(new.stretch)}"
    if there.video_digest and now.video_digest:
        if there.video_digest != now.video_digest:
            return f"another video: {old.name} has been changed or replaced since"
    elif old.name != new.name:
        return f"another video ({old.name}, {size}, {old.frame_count} frames)"
    return None


def _other_opening(old: VideoInfo, new: VideoInfo) -> str | None:
    """How a series was opened in another way, in the words of the options; None where it was not, or is none."""
    if old.recipe is None or new.recipe is None:
        return None
    parts = {
        "--dates": (old.recipe.dates, new.recipe.dates),
        "--bands": (old.recipe.bands, new.recipe.bands),
        "--stretch": (old.recipe.stretch, new.recipe.stretch),
        "--nodata": (repr(old.recipe.nodata), repr(new.recipe.nodata)),
        "--resampling": (old.recipe.resampling, new.recipe.resampling),
        "--grid, --bounds, --resolution": (old.grid, new.grid),
    }
    names = [name for name, (before, now) in parts.items() if before != now]
    return f"this series, or another one, opened otherwise ({', '.join(names)})" if names else None


def _shown(stretch: Stretch | None) -> str:
    """How deep samples were shown, as the option says it."""
    return "stretch none" if stretch is None else f"stretch {','.join(f'{value:.17g}' for value in stretch)}"


def run_difference(there: Journal, wanted: Journal) -> str | None:
    """What sets an earlier run apart from the one that is asked for; None where it can be resumed.

    Args:
        there: the run on the disk, with its jobs.
        wanted: a run with the prompts and the jobs that are asked for, in memory.
    """
    other = video_difference(there.tracks, wanted.tracks)
    if other is not None:
        return other
    engines, other_engines = ({stored.engine for stored in journal.jobs.all()} for journal in (there, wanted))
    if engines and other_engines and engines != other_engines:
        return f"another engine ({', '.join(sorted(engines))})"
    if there.prompts.requests() != wanted.prompts.requests():
        return "other masks"
    if there.looked_for != wanted.looked_for:
        return "other words (--text), or of words that another engine, or other options, looked for"
    if there.jobs.all() and last_run(there.notes, there.tracks.video) != last_run(wanted.notes, wanted.tracks.video):
        return "another direction or other frames"
    return None
