"""The review page: see where tracks are wrong, paint the right mask, track only that again.

A server on this machine (`serve`), a page that a browser shows, and a process that does the work. Needs the extra
``web``.

    serving         the server, from Python
    app             its routes, put together
    gate            who may ask: hosts, the token, sizes, headers
    answers         answers and errors as JSON
    asked           what requests say, checked
    desk            what all routes share: the open tracks, the worker, the job
    showing         routes that read: the run, frames, masks, lanes, scores, events
    editing_routes  routes that change the tracks
    job_routes      routes of the job and of previews
    draft_routes    routes of drafts
    queue_routes    routes of the queue
    transfer_routes routes of imports and exports
    transfers       imports and exports
    events          news for the page, as a stream
    pages           the page's own files
    frames          frames as JPEG, decoded ahead
    jpegs           the frames that are kept
    drafts          masks that are being painted, kept beside the tracks
    runs            states and scores as runs
    lane_cache      states and scores of objects, kept while they hold
    queue           moments as rows, with what was said of them
    judging         the queue kept up to date
    video           the video of tracks, opened again
    worker          the process that edits and tracks
    worker_edits    the edits that it makes
    worker_client   the server's end of it
    task            the process of one task: a review, a file that is read or written
    tasks           what it does
    errands         the server's end of it
    review          summaries of what has changed
"""

from __future__ import annotations

from maskferry.web._serving import Server, serve, show

__all__ = ["Server", "serve", "show"]
