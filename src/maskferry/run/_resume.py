"""Whether a run on the disk is the one that is asked for: the one rule for resuming."""

from __future__ import annotations

from maskferry.data import VideoInfo
from maskferry.tracks._journal import Journal
from maskferry.tracks._prompt_store import same_prompt

__all__ = ["run_difference", "video_difference"]


def video_difference(there: VideoInfo, now: VideoInfo) -> str | None:
    """What sets the video of an earlier run apart from the one that is open; None where they agree."""
    if (there.name, there.size_hw, there.frame_count, there.rate) == (now.name, now.size_hw, now.frame_count, now.rate):
        return None
    size = f"{there.width}x{there.height}"
    return f"another video ({there.name}, {size}, {there.frame_count} frames) or another rate (--rate)"


def run_difference(there: Journal, wanted: Journal) -> str | None:
    """What sets an earlier run apart from the one that is asked for; None where it can be resumed.

    Args:
        there: the run on the disk, with its jobs.
        wanted: a run with the prompts and the jobs that are asked for, in memory.
    """
    other = video_difference(there.tracks.video, wanted.tracks.video)
    if other is not None:
        return other
    engines = {stored.engine for stored in there.jobs.all()}
    if engines != {stored.engine for stored in wanted.jobs.all()}:
        return f"another engine ({', '.join(sorted(engines))})"
    if not _same_prompts(there, wanted):
        return "other masks"
    if [stored.job for stored in there.jobs.all()] != [stored.job for stored in wanted.jobs.all()]:
        return "another direction or other frames"
    return None


def _same_prompts(there: Journal, wanted: Journal) -> bool:
    frames = wanted.prompts.prompt_frames()
    if frames != there.prompts.prompt_frames():
        return False
    keys = [(frame, object_id) for object_id, own in frames.items() for frame in own]
    return all(same_prompt(there.prompts.get(*key), wanted.prompts.get(*key)) for key in keys)
