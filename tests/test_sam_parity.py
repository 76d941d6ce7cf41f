"""The batched network against transformers' own loop, object by object, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

import importlib
import itertools

import sam_models
from maskferry.data import BoxPrompt, MaskPrompt, PointPrompt, Prompt, VideoInfo
from maskferry.engines._sam import SamEngine
from maskferry.engines._sam.preprocessing import normalise, resize
from maskferry.engines._sam.prompting import resize_masks, scale_points
from maskferry.engines._sam.session import SamSession
from sam_scene import picture

HEIGHT, WIDTH, FRAMES = 64, 96, 30
VIDEO = VideoInfo(WIDTH, HEIGHT, frame_count=FRAMES)
EXACT = 1e-9
Logits = dict[int, Any]


@pytest.fixture(scope="module", params=sorted(sam_models.SIZES))
def engine(request, tmp_path_factory):
    folder = sam_models.save(request.param, tmp_path_factory.mktemp(request.param))
    as_transformers = {"memory_selection": False} if request.param == "sam3" else {}
    return SamEngine(request.param, checkpoint=folder, precision="float64", device="cpu", **as_transformers)


def mask_of(object_id: int, index: int = 0) -> MaskPrompt:
    rng = np.random.default_rng(100 * object_id + index)
    y, x, h, w = rng.integers((0, 0, 12, 12), (30, 50, 30, 40))
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    mask[y : y + h, x : x + w] = True
    return MaskPrompt(index, object_id, mask)


class Ours:
    """A session that keeps the logits of what it tracks."""

    def __init__(self, engine: SamEngine, video: VideoInfo = VIDEO) -> None:
        self.session = engine.open(video)
        self.logits: Logits = {}
        finish_step = self.session.finish_step

        def keep(started):
            self.logits = {i: p.logits[row] for p in started.predictions for row, i in enumerate(p.object_ids)}
            return finish_step(started)

        self.session.finish_step = keep  # type: ignore[method-assign]

    def run(self, order: Sequence[int], prompts: Mapping[int, Sequence[Prompt]]) -> dict[int, Logits]:
        found = {}
        for index in order:
            self.session.step(picture(index), prompts.get(index, ()))
            found[index] = self.logits
        return found


def loop(
    engine: SamEngine,
    order: Sequence[int],
    prompts: Mapping[int, Sequence[Prompt]],
    *,
    reverse: bool = False,
    frames: int = FRAMES,
) -> dict[int, Logits]:
    """transformers' own loop over the same pictures and prompts; only frames that are tracked, not prompted."""
    network = engine._models[0].network
    model, size, kind = network.model, network.image_size, engine._models[0]
    small = [resize(torch.tensor(picture(i).image).permute(2, 0, 1)[None], size) for i in range(frames)]
    video = normalise(torch.cat(small), kind.mean_std, torch.float64)
    module = importlib.import_module(type(model).__module__)
    session_class = next(getattr(module, n) for n in dir(module) if n.endswith("InferenceSession"))
    session = session_class(video=video, video_height=HEIGHT, video_width=WIDTH, dtype=torch.float64)
    found: dict[int, Logits] = {}
    for index in order:
        given = list(prompts.get(index, ()))
        for prompt in given:
            row = session.obj_id_to_idx(prompt.object_id)
            if isinstance(prompt, MaskPrompt):
                session.add_mask_inputs(row, index, resize_masks([prompt.mask], size, network.device))
            else:
                xy, labels = scale_points([prompt], VIDEO, size, torch.float64)  # type: ignore[list-item]
                session.add_point_inputs(row, index, {"point_coords": xy[None], "point_labels": labels[None]})
        session.obj_with_new_inputs = [prompt.object_id for prompt in given]
        if not session.obj_ids:
            continue
        out = model(session, frame_idx=index, reverse=reverse)
        masked = {p.object_id for p in given if isinstance(p, MaskPrompt)}
        rows = zip(out.object_ids, out.pred_masks, strict=True)
        found[index] = {i: logits for i, logits in rows if i not in masked}
    return found


def worst(ours: dict[int, Logits], theirs: dict[int, Logits]) -> float:
    """Largest difference of a logit; also sees to it that there was something to compare, and to confuse."""
    gaps, spread = [], []
    for index, rows in theirs.items():
        assert set(ours[index]) == set(rows)
        gaps += [float((ours[index][i] - logits).abs().max()) for i, logits in rows.items()]
        values = list(rows.values())
        spread += [float((a - b).abs().max()) for a, b in itertools.pairwise(values)]
    assert len(gaps) >= 10
    assert not np.isnan(gaps).any()
    assert not spread or max(spread) > 1e-3
    return max(gaps)


def test_three_objects_over_thirty_frames(engine):
    """Memories are evicted after 6 frames and pointers after 15: nothing of it shows."""
    order, prompts = range(FRAMES), {0: [mask_of(i) for i in (1, 2, 3)]}
    assert worst(Ours(engine).run(order, prompts), loop(engine, order, prompts)) <= EXACT


def test_several_conditioning_frames(engine):
    """All objects prompted on the same frames, so that the loop's binarizing of all memories is right."""
    prompts = {t: [mask_of(i, t) for i in (1, 2, 3)] for t in (0, 4, 11, 19)}
    order = range(FRAMES)
    assert worst(Ours(engine).run(order, prompts), loop(engine, order, prompts)) <= EXACT


def test_reverse(engine):
    order, prompts = range(FRAMES - 1, -1, -1), {FRAMES - 1: [mask_of(i, FRAMES - 1) for i in (1, 2, 3)]}
    theirs = loop(engine, order, prompts, reverse=True)
    assert worst(Ours(engine).run(order, prompts), theirs) <= EXACT


def test_points_and_a_box(engine):
    """Through the model's own prompt encoder; one object has three points, another a box, another one point."""
    prompts = {
        0: [
            PointPrompt(0, 1, np.array([[20.0, 20.0], [50.0, 33.0], [80.0, 9.0]]), np.array([1, 1, 0])),
            BoxPrompt(0, 2, (10.0, 12.0, 60.0, 50.0)),
            PointPrompt(0, 3, np.array([[70.5, 40.25]]), np.array([1])),
        ]
    }
    order = range(12)
    ours, theirs = Ours(engine).run(order, prompts), loop(engine, order, prompts)
    assert set(ours[0]) == {1, 2, 3}
    assert worst(ours, theirs) <= EXACT


def alone(engine: SamEngine, order: Sequence[int], prompts: Mapping[int, Sequence[Prompt]]) -> dict[int, Logits]:
    """Every object in a fresh session of transformers of its own: what one object's prompt cannot disturb."""
    ids = sorted({p.object_id for row in prompts.values() for p in row})
    found: dict[int, Logits] = {index: {} for index in order}
    for i in ids:
        own = {t: [p for p in row if p.object_id == i] for t, row in prompts.items()}
        for index, rows in loop(engine, order, own).items():
            found[index] |= rows
    return found


MIXED = {0: [mask_of(2)], 3: [mask_of(1, 3)], 9: [mask_of(2, 9), mask_of(3, 9)], 17: [mask_of(1, 17)]}


def test_one_objects_prompt_changes_no_other(engine):
    """Where the loop is wrong: one prompt on a frame binarizes every object's memory there (SAM 2 and SAM 3).

    Meta's code encodes the memory of the object that is prompted. Ours equals the loop with one object in a session.
    """
    order = range(FRAMES)
    ours = Ours(engine).run(order, MIXED)
    assert worst(ours, alone(engine, order, MIXED)) <= EXACT
    if engine.name == "edgetam":  # and its loop cannot take a mask for one object while it tracks another
        with pytest.raises(RuntimeError, match="same number of dimensions"):
            loop(engine, order, MIXED)
        return
    together = loop(engine, order, MIXED)
    gap = max(float((ours[t][i] - x).abs().max()) for t, rows in together.items() for i, x in rows.items())
    assert gap > 1e-3, "transformers has changed: compare with the loop again"


def test_many_objects_equal_each_alone(engine):
    order = range(FRAMES)
    together = Ours(engine).run(order, MIXED)
    for i in (1, 2, 3):
        own = {t: [p for p in row if p.object_id == i] for t, row in MIXED.items()}
        single = Ours(engine).run(order, own)
        gaps = [float((together[t][i] - single[t][i]).abs().max()) for t in order if i in single[t]]
        assert len(gaps) > 10
        assert max(gaps) <= EXACT


def test_more_prompted_frames_than_are_read(engine, monkeypatch):
    """Where the loop is wrong: it reads the pointers of all prompted frames, the authors' code those of the chosen.

    SAM 3 chooses four, the others all: there the loop is right.
    """
    prompts = {t: [mask_of(1, t)] for t in range(0, 12, 2)}
    order = range(FRAMES)
    ours, theirs = Ours(engine).run(order, prompts), loop(engine, order, prompts)
    gaps = {t: float((ours[t][1] - theirs[t][1]).abs().max()) for t in order if theirs[t]}
    if engine.name != "sam3":
        assert max(gaps.values()) <= EXACT
        return
    assert max(gap for t, gap in gaps.items() if t < 16) <= EXACT  # all lie within the last fifteen frames
    assert min(gap for t, gap in gaps.items() if t >= 16) > 1e-6
    model = engine._models[0].network.model
    monkeypatch.setattr(model, "_get_object_pointers", pointers_of_chosen(model))
    assert worst(ours, loop(engine, order, prompts)) <= EXACT


def pointers_of_chosen(model: Any) -> Any:
    """In place of transformers' method: of the prompted frames four, the others as if they had been tracked."""
    method = model._get_object_pointers

    def pointers(session: Any, obj_idx: int, frame_idx: int, *args: Any, **kwargs: Any) -> Any:
        outputs = session.output_dict_per_obj[obj_idx]
        chosen, others = model._select_closest_cond_frames(frame_idx, outputs["cond_frame_outputs"], 4)
        tracked = outputs["non_cond_frame_outputs"]
        session.output_dict_per_obj[obj_idx] = {
            "cond_frame_outputs": chosen,
            "non_cond_frame_outputs": tracked | others,
        }
        try:
            return method(session, obj_idx, frame_idx, *args, **kwargs)
        finally:
            session.output_dict_per_obj[obj_idx] = outputs

    return pointers


def test_a_correction_on_a_tracked_frame_stays(engine):
    """Where the loop is wrong: a mask on a frame that was tracked is lost when that frame is run again.

    Here a frame comes once, and its mask conditions all that come after, as in Meta's code.
    """
    order, corrected = range(20), {0: [mask_of(1)], 8: [mask_of(1, 8)]}
    ours = Ours(engine).run(order, corrected)
    assert worst(ours, loop(engine, order, corrected)) <= EXACT  # prompted before the loop comes there
    without = Ours(engine).run(order, {0: corrected[0]})
    assert all(float((ours[t][1] - without[t][1]).abs().max()) > 1e-6 for t in range(9, 20))


def test_a_pass_with_gaps_counts_frames_as_they_come(engine):
    """Every third frame is, to the model, a video of a third of the frames."""
    network = engine._models[0].network
    sparse = Ours(engine).run(range(0, FRAMES, 3), {0: [mask_of(1)]})
    session: SamSession = engine.open(VIDEO)
    for index in range(0, FRAMES, 3):
        session.step(picture(index), [mask_of(1)] if not index else ())
    assert sorted(session._bank.objects[1].recent) == list(range(1, 10))
    assert network.memory_dim == 64
    assert all(torch.isfinite(rows[1]).all() for t, rows in sparse.items() if t)


def test_narrow_values_are_exact(engine):
    """Attending over the memories and projecting afterwards is the same."""
    attention = engine._models[0].network.attention
    order, prompts = range(10), {0: [mask_of(i) for i in (1, 2)]}
    wide = Ours(engine).run(order, prompts)
    attention.narrow = not attention.grouped
    try:
        assert worst_of(Ours(engine).run(order, prompts), wide) <= EXACT
    finally:
        attention.narrow = False


def worst_of(a: dict[int, Logits], b: dict[int, Logits]) -> float:
    return max(float((a[t][i] - b[t][i]).abs().max()) for t in a for i in a[t])
