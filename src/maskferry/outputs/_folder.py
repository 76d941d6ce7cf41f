"""What a run leaves in its output folder, and writing that: whole files and whole folders, or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from maskferry._apart import check_apart, is_same_place
from maskferry._locks import lock_path
from maskferry._own_files import OwnKind, own_kind
from maskferry._replacing import check_own, foreign_files, own_files, remove_own_files
from maskferry.data import FrameTracks, Source, VideoInfo
from maskferry.drawing import check_font
from maskferry.errors import InputError, OutputExistsError
from maskferry.files import check_free, put_in_order, translate_os_errors
from maskferry.formats._frame_table import sidecar
from maskferry.formats.registry import format_spec, load_recognizer
from maskferry.masks import Overlap
from maskferry.outputs._export import check_map, export, save_label_maps
from maskferry.outputs._kinds import RENDERINGS, known_kinds
from maskferry.outputs._watch import Silent, Update, Watch
from maskferry.rendering import Palette, render, render_sheet
from maskferry.tracks import Tracks

__all__ = ["Outputs", "WatchedTracks", "open_tracks"]

TRACKS = "tracks.sqlite"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The output folder of a run.

    Attributes:
        folder: made where it is missing.
        kinds: what to write, of `known_kinds`.
        overlap: see `masks.labels.Overlap`; for label maps.
        audio: put the video's sound under the film.
        zoom: enlarge the film this many times.
        palette: colours of the objects in what is drawn, see `rendering.color_of`.
    """

    folder: Path
    kinds: tuple[str, ...]
    overlap: Overlap = "smallest"
    audio: bool = False
    zoom: int = 1
    palette: Palette = "default"

    @property
    def tracks(self) -> Path:
        """The tracks file."""
        return self.folder / TRACKS

    def path(self, kind: str) -> Path:
        """Where one kind of output goes."""
        return self.folder / known_kinds()[kind]

    def _paths(self, kind: str) -> list[Path]:
        """Everything that one kind of output consists of."""
        path = self.path(kind)
        has_table = kind not in RENDERINGS and format_spec(kind).has_frame_table
        return [path, sidecar(path)] if has_table else [path]

    def missing(self) -> list[str]:
        """The kinds that are not there yet."""
        return [kind for kind in self.kinds if not self.path(kind).exists()]

    def check_folder(self) -> None:
        """Refuse a folder that is none.

        Raises:
            OutputExistsError: it is a file.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputExistsError(f"{self.folder} is a file; expected a folder, or a name for a new one")

    def check_drawable(self) -> None:
        """Refuse a font that cannot be read, where something is to be drawn.

        Raises:
            InputError: the environment names it.
        """
        if RENDERINGS.keys() & set(self.kinds):
            check_font()

    def check_maps(self, video: VideoInfo) -> None:
        """Refuse maps of a video that lies on none.

        Raises:
            InputError: it is so.
        """
        for kind in self.kinds:
            if kind not in RENDERINGS:
                check_map(format_spec(kind), video)

    def check_free(self) -> None:
        """Refuse to write where something is.

        Raises:
            OutputExistsError: one of the outputs is there.
        """
        for kind in self.kinds:
            for path in self._paths(kind):
                check_free(path)

    def check_replaceable(self) -> None:
        """Refuse to replace what maskferry did not write, told by what is in it.

        Raises:
            OutputExistsError: it names the file.
        """
        if os.path.lexists(self.tracks) and own_kind(self.tracks) is not OwnKind.tracks:
            raise OutputExistsError(f"{self.tracks} is to be replaced, but it is no tracks file: move it away")
        for kind, path in self._replaced():
            is_folder = kind not in RENDERINGS and format_spec(kind).is_folder
            if path.is_dir() != is_folder:
                raise OutputExistsError(f"{path} is to be replaced, but it is not of maskferry: move it away")
            if not is_folder:
                check_own(path, _recognizer(kind))
            for file in foreign_files(path, own_files(path, _recognizer(kind))) if is_folder else ():
                raise OutputExistsError(f"{path} is to be replaced, but {file} is not of maskferry: move it away")

    def put_in_order(self) -> None:
        """Remove what killed processes have left beside outputs: locks and parts."""
        put_in_order(self.tracks)
        for kind in self.kinds:
            put_in_order(self.path(kind), is_folder=kind not in RENDERINGS and format_spec(kind).is_folder)

    def check_apart(self, *inputs: Path) -> None:
        """Refuse to write over what is read.

        Raises:
            InputError: an input lies where an output goes.
        """
        places = [self.tracks, lock_path(self.tracks), *(p for kind in known_kinds() for p in self._paths(kind))]
        for path in inputs:
            if is_same_place(path, self.folder):
                raise InputError(f"{path} cannot hold the results too: give another folder with -o")
            above = [path, *Path(os.path.realpath(path)).parents]
            for place in places:
                if any(is_same_place(folder, place) for folder in above):
                    raise InputError(f"{path} lies where the results would go, {place}: give another folder with -o")
                check_apart(place, [path])

    def clear(self) -> None:
        """Remove what an earlier run left, so that nothing of it is taken for the new one's.

        Raises:
            OutputExistsError: it is not of maskferry.
            OutputError: it cannot be removed.
        """
        self.check_replaceable()
        for kind, path in self._replaced():
            with translate_os_errors(path):
                if path.is_dir():
                    remove_own_files(path, _recognizer(kind))
                else:
                    path.unlink(missing_ok=True)

    def _replaced(self) -> list[tuple[str, Path]]:
        """Everything of an earlier run, by kind; where there was none, only what lies in the way."""
        kinds = known_kinds() if self.tracks.exists() else self.kinds
        return [(kind, path) for kind in kinds for path in self._paths(kind) if os.path.lexists(path)]

    def write(self, kind: str, tracks: Tracks, source: Source, watch: Watch | None = None) -> None:
        """Write one kind of output.

        Raises:
            OutputError: it cannot be written; nothing is left of it.
            SourceError: the film's frames cannot be decoded.
        """
        path = self.path(kind)
        with (watch or Silent()).bar(f"Writing {path.name}") as update:
            watched = WatchedTracks(tracks, update)
            if kind == "sheet":
                render_sheet(watched, path, source, palette=self.palette)
            elif kind == "film":
                render(watched, path, source, audio=self.audio, zoom=self.zoom, palette=self.palette)
            elif kind == "davis":  # the only one with an option
                save_label_maps(watched, path, overlap=self.overlap)
            else:  # what an earlier run left half done gives way
                export(watched, path, kind, video=source, overwrite=not path.exists())


class WatchedTracks(Tracks):
    """Tracks that say how far they have been read."""

    def __init__(self, tracks: Tracks, update: Update) -> None:
        super().__init__(tracks.database)
        self._update = update

    def frames(self, start: int = 0, stop: int | None = None, stride: int = 1) -> Iterator[FrameTracks]:
        """As `Tracks.frames`."""
        return self._watch(super().frames(start, stop, stride), -(-len(self) // stride))

    def _watch(self, frames: Iterator[FrameTracks], total: int) -> Iterator[FrameTracks]:
        for done, frame in enumerate(frames, 1):
            yield frame
            self._update(done, total)


def _recognizer(kind: str) -> Callable[[Path], bool] | None:
    return None if kind in RENDERINGS else load_recognizer(kind)


def open_tracks(path: Path) -> Tracks:
    """Open a tracks file, or the one in an output folder.

    Raises:
        InputError: there is none.
    """
    return Tracks.open(tracks_file(path))


def tracks_file(path: Path) -> Path:
    """The tracks file that is meant by an output folder, or by itself."""
    return path / TRACKS if path.is_dir() else path
