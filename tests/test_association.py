"""Detections joined to tracks: known objects keep ids, lost ones get theirs back, new ones new ones, false ones go."""

from __future__ import annotations

import numpy as np
import pytest

from maskferry import MaskTracker, State, track
from maskferry.association import _associator, _types
from maskferry.association._options import AssociationOptions
from maskferry.detections import Detections
from maskferry.engines._hold import HoldEngine, HoldSession
from maskferry.errors import InputError, SourceError, UnconfirmedWarning
from maskferry.rle import Rle
from maskferry.sources._in_memory import ArraySource

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


class ScriptedEngine(HoldEngine):
    """Loses and finds objects as it is told: {frame: {object id: mask, or None for lost}}."""

    def __init__(self, script, *, snapshots=True):
        self.script, self.snapshots = script, snapshots

    def open(self, video, snapshot=None):
        engine = self

        class Session(HoldSession):
            def step(self, frame, prompts=()):
                for i, mask in engine.script.get(frame.index, {}).items():
                    if i in self._masks:
                        self._masks[i] = Rle.empty(video.size_hw) if mask is None else Rle.encode(mask)
                result = super().step(frame, prompts)
                rows = tuple(r if r.rle.area else type(r)(r.object_id, r.rle, 0.0, State.LOST) for r in result)
                return type(result)(result.frame, result.size_hw, rows)

            def snapshot(self):
                return super().snapshot() if engine.snapshots else None

        session = Session(video.size_hw)
        if snapshot is not None:
            session.restore(snapshot)
        return session


def test_a_lost_object_gets_its_id_back_by_its_appearance():
    world = World({"red": lambda t: (5 + t // 4, 10), "blue": lambda t: (5 + t // 4, 24)})
    tracks = run(world, engine=ScriptedEngine({13: {100: None, 101: None}}), every=10)
    assert 13 in world.calls  # the detector ran at once
    assert tracks.object_ids == (100, 101)
    assert np.array_equal(tracks[39].mask(100)[10:20], world.masks(30)["red"][10:20])
    assert tracks[39].mask(101)[24:34].any()
    assert not tracks[39].mask(100)[24:34].any()


def test_another_object_does_not_take_a_lost_ones_id():
    paths = {"red": lambda t: (5, 10) if t < 13 else None, "blue": lambda t: None if t < 13 else (8, 12)}
    tracks = run(World(paths), engine=ScriptedEngine({13: {100: None}}), every=10, confirm=0)
    assert tracks.object_ids == (100, 101)
    assert tracks[39][100].state is State.LOST
    assert tracks[39].mask(101).any()


def test_what_was_found_again_wrongly_is_lost_from_there_on():
    """The engine loses red and then takes blue for it: blue stays blue, red is lost until it is seen."""
    paths = {"red": lambda t: (5, 10) if not 13 <= t < 30 else None, "blue": lambda t: (60, 30)}
    engine = ScriptedEngine({13: {100: None}, 15: {100: block(60, 30)}})
    tracks = run(World(paths), engine=engine, every=10)
    assert tracks.object_ids == (100, 101)
    assert all(tracks[i][100].state is State.LOST for i in range(13, 30))
    assert all(np.array_equal(tracks[i].mask(101), block(60, 30)) for i in range(COUNT))
    assert np.array_equal(tracks[30].mask(100), block(5, 10))
    assert tracks[35][100].state is State.TRACKED


def test_the_engines_word_stands_until_a_detection_speaks_against_it():
    def found(patience):
        """Red comes back far from where it was lost, where the engine finds it; the detector is blind to it."""
        path = {"red": lambda t: (5, 10) if t < 13 else None, "blue": lambda t: (5, 40)}
        engine = ScriptedEngine({13: {100: None}, 15: {100: block(30, 10)}})
        return run(World(path), engine=engine, every=5, patience=patience)

    assert found(patience=9)[39].mask(100).any()
    tracks = found(patience=1)
    assert tracks[39][100].state is tracks[15][100].state is State.LOST


def test_a_detector_that_never_saw_an_object_has_no_say_in_whether_it_is_back():
    world = World({"blue": lambda t: (60, 40)})
    tracker = MaskTracker(world.video(), engine=ScriptedEngine({13: {1: None}, 15: {1: block(8, 10)}}))
    tracker.add_masks_prompt([block(5, 10)], [1])
    tracks = tracker.propagate(detector=world.detect, direction="forward", association=AssociationOptions(every=5))
    assert np.array_equal(tracks[39].mask(1), block(8, 10))


def test_of_two_look_alikes_the_one_lost_just_now_and_near_is_back():
    paths = {"red": lambda t: (5, 10) if t < 6 else None, "red 2": lambda t: (5, 32) if not 26 <= t < 29 else None}
    engine = ScriptedEngine({6: {100: None}, 26: {101: None}})
    tracks = run(World(paths), engine=engine, every=10)
    assert tracks.object_ids == (100, 101)
    assert tracks[35][100].state is State.LOST
    assert np.array_equal(tracks[35].mask(101), block(5, 32))


def test_a_given_mask_stays_what_it_is():
    world = World({"red": lambda t: (5, 10)})
    with MaskTracker(world.video(), engine="hold") as tracker:
        tracker.add_masks_prompt([block(4, 8, size=13)], [1])
        tracks = tracker.propagate(detector=world.detect, association=AssociationOptions(every=5, refresh_below=1))
        assert np.array_equal(tracks[0].mask(1), block(4, 8, size=13))
        assert np.array_equal(tracks[5].mask(1), block(5, 10))


def test_two_detections_of_a_new_object_are_one():
    world = World({"red": lambda t: (5, 10)}, false={10: {"green": block(50, 30), "green 2": block(51, 31, size=8)}})
    tracks = run(world, every=10, confirm=0)
    assert tracks.object_ids == (100, 101)
    assert np.array_equal(tracks[10].mask(101), block(50, 30))


def test_a_new_object_is_confirmed_by_the_end_or_left_out():
    green = {"green x": block(60, 40)}
    world = World({"red": lambda t: (5, 10)}, false={36: green})
    assert run(world, every=36).object_ids == (100,)
    assert world.calls == [0, 36, 39]  # it looked again on the last frame
    assert run(World({"red": lambda t: (5, 10)}, false={36: green, 39: green}), every=36).object_ids == (100, 101)
    assert run(World({"red": lambda t: (5, 10)}, false={39: green}), every=39).object_ids == (100,)


def test_in_a_stream_a_new_object_is_confirmed_by_the_end_too():
    world = World(
        {"red": lambda t: (5, 10), "blue": lambda t: (60, 30) if t >= 8 else None}, {30: {"green x": block(30, 40)}}
    )
    with MaskTracker(iter(world.video()), engine="hold") as tracker:
        tracker.add_masks_prompt([block(5, 10)], [1])
        tracks = tracker.propagate(detector=world.detect, direction="forward", association=AssociationOptions(every=10))
        assert world.calls == [0, 10, 20, 30]  # nobody knew that frame 39 was the last one
        assert tracks.object_ids == (1, 100)


def test_the_detector_runs_when_much_of_the_picture_is_new():
    class Cut(World):
        def video(self):
            frames = super().video()
            frames[17:] = np.random.default_rng(0).integers(0, 255, (1, HEIGHT, WIDTH, 3), dtype=np.uint8)
            frames[:, 0] = super().video()[:, 0]
            return frames

    for share, calls in ((0.3, [0, 17, 30]), (None, [0, 30]), (1.0, [0, 30])):
        world = Cut({"red": lambda t: (5, 10)})
        run(world, every=30, new_area=share)
        assert world.calls == calls


def test_with_a_stride_every_nth_frame_is_the_next_one_that_is_tracked():
    world = World({"red": lambda t: (5, 10)})
    with MaskTracker(world.video(), engine="hold") as tracker:
        tracker.add_masks_prompt([block(5, 10)], [1], 1)
        options = {"detector": world.detect, "association": AssociationOptions(every=10), "direction": "forward"}
        tracker.propagate(start=1, stride=4, **options)
    assert world.calls == [1, 13, 21, 33]


def test_a_correction_begins_no_second_track_of_the_other_objects():
    world = World({"red": lambda t: (5, 10), "blue": lambda t: (60, 40)})
    options = {"detector": world.detect, "association": AssociationOptions(every=5)}
    with MaskTracker(world.video(), engine="hold") as tracker:
        tracker.add_masks_prompt([block(5, 10), block(60, 40)], [1, 2])
        tracker.propagate(**options)
        tracker.add_mask_prompt(block(6, 11), 1, 12)
        calls = len(world.calls)
        tracks = tracker.propagate(**options)
        assert len(world.calls) > calls
        assert tracks.object_ids == (1, 2)
        assert np.array_equal(tracks[12].mask(1), block(6, 11))


def test_a_lost_object_does_not_take_the_place_of_one_that_this_pass_does_not_follow():
    """Object 1 is corrected and then lost, near its look-alike 2, which is not tracked again."""
    world = World({"red": lambda t: (5, 30)})
    engine = ScriptedEngine({20: {1: None}})
    options = {"detector": world.detect, "association": AssociationOptions(every=5), "direction": "forward"}
    with MaskTracker(world.video(), engine=engine) as tracker:
        tracker.add_masks_prompt([block(5, 10), block(5, 30)], [1, 2])
        tracker.propagate(direction="forward")
        tracker.add_mask_prompt(block(5, 11), 1, 12)
        tracks = tracker.propagate(**options)
        assert tracks.object_ids == (1, 2)
        assert tracks[30][1].state is State.LOST


def test_what_a_person_gives_is_confirmed(tmp_path):
    """A tentative object that the person prompts too stays, though no detection confirms it."""
    world, seen = World({"red": lambda t: (5, 10)}, false={10: {"green x": block(60, 40)}}), []
    options = {"detector": world.detect, "association": AssociationOptions(every=10), "direction": "forward"}
    with MaskTracker(world.video(), engine="hold") as tracker:
        tracker.add_masks_prompt([block(5, 10)], [1])
        tracker.propagate(callback=seen.append, cancelled=lambda: len(seen) >= 15, **options)
        tracker.add_mask_prompt(block(61, 40), 100, 17)
        tracks = tracker.propagate(**options)
        assert tracks.object_ids == (1, 100)
        assert np.array_equal(tracks[39].mask(100), block(61, 40))


def test_each_detection_is_described_once(monkeypatch):
    seen = []
    real = _types.appearance
    for module in (_types, _associator):
        monkeypatch.setattr(module, "appearance", lambda image, rle: seen.append(rle) or real(image, rle))
    world = World({"red": lambda t: (5, 10), "blue": lambda t: (60, 30)})
    run(world, engine=ScriptedEngine({20: {100: None}}), every=10)
    assert len(seen) == 2 + 2 * len(world.calls)  # the objects once, then the detections of each run


def test_without_prompts_the_first_detections_start_the_run():
    world = World({"red": lambda t: (5, 10) if t >= 8 else None})
    tracks = run(world, seeds=False, every=5, direction="both")
    assert tracks.object_ids == (100,)
    assert tracks[10][100].state is State.GIVEN
    assert len(tracks) == COUNT
    with pytest.raises(InputError, match="found nothing"):
        run(World({}), seeds=False, every=5)


def test_first_detections_must_be_confirmed_like_others():
    paths, false = {"red": lambda t: (5, 10)}, {0: {"green x": block(60, 40)}}
    assert run(World(paths, false), seeds=False, every=5).object_ids == (100,)
    assert run(World(paths, false), seeds=False, every=5, confirm=0).object_ids == (100, 101)
    assert run(World(paths, false), seeds=False, every=5, direction="both").object_ids == (100,)


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize("at", [0, 20])
def test_finds_that_no_later_one_confirms_leave_empty_tracks_and_a_warning(tmp_path, direction, at):
    world = World({}, false={at: {"green x": block(60, 40), "red x": block(5, 5)}})
    association = AssociationOptions(every=5)
    with MaskTracker(world.video(), engine="hold", tracks=tmp_path / "t.sqlite") as tracker:
        for _ in range(2):  # the same call again is no error either
            with pytest.warns(UnconfirmedWarning, match=r"confirm=0"):
                tracks = tracker.propagate(detector=world.detect, direction=direction, association=association)
            assert tracks.object_ids == ()
            assert not any(frame.masks.objects for frame in tracks.frames())
        found = tracker.propagate(
            detector=world.detect, direction=direction, association=AssociationOptions(every=5, confirm=0)
        )
        assert len(found.object_ids) == 2


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_after_false_finds_the_search_goes_on(direction):
    world = World({"red": lambda t: (5, 10) if t >= 15 else None}, false={0: {"green x": block(60, 40)}})
    tracks = run(world, seeds=False, direction=direction, every=5)
    assert list(tracks.labels.values()) == ["red"]
    assert tracks[COUNT - 1].objects[0].rle.area == 100


def test_a_search_that_goes_on_ends_where_the_video_is_damaged(monkeypatch):
    def frames(self, indices):
        for frame in read(self, indices):
            if frame.index > 20 and len(indices) < COUNT:  # the pass itself goes through
                raise SourceError("damaged", frame=frame.index)
            yield frame

    read = ArraySource.frames
    monkeypatch.setattr(ArraySource, "frames", frames)
    with pytest.warns(UnconfirmedWarning):
        assert run(World({}, false={0: {"green x": block(60, 40)}}), seeds=False, every=5).object_ids == ()
    with pytest.raises(SourceError):
        run(World({"red": lambda t: (5, 10) if t > 30 else None}), seeds=False, every=5)


NOTHING: list[object] = [
    None,
    [],
    (),
    {},
    [None],
    [[]],
    np.zeros((0, HEIGHT, WIDTH), bool),
    np.zeros((HEIGHT, WIDTH), np.uint8),
]


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
@pytest.mark.parametrize("seeds", [True, False])
def test_a_detector_that_finds_nothing_ends_no_run(nothing, seeds):
    world = World({"red": lambda t: (5, 10) if seeds or 10 <= t <= 30 else None})
    see = world.detect
    world.detect = lambda image: found if len(found := see(image)) and 10 <= world.calls[-1] <= 30 else nothing
    tracks = run(world, seeds=seeds, direction="both", every=5)
    assert tracks.object_ids == (100,)
    assert len(tracks) == COUNT


def test_the_whole_job_in_one_call():
    world = World({"red": lambda t: (5, 10), "blue": lambda t: (60, 40) if t >= 12 else None})
    tracks = track(world.video(), detector=world.detect, every=10, engine="hold")
    assert tracks.object_ids == (100, 101)
    assert world.calls == [0, *range(0, COUNT, 10)]  # once for what to track, then on every tenth frame
    tracks = track(world.video(), world.masks(0)["red"], detector=world.detect, every=20, engine="hold")
    assert tracks.labels == {101: "blue"}
    with pytest.raises(InputError, match="pass masks, or a detector"):
        track(world.video(), engine="hold")


def contents(tracks):
    return [(f.info, row) for f in tracks.frames() for row in f.masks]


@pytest.mark.parametrize(
    ("paths", "script"),
    [
        ({"red": lambda t: (5 + t, 10), "blue": lambda t: (60, 40) if t >= 12 else None}, {}),
        (
            {"red": lambda t: (5, 10) if not 13 <= t < 30 else None, "blue": lambda t: (60, 30)},
            {13: {100: None}, 15: {100: block(60, 30)}, 18: {101: None}, 19: {101: block(60, 30)}},
        ),
    ],
    ids=["a new one", "one found again wrongly"],
)
@pytest.mark.parametrize("snapshots", [True, False])
def test_a_stopped_run_goes_on_to_the_same_result(tmp_path, paths, script, snapshots):
    first = World(paths, false={16: {"green x": block(30, 40)}})
    whole = contents(run(first, engine=ScriptedEngine(script), every=4))
    for after in (5, 13, 14, 16, 17, 18, 19, 21, 30):
        world, seen = World(paths, first.false), []
        path, engine = tmp_path / f"{after}.sqlite", ScriptedEngine(script, snapshots=snapshots)
        options = {"detector": world.detect, "association": AssociationOptions(every=4), "direction": "forward"}
        with MaskTracker(world.video(), engine=engine, tracks=path) as tracker:
            tracker.add_masks_prompt(list(world.masks(0).values()))
            tracker.propagate(callback=seen.append, cancelled=lambda seen=seen, n=after: len(seen) >= n, **options)
        with MaskTracker(world.video(), engine=engine, tracks=path, resume=True) as tracker:
            assert contents(tracker.propagate(**options)) == whole
        assert world.calls == first.calls


def test_a_stopped_run_knows_how_much_is_new_since_before_it_stopped(tmp_path):
    class Pan(World):
        def video(self):
            wide = np.random.default_rng(3).integers(0, 255, (12, 60, 3), dtype=np.uint8).repeat(5, 0).repeat(5, 1)
            frames = np.stack([wide[:HEIGHT, 3 * t : 3 * t + WIDTH] for t in range(COUNT)])
            frames[:, 0] = super().video()[:, 0]
            return frames

    def calls_of(after):
        world, seen = Pan({"red": lambda t: (5, 10)}), []
        options = {"detector": world.detect, "association": AssociationOptions(every=40), "direction": "forward"}
        path = tmp_path / f"{after}.sqlite"
        for resume in (False, True):
            with MaskTracker(world.video(), engine="hold", tracks=path, resume=resume) as tracker:
                if not resume:
                    tracker.add_masks_prompt([block(5, 10)])
                tracker.propagate(callback=seen.append, cancelled=lambda: len(seen) == after, **options)
        return world.calls

    whole = calls_of(0)
    assert 3 <= len(whole) <= 6  # a picture's width passes in 30 frames
    assert all(calls_of(after) == whole for after in (4, 9, 10, 13, 25))


def test_after_a_reset_nothing_is_remembered():
    paths = {"red": lambda t: (5, 10) if not 13 <= t < 30 else None, "blue": lambda t: (60, 30)}
    world = World(paths)
    results = []
    with MaskTracker(world.video(), engine=ScriptedEngine({13: {100: None}, 15: {100: block(60, 30)}})) as tracker:
        for _ in range(2):
            tracker.add_masks_prompt(list(world.masks(0).values()))
            association_options = AssociationOptions(every=10)
            tracks = tracker.propagate(detector=world.detect, direction="forward", association=association_options)
            results.append(contents(tracks))
            tracker.reset()
    assert results[0] == results[1]


def test_what_was_marked_lost_stays_lost_when_a_run_goes_on_without_a_detector(tmp_path):
    paths = {"red": lambda t: (5, 10) if t < 13 else None, "blue": lambda t: (60, 30)}
    engine, world, seen = ScriptedEngine({13: {100: None}, 15: {100: block(60, 30)}}), World(paths), []
    options = {"detector": world.detect, "association": AssociationOptions(every=10), "direction": "forward"}
    with MaskTracker(world.video(), engine=engine, tracks=tmp_path / "t.sqlite") as tracker:
        tracker.add_masks_prompt(list(world.masks(0).values()))
        tracker.propagate(callback=seen.append, cancelled=lambda: len(seen) >= 25, **options)
    with MaskTracker(world.video(), engine=engine, tracks=tmp_path / "t.sqlite", resume=True) as tracker:
        tracks = tracker.propagate(direction="forward")
        assert len(tracks) == COUNT
        assert tracks[39][100].state is State.LOST


@pytest.mark.parametrize("bad", [{"every": 0}, {"min_iou": 2}, {"reach": -1}, {"confirm": -1}, {"new_area": -0.1}])
def test_bad_options(bad):
    with pytest.raises(InputError):
        AssociationOptions(**bad)
