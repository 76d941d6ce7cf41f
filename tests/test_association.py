"""Re-detection: known objects keep their ids, lost ones get theirs back, new ones get new ones, false ones go."""

from __future__ import annotations

import numpy as np
import pytest

from maskferry import MaskTracker, State, track
from maskferry.association import AssociationOptions
from maskferry.detections import Detections
from maskferry.engines.hold import HoldEngine, HoldSession
from maskferry.errors import InputError

COUNT, HEIGHT, WIDTH = 40, 60, 90
COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30)}


def block(x, y, size=10):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y : y + size, x : x + size] = True
    return mask


class World:
    """Coloured squares on paths of their own; knows what a perfect detector would say."""

    def __init__(self, paths, false=None):
        self.paths, self.false, self.calls = paths, false or {}, []

    def masks(self, index):
        found = {name: block(*path(index)) for name, path in self.paths.items() if path(index) is not None}
        return {name: mask for name, mask in found.items() if mask.any()}

    def video(self):
        frames = np.full((COUNT, HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
        for index, image in enumerate(frames):
            for name, mask in self.masks(index).items():
                image[mask] = COLORS[name.split()[0]]
            image[0, :8] = 0
            image[0, :8, 0] = [255 * (index >> bit & 1) for bit in range(8)]
        return frames

    def detect(self, image):
        index = sum(1 << bit for bit in range(8) if image[0, bit, 0] > 127)
        self.calls.append(index)
        found = {**self.masks(index), **self.false.get(index, {})}
        return Detections(list(found.values()), [0.9] * len(found), [name.split()[0] for name in found])


def run(world, engine="hold", seeds=True, direction="forward", **options):
    tracker = MaskTracker(world.video(), engine=engine)
    if seeds:
        tracker.add_masks_prompt(list(world.masks(0).values()))
    return tracker.propagate(detector=world.detect, direction=direction, association=AssociationOptions(**options))


def test_a_known_object_keeps_its_id_and_takes_the_new_mask():
    world = World({"red": lambda t: (5 + t // 2, 10)})
    tracks = run(world, every=5)
    assert tracks.object_ids == (100,)
    assert np.array_equal(tracks[20].mask(100), world.masks(20)["red"])
    assert tracks[20][100].state is State.GIVEN
    assert world.calls == list(range(0, COUNT, 5))


def test_a_new_object_gets_a_new_id_and_is_followed_to_where_it_came_from():
    world = World({"red": lambda t: (5, 10), "blue": lambda t: (60, 40) if t >= 12 else None})
    tracks = run(world, every=10, direction="both")
    assert tracks.object_ids == (100, 101)
    assert tracks.labels == {101: "blue"}
    assert np.array_equal(tracks[39].mask(101), block(60, 40))
    assert np.array_equal(tracks[0].mask(101), block(60, 40))  # hold does not know that it was not there yet
    assert all(np.array_equal(tracks[i].mask(100), block(5, 10)) for i in range(COUNT))


def test_a_false_mask_is_dropped_again():
    world = World({"red": lambda t: (5, 10)}, false={10: {"green x": block(60, 40)}})
    tracks = run(world, every=10, confirm=1, patience=0)
    assert tracks.object_ids == (100,)
    world = World({"red": lambda t: (5, 10)}, false={10: {"green x": block(60, 40)}})
    assert run(world, every=10, confirm=0).object_ids == (100, 101)


def test_a_part_of_a_known_object_is_no_new_one():
    world = World({"red": lambda t: (5, 10)}, false={10: {"green x": block(6, 11, size=4)}})
    assert run(world, every=10, confirm=0, refresh_below=0).object_ids == (100,)


class LosingEngine(HoldEngine):
    """Loses everything on one frame, and finds nothing again by itself."""

    def __init__(self, at):
        self.at = at

    def open(self, video, snapshot=None):
        engine = self

        class Session(HoldSession):
            def step(self, frame, prompts=()):
                if frame.index == engine.at:
                    self._masks = {i: type(rle).empty(rle.size_hw) for i, rle in self._masks.items()}
                result = super().step(frame, prompts)
                rows = tuple(r if r.rle.area else type(r)(r.object_id, r.rle, 0.0, State.LOST) for r in result)
                return type(result)(result.frame, result.size_hw, rows)

        session = Session(video.size_hw)
        if snapshot is not None:
            session.restore(snapshot)
        return session


def test_a_lost_object_gets_its_id_back_by_its_looks():
    world = World({"red": lambda t: (5 + t // 4, 10), "blue": lambda t: (5 + t // 4, 24)})
    tracks = run(world, engine=LosingEngine(at=13), every=10)
    assert 13 in world.calls  # the detector ran at once
    assert tracks.object_ids == (100, 101)
    assert np.array_equal(tracks[39].mask(100)[10:20], world.masks(30)["red"][10:20])
    assert tracks[39].mask(101)[24:34].any()
    assert not tracks[39].mask(100)[24:34].any()


def test_another_object_does_not_take_a_lost_ones_id():
    paths = {"red": lambda t: (5, 10) if t < 13 else None, "blue": lambda t: None if t < 13 else (8, 12)}
    tracks = run(World(paths), engine=LosingEngine(at=13), every=10, confirm=0)
    assert tracks.object_ids == (100, 101)
    assert tracks[39][100].state is State.LOST
    assert tracks[39].mask(101).any()


def test_without_prompts_the_first_finds_start_the_run():
    world = World({"red": lambda t: (5, 10) if t >= 8 else None})
    tracks = run(world, seeds=False, every=5, direction="both")
    assert tracks.object_ids == (100,)
    assert tracks[10][100].state is State.GIVEN
    assert len(tracks) == COUNT
    with pytest.raises(InputError, match="found nothing"):
        run(World({}), seeds=False, every=5)


def test_the_whole_job_in_one_call():
    world = World({"red": lambda t: (5, 10), "blue": lambda t: (60, 40) if t >= 12 else None})
    tracks = track(world.video(), detector=world.detect, every=10, engine="hold")
    assert tracks.object_ids == (100, 101)
    assert world.calls == [0, *range(0, COUNT, 10)]  # once for what to track, then on every tenth frame
    tracks = track(world.video(), world.masks(0)["red"], detector=world.detect, every=20, engine="hold")
    assert tracks.labels == {101: "blue"}
    with pytest.raises(InputError, match="pass masks, or a detector"):
        track(world.video(), engine="hold")


def test_a_stopped_run_goes_on_to_the_same_result(tmp_path):
    paths = {"red": lambda t: (5 + t, 10), "blue": lambda t: (60, 40) if t >= 12 else None}

    def contents(tracks):
        return [(f.info, row) for f in tracks.frames() for row in f.masks]

    whole = contents(run(World(paths), every=4))
    for after in (5, 13, 14, 17, 30):
        world, seen = World(paths), []
        with MaskTracker(world.video(), engine="hold", tracks=tmp_path / f"{after}.sqlite") as tracker:
            tracker.add_masks_prompt(list(world.masks(0).values()))
            options = {"detector": world.detect, "association": AssociationOptions(every=4), "direction": "forward"}
            tracker.propagate(callback=seen.append, cancelled=lambda seen=seen, n=after: len(seen) >= n, **options)
        with MaskTracker(world.video(), engine="hold", tracks=tmp_path / f"{after}.sqlite", resume=True) as tracker:
            assert contents(tracker.propagate(**options)) == whole


@pytest.mark.parametrize("bad", [{"every": 0}, {"min_iou": 2}, {"reach": -1}, {"confirm": -1}])
def test_bad_options(bad):
    with pytest.raises(InputError):
        AssociationOptions(**bad)
