"""What a run leaves in its output folder, and writing that: whole files and whole folders, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from maskferry.data import FrameTracks, Source
from maskferry.errors import InputError, OutputExistsError
from maskferry.files import check_free, translate_os_errors
from maskferry.formats._frame_table import sidecar
from maskferry.formats.registry import format_spec, known_formats
from maskferry.masks import Overlap
from maskferry.outputs._export import export, save_label_maps
from maskferry.outputs._watch import Silent, Update, Watch
from maskferry.rendering import Palette, render, render_sheet
from maskferry.tracks import Tracks

__all__ = ["RENDERINGS", "Outputs", "WatchedTracks", "known_kinds", "open_tracks"]

TRACKS = "tracks.sqlite"
RENDERINGS = {"film": "overlay.mp4", "sheet": "sheet.png"}
"""{kind of output that is drawn: its name in the folder}"""

_CLUTTER = {".DS_Store", "Thumbs.db", "desktop.ini"}


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

    def check_free(self) -> None:
        """Refuse to write where something is.

        Raises:
            OutputExistsError: one of the outputs is there.
        """
        for kind in self.kinds:
            for path in self._paths(kind):
                check_free(path)

    def check_replaceable(self) -> None:
        """Refuse to replace folders that hold what maskferry did not write.

        Raises:
            OutputExistsError: it names the file.
        """
        for path in self._replaced():
            for file in path.rglob("*") if path.is_dir() else ():
                if file.is_file() and not _is_ours(file) and file.name not in _CLUTTER:
                    raise OutputExistsError(f"{path} is to be replaced, but {file} is not of maskferry: move it away")

    def check_apart(self, *inputs: Path) -> None:
        """Refuse to write over what is read.

        Raises:
            InputError: an input lies where an output goes.
        """
        places = [self.tracks.resolve(), *(p.resolve() for kind in known_kinds() for p in self._paths(kind))]
        for path in inputs:
            if path.resolve() == self.folder.resolve():
                raise InputError(f"{path} cannot hold the results too: give another folder with -o")
            for place in places:
                if path.resolve().is_relative_to(place):
                    raise InputError(f"{path} lies where the results would go, {place}: give another folder with -o")

    def clear(self) -> None:
        """Remove what an earlier run left, so that nothing of it is taken for the new one's."""
        for path in self._replaced():
            with translate_os_errors(path):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    def _replaced(self) -> list[Path]:
        """Everything of an earlier run; where there was none, only what lies in the way."""
        return [path for kind in (known_kinds() if self.tracks.exists() else self.kinds) for path in self._paths(kind)]

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
                _write_folder(path, lambda part: save_label_maps(watched, part, overlap=self.overlap))
            elif format_spec(kind).is_folder:
                _write_folder(path, lambda part: export(watched, part, kind, video=source))
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


def known_kinds() -> dict[str, str]:
    """{kind of output: its name in the folder}: every format, and what is drawn."""
    return {name: spec.output for name, spec in known_formats().items()} | RENDERINGS


def _is_ours(file: Path) -> bool:
    """Whether maskferry writes such a file into a folder."""
    if file.suffix == ".json":
        with translate_os_errors(file):
            return b'"maskferry"' in file.read_bytes()
    return file.suffix == ".png" and file.stem.isdecimal()


def open_tracks(path: Path) -> Tracks:
    """Open a tracks file, or the one in an output folder.

    Raises:
        InputError: there is none.
    """
    return Tracks.open(path / TRACKS if path.is_dir() else path)


def _write_folder(path: Path, write: Callable[[Path], object]) -> None:
    """Write into a folder beside ``path``, which gets its name when it is whole."""
    part = path.with_name(f".{path.name}.part")
    with translate_os_errors(path):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        write(part)
        if path.is_dir():  # an empty one
            path.rmdir()
        part.rename(path)
