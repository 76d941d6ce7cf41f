"""Changing tracks by hand after the fact; every change can be undone and done again, across processes.

`rename`, `remove`, `merge`, `split` and `swap` change names and ids, never pixels, and cause no work: what was tracked
counts as tracked, what was not is tracked later. `pin` makes a tracked mask a prompt, which ends what a correction on
one side of it recomputes. `absent` says that an object is not there. `give` gives an object a mask, as
`MaskTracker.add_mask_prompt` does; `remove_prompt` takes one back. `based_on` refuses edits of what others have
changed.

`undo` and `redo` exchange rows and compute nothing; what was tracked after a correction goes with it. The last
`KEPT_EDITS` edits can be undone. What is given before the first run begins is the run's own: it is not undone after
that.
"""

from __future__ import annotations

from maskferry.tracks._based_on import based_on
from maskferry.tracks._edit_store import KEPT_EDITS
from maskferry.tracks._id_edits import merge, remove, rename, split, swap
from maskferry.tracks._journal import Journal
from maskferry.tracks._preview import Preview, PreviewSpan, preview
from maskferry.tracks._prompt_edits import absent, give, give_all, pin, remove_prompt, unpin
from maskferry.tracks._prompted import LastRun, ObjectPrompts, last_run, prompts
from maskferry.tracks._tracks import Tracks

__all__ = [
    "KEPT_EDITS",
    "LastRun",
    "ObjectPrompts",
    "Preview",
    "PreviewSpan",
    "absent",
    "based_on",
    "give",
    "give_all",
    "history",
    "last_run",
    "merge",
    "next_id",
    "next_redo",
    "pin",
    "preview",
    "prompts",
    "redo",
    "remove",
    "remove_prompt",
    "rename",
    "split",
    "swap",
    "undo",
    "unpin",
]


def history(tracks: Tracks) -> list[str]:
    """The edits that can be undone, for people, the oldest first."""
    return [edit.what for edit in Journal(tracks).edits.all()]


def next_id(tracks: Tracks) -> int:
    """The id that a new object would get."""
    return Journal(tracks).prompts.ids(None, 1)[0]


def next_redo(tracks: Tracks) -> str | None:
    """What `redo` would do again, for people; None where there is nothing."""
    edit = Journal(tracks).edits.next()
    return None if edit is None else edit.what


def undo(tracks: Tracks) -> str | None:
    """Take the last edit back: every row that it has changed is as it was before, to the byte.

    Masks that were tracked or given for its objects since then go with it; `redo` brings them back.

    Returns:
        What was undone, for people; None where there is nothing to undo.
    """
    return Journal(tracks).undo()


def redo(tracks: Tracks) -> str | None:
    """Do again what was undone last. A new edit, and a run that has something to do, end what can be done again.

    Returns:
        What was done again, for people; None where there is nothing.
    """
    return Journal(tracks).redo()
