"""Files of masks as a command names them (``--masks FRAME=PATH``), read into one set of prompts."""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

from maskferry.data import MaskPrompt, Source
from maskferry.errors import InputError, MaskPlacementWarning
from maskferry.formats._given_masks import Seeds, read_seeds
from maskferry.formats._reading import Target
from maskferry.images import PICTURE_SUFFIXES

__all__ = ["GivenFiles", "mask_path", "target_of", "with_known_ids"]


def mask_path(argument: str, frame: int | str | None = None) -> tuple[int | str | None, Path]:
    """Take ``40=fix.png`` or ``2020-01-21=lakes.gpkg`` apart: (frame or date, path).

    A file that is really called so is taken as it is.

    Raises:
        InputError: there is no such file or folder.
    """
    path = Path(argument)
    numbered = re.fullmatch(r"(\d+|\d{4}-\d\d-\d\d(?:[T ][0-9:.+Z-]+)?)=(.+)", argument)
    if numbered is not None and not path.exists():
        frame, path = int(numbered[1]) if numbered[1].isdecimal() else numbered[1], Path(numbered[2])
    if not path.exists():
        raise InputError(
            f"--masks: {path} does not exist: expected a picture, a folder of pictures, or a .json, .xml, .txt, "
            ".zip, .npy, .npz, .gpkg, .geojson, .shp or .fgb file"
        )
    return frame, path


@dataclass(frozen=True, slots=True)
class GivenFiles:
    """The files of masks of a command.

    Attributes:
        arguments: each a path, ``FRAME=PATH`` or ``DATE=PATH``.
        frame: the frame, or its date, of those that say none; None where the command says none either.
        strict: refuse files of which something would be left out.
        first_frame: what files of MOTS call the video's first frame; None where they tell it.
        id_field: of polygons, the column of ids.
        label_field: of polygons, the column of names.
    """

    arguments: tuple[str, ...]
    frame: int | str | None = None
    strict: bool = False
    first_frame: int | None = None
    id_field: str | None = None
    label_field: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, without their frames.

        Raises:
            InputError: one of them does not exist.
        """
        return tuple(mask_path(argument)[1] for argument in self.arguments)

    def read(self, target: Target | None = None) -> Seeds:
        """Read all of them.

        Args:
            target: the video that they are for, see `target_of`.

        Returns:
            The prompts by frame, then by object id; masks have the size of their file. Objects of files that give names
            and no ids are those of an earlier file that have the same name.

        Raises:
            InputError: a file holds no masks, or two of them hold a mask of one object on one frame, or name it
                otherwise.
        """
        found: dict[tuple[int, int], tuple[MaskPrompt, Path]] = {}
        labels: dict[int, str] = {}
        kinds: list[str] = []
        left_out: list[str] = []
        notes: list[str] = []
        for argument in self.arguments:
            index, path = mask_path(argument, self.frame)
            seeds = read_seeds(
                path,
                frame=_index_of(index, target),
                target=target,
                strict=self.strict,
                first_frame=self.first_frame,
                id_field=self.id_field,
                label_field=self.label_field,
            )
            seeds = with_known_ids(seeds, labels, {object_id for _, object_id in found}, str(path))
            _add_prompts(found, seeds, path)
            _add_labels(labels, seeds, path)
            kinds += seeds.kinds
            left_out += seeds.left_out
            notes += seeds.notes
        prompts = [found[key][0] for key in sorted(found)]
        return Seeds(prompts, labels, tuple(dict.fromkeys(kinds)), tuple(left_out), tuple(notes))


def _index_of(frame: int | str | None, target: Target | None) -> int | None:
    """A frame's number, also where the command says its date."""
    if not isinstance(frame, str) or frame.isdecimal():
        return None if frame is None else int(frame)
    if target is None or target.video is None:
        raise InputError(f"{frame}=...: a date needs the series that it is of (the VIDEO, --video)")
    return target.video.check_frame(frame)


def _add_prompts(found: dict[tuple[int, int], tuple[MaskPrompt, Path]], seeds: Seeds, path: Path) -> None:
    for prompt in seeds.prompts:
        key = (prompt.frame, prompt.object_id)
        if key in found:
            raise InputError(
                f"object {prompt.object_id} has two masks on frame {prompt.frame}, in {found[key][1]} and {path}: "
                "put different objects into one label map, or into one folder with a picture for each"
            )
        found[key] = prompt, path


def _add_labels(labels: dict[int, str], seeds: Seeds, path: Path) -> None:
    for object_id, label in seeds.labels.items():
        if labels.setdefault(object_id, label) != label:
            raise InputError(f"{path} calls object {object_id} {label!r}, an earlier file {labels[object_id]!r}")


def with_known_ids(seeds: Seeds, known: Mapping[int, str], used: Collection[int], where: str) -> Seeds:
    """Masks whose ids are only counted, with the ids that the objects of their names have already.

    Args:
        seeds: what a file holds; where it tells the ids, it is given back as it is.
        known: {object id: name} of what was given before.
        used: the ids of all that was given before.
        where: how errors call the file.

    Raises:
        InputError: an object has the number of one that has no name: it may be that one, or another one.

    Warns:
        MaskPlacementWarning: a name is that of several objects, which are told apart by their order alone.
    """
    if not seeds.counted or not used:
        return seeds
    often = Counter(known.values())
    id_of = {name: object_id for object_id, name in known.items() if often[name] == 1}
    several = {name for name, n in Counter(seeds.labels.values()).items() if n > 1} | (often.keys() - id_of.keys())
    ids = {i: id_of[name] for i, name in seeds.labels.items() if name not in several and name in id_of}
    taken = set(ids.values())
    for i in sorted({prompt.object_id for prompt in seeds.prompts} - ids.keys()):
        name = seeds.labels.get(i)
        if name is not None and i in used and i not in known:
            raise InputError(
                f"{where}: {name!r} may be object {i}, which has no name, or another one: put its id at the end of the "
                f"name ({name}_{i})"
            )
        is_free = i not in taken if name is None or name == known.get(i) else i not in taken.union(used)
        ids[i] = i if is_free else next(k for k in itertools.count(1) if k not in taken.union(used))
        taken.add(ids[i])
    told_apart = sorted(several & {seeds.labels[i] for i in ids if ids[i] in used and i in seeds.labels})
    if told_apart:
        warnings.warn(
            MaskPlacementWarning(
                f"{where}: several objects are called {', '.join(map(repr, told_apart))}, and the file has no ids: "
                "the first is taken for the first of the files before, and so on; if that is wrong, give ids (groups "
                "in LabelMe, track_id in COCO)"
            ),
            stacklevel=3,
        )
    prompts = [MaskPrompt(p.frame, ids[p.object_id], p.mask) for p in seeds.prompts]
    return replace(seeds, prompts=prompts, labels={ids[i]: name for i, name in seeds.labels.items()})


def target_of(source: Source) -> Target:
    """What a reader of masks needs to know of the video that they are for."""
    return Target(source.info.size_hw, source.info.frame_count, _frame_named(source), source.info)


def _frame_named(source: Source) -> Callable[[str], int | None]:
    """Gives the frame whose picture has a name, or a name that ends with a number of four digits or more; the names are
    read when the first one is asked for."""

    @cache
    def indices() -> dict[str, int]:
        count = source.info.frame_count
        if not source.seekable or count is None:
            return {}
        stems = [_stem(source.frame_info(i).name) for i in range(count)]
        often = Counter(stems)
        return {stem: i for i, stem in enumerate(stems) if stem is not None and often[stem] == 1}

    @cache
    def by_number() -> dict[int, int]:
        ends = [(re.search(r"[0-9]+$", stem), i) for stem, i in indices().items()]
        numbers = [(int(end[0]), i) for end, i in ends if end is not None]
        often = Counter(number for number, _ in numbers)
        return {number: i for number, i in numbers if often[number] == 1}

    def frame_named(name: str) -> int | None:
        stem = _stem(name) or PurePosixPath(name.replace("\\", "/")).name
        if stem not in indices() and re.fullmatch(r"[0-9]{4,15}", stem):
            return by_number().get(int(stem))
        return indices().get(stem)

    return frame_named


def _stem(name: str) -> str | None:
    """A picture's name without folders and suffix; None where it is no picture's name."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in PICTURE_SUFFIXES else None
