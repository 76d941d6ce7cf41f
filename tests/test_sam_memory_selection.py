"""SAM 3's memory selection against the rule written out plainly, object by object, in float64."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

import sam_models
from maskferry.data import PointPrompt, Prompt, VideoInfo
from maskferry.engines._sam import SamEngine, packing
from maskferry.engines._sam.batching import BatchRunner
from maskferry.engines._sam.memory_bank import TrackedObject
from maskferry.errors import EngineError, InputError
from test_sam_parity import EXACT, HEIGHT, WIDTH, Logits, loop, mask_of, picture

FRAMES = 46
VIDEO = VideoInfo(WIDTH, HEIGHT, frame_count=FRAMES)
Prompts = Mapping[int, Sequence[Prompt]]


# --- objects that are hidden when a test says so --------------------------------------------------------------------


class Aimed(BatchRunner):
    """Tells the head which objects come."""

    def __init__(self, head: sam_models.SteeredHead) -> None:
        super().__init__(64)
        self.head = head

    def run(self, items: Any, function: Any) -> Any:
        def aimed(part: Any) -> Any:
            self.head.objects = [known.object_id for known in part if isinstance(known, TrackedObject)]
            try:
                return function(part)
            finally:
                self.head.objects = []

        return super().run(items, aimed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return sam_models.save("sam3", tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="module")
def engine(folder):
    return SamEngine("sam3", checkpoint=folder, precision="float64", device="cpu")


@pytest.fixture(scope="module")
def without(engine):
    """The same engine without memory selection."""
    model, plain = engine._models[0], sam_models.twin(engine)
    identity = model.identity | {"memory_selection": "off"}
    changed = {"memory_selection": False, "identity": identity}
    plain._models = [type(model)(**{n: getattr(model, n) for n in model.__slots__} | changed)]
    return plain


@pytest.fixture(scope="module")
def head(engine):
    decoder = engine._models[0].network.model.mask_decoder
    plain = decoder.pred_obj_score_head
    decoder.pred_obj_score_head = sam_models.SteeredHead(plain)
    yield decoder.pred_obj_score_head
    decoder.pred_obj_score_head = plain


def run(
    engine: SamEngine,
    head: sam_models.SteeredHead,
    order: Sequence[int],
    prompts: Prompts,
    *,
    resumed: Sequence[int] = (),
    late: Prompts | None = None,
    video: VideoInfo = VIDEO,
) -> dict[int, Logits]:
    """Logits of the engine, by frame and object.

    Args:
        engine: on one device or several.
        head: of its network.
        order: of the frames.
        prompts: by frame.
        resumed: frames after which the session is closed, and continued from a snapshot.
        late: masks that come after their frame's step.
        video: what is told to the engine.
    """
    found: dict[int, Logits] = {}
    session = open_aimed(engine, head, found, video)
    for t in order:
        head.frame, found[t] = t, {}
        session.step(picture(t), prompts.get(t, ()))
        if late and t in late:
            session.reprompt(picture(t), late[t])
        if t in resumed:
            data = session.snapshot()
            session.close()
            session = open_aimed(engine, head, found, video, data)
    return found


def open_aimed(
    engine: SamEngine, head: sam_models.SteeredHead, found: dict[int, Logits], video: VideoInfo, data=None
) -> Any:
    session: Any = engine.open(video, data)
    for one in getattr(session, "_sessions", [session]):  # one for each device

        def keep(started, finish=one.finish_step):
            rows = {i: p.logits[row] for p in started.predictions for row, i in enumerate(p.object_ids)}
            found[started.frame.index] |= rows
            return finish(started)

        one._batches, one.finish_step = Aimed(head), keep
    return session


# --- the rule, written out ------------------------------------------------------------------------------------------


class Reference:
    """transformers' tracker for one object, remembering what SAM 3's authors' program remembers.

    Attributes:
        score: of each tracked frame: (2 sigmoid(object logit) - 1, or 0 out of sight) x the highest predicted IoU.
        lists: the selected frames that each frame looked back on.
    """

    def __init__(self, engine: SamEngine, head: sam_models.SteeredHead, object_id: int, order: Sequence[int]) -> None:
        self.engine, self.head, self.object_id, self.order = engine, head, object_id, order
        self.model = engine._models[0].network.model
        self.score: dict[int, float] = {}
        self.lists: dict[int, list[int]] = {}

    def run(self, prompts: Prompts, frames: int = FRAMES) -> dict[int, Logits]:
        """Logits of the object, by frame, in a video of so many frames."""
        self.head.objects = [self.object_id]
        own = {t: [p for p in row if p.object_id == self.object_id] for t, row in prompts.items()}
        hooks = [
            self.model.mask_decoder.register_forward_hook(self.note_score),
            self.model.register_forward_pre_hook(self.note_frame, with_kwargs=True),
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.model, "_gather_memory_frame_outputs", self.memories)
            patch.setattr(self.model, "_get_object_pointers", self.pointers)
            found = loop(self.engine, self.order, own, reverse=self.order[0] > self.order[-1], frames=frames)
        for hook in hooks:
            hook.remove()
        return {t: rows for t, rows in found.items() if rows}

    def note_frame(self, model: Any, args: Any, kwargs: Any) -> None:
        self.head.frame = kwargs["frame_idx"]

    def note_score(self, decoder: Any, args: Any, outputs: Any) -> None:
        _, ious, _, logit = outputs
        sure = 2 * float(logit.sigmoid()) - 1 if float(logit) > 0 else 0.0
        self.score[self.head.frame] = sure * float(ious.max())

    def selected(self, frame: int, tracked: Mapping[int, Any]) -> list[int]:
        """The list: fifteen good frames at most, and the last frame."""
        before = list(self.order[: list(self.order).index(frame)])
        good: list[int] = []
        for t in reversed(before):
            if t in tracked and self.score[t] > 0.01 and len(good) < 15:
                good.insert(0, t)
        if before[-1] not in good:
            good.append(before[-1])
        self.lists[frame] = good
        return good

    def memories(self, session: Any, obj_idx: int, frame_idx: int, reverse: bool) -> list[Any]:
        """In place of transformers' method."""
        outputs = session.output_dict_per_obj[obj_idx]
        tracked = outputs["non_cond_frame_outputs"]
        chosen, _ = self.model._select_closest_cond_frames(frame_idx, outputs["cond_frame_outputs"], 4)
        good = self.selected(frame_idx, tracked)
        found = [(0, out) for out in chosen.values()]
        for place in (6, 5, 4, 3, 2, 1):
            if place <= len(good) and good[-place] in tracked:
                found.append((place, tracked[good[-place]]))
        return found

    def pointers(
        self, session: Any, obj_idx: int, frame_idx: int, total: int, device: Any, reverse: bool, streaming: bool
    ) -> tuple[list[int], list[Any], int]:
        """In place of transformers' method."""
        outputs = session.output_dict_per_obj[obj_idx]
        tracked = outputs["non_cond_frame_outputs"]
        chosen, _ = self.model._select_closest_cond_frames(frame_idx, outputs["cond_frame_outputs"], 4)
        good = self.selected(frame_idx, tracked)
        distances = [abs(frame_idx - t) for t in chosen]
        found = [out["object_pointer"] for out in chosen.values()]
        for place in range(1, 16):
            if place < len(good) and good[-place] in tracked:
                distances.append(place)
                found.append(tracked[good[-place]]["object_pointer"])
        return distances, found, min(total, 16)

    def differs(self) -> bool:
        """Whether other frames than the last six were remembered, at least once."""
        places = {t: n for n, t in enumerate(self.order)}
        return any(
            [places[s] for s in row[-6:]] != list(range(places[t] - 6, places[t]))
            for t, row in self.lists.items()
            if len(row) >= 6
        )


def worst(ours: dict[int, Logits], theirs: Mapping[int, dict[int, Logits]]) -> float:
    """Largest difference of a logit from the references, given by object."""
    gaps = []
    for i, frames in theirs.items():
        assert len(frames) >= 10
        gaps += [float((ours[t][i] - rows[i]).abs().max()) for t, rows in frames.items()]
    assert not np.isnan(gaps).any()
    return max(gaps)


# --- the engine equals the rule ---------------------------------------------------------------------------------------

HIDDEN = {1: (*range(9, 12), *range(24, 40, 2)), 2: range(18, 28), 3: range(12, 42)}
"""Steps on which objects are out of sight: three and every other one, ten, thirty."""

FAINT = {2: (11, 12), 3: (43,)}
"""Steps on which objects are just in sight, but not surely."""


@dataclass
class Scene:
    """A pass, and what is to be found on it."""

    head: sam_models.SteeredHead
    order: Sequence[int]
    prompts: Prompts
    logit: dict[tuple[int, int], float]
    references: dict[int, Reference]
    theirs: dict[int, dict[int, Logits]]

    def gap(self, engine: SamEngine, resumed: Sequence[int] = ()) -> float:
        """The largest difference of a logit; resumed after some of the steps."""
        self.head.logit = self.logit
        frames = [self.order[n] for n in resumed]
        return worst(run(engine, self.head, self.order, self.prompts, resumed=frames), self.theirs)


def scene(engine: SamEngine, head: sam_models.SteeredHead, order: Sequence[int]) -> Scene:
    """Objects that are hidden at different times; one comes later, one is prompted again."""
    prompts = {
        order[0]: [mask_of(1), mask_of(3)],
        order[5]: [mask_of(2, order[5])],
        order[20]: [mask_of(1, order[20])],
    }
    head.logit = {(i, order[n]): -2.0 for i, steps in HIDDEN.items() for n in steps}
    head.logit |= {(i, order[n]): 0.01 for i, steps in FAINT.items() for n in steps}
    references = {i: Reference(engine, head, i, order) for i in HIDDEN}
    theirs = {i: one.run(prompts) for i, one in references.items()}
    assert all(one.differs() for one in references.values())
    return Scene(head, order, prompts, head.logit, references, theirs)


@pytest.fixture(scope="module")
def forward(engine, head) -> Scene:
    return scene(engine, head, range(FRAMES))


def test_hidden_objects_are_remembered_as_they_were(engine, forward):
    assert forward.gap(engine) <= EXACT


def test_in_reverse_and_resumed_while_objects_are_hidden(engine, head):
    assert scene(engine, head, range(FRAMES - 1, -1, -1)).gap(engine, resumed=(4, 10, 20, 33, 41, 42)) <= EXACT


def test_the_rule_is_on_by_default_and_matters(engine, without, forward):
    assert engine._models[0].memory_selection
    assert forward.gap(without) > 1e-3


def test_the_reference_looks_back_beyond_the_last_frames(forward):
    """After thirty frames out of sight, at the frames before; at the very last one too, also where it was prompted."""
    lists = {i: one.lists for i, one in forward.references.items()}
    assert lists[3][41] == [*range(1, 12), 40]
    assert lists[1][21] == [*range(2, 9), *range(12, 20), 20]
    assert lists[2][14] == [*range(6, 11), 13]
    assert lists[3][1] == [0]


def test_several_devices(engine, forward):
    """Two sessions share the objects; the second has the same network."""
    two = sam_models.twin(engine)
    two._models = engine._models * 2
    assert forward.gap(two, resumed=(30,)) <= EXACT


def test_narrow_values_are_exact(engine, forward, monkeypatch):
    """As on a GPU."""
    monkeypatch.setattr(engine._models[0].network.attention, "narrow", True)
    assert forward.gap(engine) <= EXACT


# --- prompts --------------------------------------------------------------------------------------------------------


def test_more_than_four_prompted_frames(engine, head):
    """The last four are read, with their pointers; the others never again."""
    order, prompts = range(40), {t: [mask_of(1, t)] for t in (0, 3, 6, 9, 20, 25)}
    head.logit = {(1, t): -2.0 for t in range(27, 34)}
    theirs = Reference(engine, head, 1, order).run(prompts)
    assert worst(run(engine, head, order, prompts), {1: theirs}) <= EXACT


def test_a_mask_that_comes_after_its_step(engine, head):
    """Sixteen good frames lie before it, the last of which then counts no more."""
    order, first, late = range(36), {0: [mask_of(1)]}, {24: [mask_of(1, 24)]}
    head.logit = {(1, t): -2.0 for t in (*range(3, 6), *range(26, 30))}
    theirs = Reference(engine, head, 1, order).run({**first, **late})
    assert worst(run(engine, head, order, first, late=late), {1: theirs}) <= EXACT


def test_a_video_that_is_shorter_than_the_memory(engine, head):
    order, prompts = range(12), {0: [mask_of(1), mask_of(2)]}
    head.logit = {(1, t): -2.0 for t in range(3, 8)}
    theirs = {i: Reference(engine, head, i, order).run(prompts, frames=12) for i in (1, 2)}
    video = VideoInfo(WIDTH, HEIGHT, frame_count=12)
    assert worst(run(engine, head, order, prompts, video=video), theirs) <= EXACT


def test_points_on_a_hidden_object(engine, head):
    """Beside other objects as alone."""
    click = PointPrompt(14, 1, np.array([[20.0, 20.0]]), np.array([1]))
    order, prompts = range(24), {0: [mask_of(1), mask_of(2)], 14: [click]}
    head.logit = {(1, t): -2.0 for t in range(4, 20)} | {(2, t): -2.0 for t in range(9, 12)}
    together = run(engine, head, order, prompts)
    for i in (1, 2):
        own: Prompts = {t: [p for p in row if p.object_id == i] for t, row in prompts.items()}
        alone = run(engine, head, order, own)
        assert worst(together, {i: {t: rows for t, rows in alone.items() if rows}}) <= EXACT


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow(engine, head):
    """Each object is in sight on other frames, so that their memories lie in different batches."""
    objects = (1, 2)
    head.logit = {(i, t): -2.0 for i in objects for t in range(200) if t % 5 != i or 60 < t < 120}
    session = open_aimed(engine, head, found := {}, VideoInfo(WIDTH, HEIGHT))
    sizes = []
    for t in range(200):
        head.frame, found[t] = t, {}
        session.step(picture(t % 10), [mask_of(i) for i in objects] if not t else ())
        tracked = [item for known in session._bank.objects.values() for item in known.recent.items()]
        memories = [(step, entry.memory) for step, entry in tracked if entry.memory is not None]
        assert all(len(memory) == 1 for step, memory in memories if t - step >= 6)  # no other object's rows
        assert all(len(entry.pointer) == 1 for step, entry in tracked if t - step >= 16)
        sizes.append((len(tracked), len(memories)))
    assert max(sizes) == sizes[-1] == (16 * len(objects), 6 * len(objects))


# --- snapshots and options --------------------------------------------------------------------------------------------


def snapshot_of(engine: SamEngine, head: sam_models.SteeredHead) -> bytes:
    session = open_aimed(engine, head, {t: {} for t in range(3)}, VIDEO)
    for t in range(3):
        session.step(picture(t), [mask_of(1)] if not t else ())
    data = session.snapshot()
    assert data is not None
    return data


def test_a_snapshot_made_the_other_way_is_refused(engine, without, head):
    with pytest.raises(EngineError, match="memory_selection 'off', this session 'on': open it as it was made"):
        engine.open(VIDEO, snapshot_of(without, head))
    with pytest.raises(EngineError, match="memory_selection 'on', this session 'off'"):
        without.open(VIDEO, snapshot_of(engine, head))


def test_an_older_snapshot_is_one_without_memory_selection(engine, without, head):
    header, tensors = packing.unpack(snapshot_of(without, head))
    del header["memory_selection"]
    for row in header["targets"]:
        del row["good"]
    old = packing.pack(header, tensors)
    assert len(without.open(VIDEO, old)._bank.objects[1].recent) == 2
    with pytest.raises(EngineError, match="memory_selection 'off', this session 'on'"):
        engine.open(VIDEO, old)


def test_who_has_the_option(folder, tmp_path):
    with pytest.raises(InputError, match=r"'sam2.1-tiny' has no memory selection; it is an option of sam3"):
        SamEngine("sam2.1-tiny", checkpoint=folder, memory_selection=False)
    with pytest.raises(InputError, match="memory_selection must be True or False, got 'on'"):
        SamEngine("sam3", checkpoint=folder, memory_selection="on")
    assert not SamEngine("sam3", checkpoint=folder, memory_selection=False)._models[0].memory_selection


def test_several_heads_are_refused(tmp_path):
    folder = sam_models.save("sam3", tmp_path / "heads")
    config = json.loads((folder / "config.json").read_text())
    config["tracker_config"]["memory_attention_num_attention_heads"] = 2
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(EngineError, match="one head, this checkpoint has 2: pass memory_selection=False"):
        SamEngine("sam3", checkpoint=folder)
