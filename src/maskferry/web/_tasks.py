"""What is done in a process of its own: reviews, reading files of masks, writing results."""

from __future__ import annotations

import shutil
import sqlite3
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from maskferry.child_processes import Message
from maskferry.data import MaskPrompt, Source
from maskferry.engines.registry import load_engine
from maskferry.errors import MaskferryWarning
from maskferry.formats import read_seeds
from maskferry.formats.registry import format_spec
from maskferry.masks import as_mask
from maskferry.outputs import RENDERINGS, WatchedTracks, export, save_label_maps
from maskferry.prompts import target_of, with_known_ids
from maskferry.rendering import render, render_sheet
from maskferry.rle import Rle
from maskferry.tracks import Tracks
from maskferry.tracks.review import load_summaries
from maskferry.way_back import check_way_back
from maskferry.web._review import judge
from maskferry.web._video import open_video

__all__ = ["TASKS"]

Tell = Callable[[Message], None]

TELL_EVERY = 0.2
"""Seconds between two messages of how far a task is."""


def _review(tell: Tell, *, tracks: str, video: str | None, has_video: bool, whole: bool) -> Message:
    """Judge tracks; of those that were judged before, what has changed since."""
    with Tracks.open(tracks) as found:
        kept = None if whole else load_summaries(found)
        revision = found.revision
        if not has_video:
            summaries = judge(found, None, kept)
        else:
            with open_video(found, video) as source:
                summaries = judge(found, source, kept)
        return {"revision": revision, "summaries": [summary.to_dict() for summary in summaries]}


def _check(tell: Tell, *, tracks: str, video: str | None, engine: str, options: Message) -> Message:
    """Track every object back, and keep where the masks of both ways agree."""
    with (
        Tracks.open(tracks) as found,
        open_video(found, video) as source,
        closing(load_engine(engine, **options)) as own,
    ):
        agreements = check_way_back(found, source, own, callback=_teller(tell))
    return {"objects": len(agreements)}


def _read_masks(tell: Tell, *, tracks: str, video: str | None, path: str, frame: int | None) -> Message:
    """Read a file of masks: what is in it, as prompts of the video's size."""
    with Tracks.open(tracks) as found, open_video(found, video) as source, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", MaskferryWarning)
        seeds = read_seeds(Path(path), frame=frame, target=target_of(source))
        seeds = with_known_ids(seeds, found.labels, found.object_ids, "the file")
        given: dict[int, dict[str, Any]] = {}
        for prompt in seeds.prompts:
            given.setdefault(prompt.frame, {})[str(prompt.object_id)] = _coco(prompt, found.video.size_hw)
        notes = [str(one.message) for one in said if issubclass(one.category, MaskferryWarning)]
    return {
        "kinds": list(seeds.kinds),
        "labels": {str(i): name for i, name in seeds.labels.items()},
        "frames": [{"frame": frame, "masks": masks} for frame, masks in sorted(given.items())],
        "left_out": list(seeds.left_out),
        "notes": list(dict.fromkeys([*seeds.notes, *notes])),
    }


def _coco(prompt: MaskPrompt, size_hw: tuple[int, int]) -> Message:
    return Rle.encode(as_mask(prompt.mask, size_hw, what=f"the mask of object {prompt.object_id}")).to_coco()


def _export(tell: Tell, *, tracks: str, video: str | None, kind: str, options: Message, folder: str) -> Message:
    """Write results into an empty folder; a folder of files becomes a ZIP file."""
    place = Path(folder)
    if kind == "tracks":
        return {"path": str(_copy(Path(tracks), place / "tracks.sqlite"))}
    with Tracks.open(tracks) as found:
        watched = WatchedTracks(found, _teller(tell))
        if kind not in RENDERINGS and not format_spec(kind).needs_pictures:
            path = _write(watched, None, kind, options, place)
        else:
            with open_video(found, video) as source:
                path = _write(watched, source, kind, options, place)
    if path.is_dir():
        path = Path(shutil.make_archive(str(path), "zip", path.parent, path.name))
    return {"path": str(path)}


def _write(tracks: Tracks, source: Source | None, kind: str, options: Message, folder: Path) -> Path:
    name = RENDERINGS[kind] if kind in RENDERINGS else format_spec(kind).output
    path = folder / name
    if kind == "film":
        render(tracks, path, source, **options)
    elif kind == "sheet":
        render_sheet(tracks, path, source, **options)
    elif kind == "davis":
        save_label_maps(tracks, path, **options)
    else:
        export(tracks, path, kind, video=source, **options)
    return path


def _copy(path: Path, copy: Path) -> Path:
    """The tracks file as it is now, whoever writes to it."""
    place = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(place, uri=True)) as there, closing(sqlite3.connect(copy)) as here:
        there.backup(here)
        here.execute("PRAGMA journal_mode = DELETE")
    return copy


def _teller(tell: Tell) -> Callable[..., None]:
    """Says how far it is, now and then."""
    last = 0.0

    def update(done: int, total: int | None, label: str | None = None) -> None:
        nonlocal last
        if time.monotonic() - last > TELL_EVERY:
            last = time.monotonic()
            tell({"done": done, "total": total})

    return update


TASKS: dict[str, Callable[..., Message]] = {
    "review": _review,
    "check": _check,
    "read_masks": _read_masks,
    "export": _export,
}
