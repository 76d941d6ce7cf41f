"""What every engine must pass: subclass `EngineContract` in your tests and say how your engine is made.

    from maskferry.testing import EngineContract

    class TestMyEngine(EngineContract):
        @pytest.fixture
        def engine(self):
            return MyEngine()

The built-in engines pass the same tests. Needs pytest, which the package itself does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from maskferry import Frame, FrameInfo, FrameMasks, MaskPrompt, State, VideoInfo

if TYPE_CHECKING:
    from maskferry.engines.base import Engine, Session

__all__ = ["EngineContract", "moving_square"]

VIDEO = VideoInfo(width=96, height=64, frame_count=12, name="contract")


def moving_square(index: int, object_id: int = 1) -> NDArray[np.bool_]:
    """Where square ``object_id`` (1 or 2) of the test video is on a frame, bool (64, 96)."""
    mask = np.zeros(VIDEO.size_hw, dtype=np.bool_)
    if object_id == 1:
        mask[10:30, 8 + 3 * index : 28 + 3 * index] = True
    else:
        mask[38:58, 60 - 2 * index : 80 - 2 * index] = True
    return mask


def _frame(index: int) -> Frame:
    """Two textured squares that move over a textured background."""
    texture = np.random.default_rng(0).integers(0, 90, (*VIDEO.size_hw, 3), dtype=np.uint8)
    image = texture + np.array([20, 60, 20], dtype=np.uint8)
    for object_id, color in ((1, (150, 20, 20)), (2, (20, 20, 150))):
        inside = moving_square(index, object_id)
        patch = np.random.default_rng(object_id).integers(0, 80, (20, 20, 3), dtype=np.uint8)
        image[inside] = (patch + np.array(color, dtype=np.uint8)).reshape(-1, 3)
    return Frame(FrameInfo(index, index / 25, f"{index:06d}"), image)


def _prompt(frame: int, object_id: int = 1) -> MaskPrompt:
    return MaskPrompt(frame, object_id, moving_square(frame, object_id))


def _bytes(masks: FrameMasks) -> list[tuple[int, bytes, str]]:
    return [(row.object_id, row.rle.counts, row.state.value) for row in masks]


class EngineContract:
    """Tests of the promises in ``maskferry.engines.base``. A subclass gives the fixture ``engine``."""

    @pytest.fixture
    def session(self, engine: Engine) -> Iterator[Session]:
        """A fresh session of the test video."""
        session = engine.open(VIDEO)
        yield session
        session.close()

    def test_prompted_frame_returns_the_prompt(self, session: Session) -> None:
        """To the pixel, on the first frame and when it comes again later."""
        for index in (0, 1, 2):
            prompts = [_prompt(index)] if index != 1 else []
            masks = session.step(_frame(index), prompts)
            if prompts:
                assert np.array_equal(masks.mask(1), prompts[0].mask)
                assert (masks[1].state, masks[1].score) == (State.GIVEN, 1.0)

    def test_follows_or_admits_loss(self, session: Session) -> None:
        """Rows are well-formed on frames without a prompt: scores in [0, 1], empty masks exactly while lost."""
        session.step(_frame(0), [_prompt(0), _prompt(0, 2)])
        for index in range(1, 6):
            masks = session.step(_frame(index))
            assert masks.frame == index
            assert masks.object_ids == (1, 2)
            assert masks.size_hw == VIDEO.size_hw
            for row in masks:
                assert 0 <= row.score <= 1
                assert row.state is not State.GIVEN
                assert (row.rle.area == 0) == (row.state is State.LOST)

    def test_an_object_keeps_its_row_when_out_of_sight(self, session: Session) -> None:
        """A frame that shows nothing of it does not take its row away."""
        session.step(_frame(0), [_prompt(0)])
        blank = Frame(FrameInfo(1, None, "blank"), np.full((*VIDEO.size_hw, 3), 128, dtype=np.uint8))
        assert session.step(blank).object_ids == (1,)

    def test_ids_ascend_whatever_the_order_of_prompts(self, session: Session) -> None:
        """And objects may come late."""
        assert session.step(_frame(0), [_prompt(0, 2)]).object_ids == (2,)
        assert session.step(_frame(1), [_prompt(1, 1)]).object_ids == (1, 2)

    def test_no_prompt_yet_is_an_empty_result(self, session: Session) -> None:
        """Frames before the first prompt are fine."""
        assert session.step(_frame(0)).objects == ()
        assert session.step(_frame(1), [_prompt(1)]).object_ids == (1,)

    def test_step_keeps_no_view_of_the_callers_arrays(self, engine: Engine) -> None:
        """What the caller does to its arrays after a step has no effect."""
        results = []
        for spoil in (False, True):
            session = engine.open(VIDEO)
            frame, prompt = _frame(0), _prompt(0)
            session.step(frame, [prompt])
            if spoil:
                frame.image[:] = 0
                prompt.mask[:] = True
            results.append(_bytes(session.step(_frame(1))))
            session.close()
        assert results[0] == results[1]

    def test_step_leaves_the_callers_arrays_alone(self, session: Session) -> None:
        """Neither the frame nor the mask is written to."""
        frame, prompt = _frame(0), _prompt(0)
        session.step(frame, [prompt])
        assert np.array_equal(frame.image, _frame(0).image)
        assert np.array_equal(prompt.mask, moving_square(0))

    def test_a_late_prompt_is_gone_on_from(self, session: Session) -> None:
        """Masks that come after the step: a new object has a row from the next frame on, a known one is corrected."""
        session.step(_frame(0), [_prompt(0)])
        session.step(_frame(1))
        session.reprompt(_frame(1), [_prompt(1), _prompt(1, 2)])
        masks = session.step(_frame(2))
        assert masks.object_ids == (1, 2)
        for row in masks:
            assert row.state is not State.GIVEN
            assert (row.rle.area == 0) == (row.state is State.LOST)

    def test_a_dropped_object_has_no_row(self, session: Session) -> None:
        """The others stay; an unknown id is no error; a dropped one can come back."""
        session.step(_frame(0), [_prompt(0), _prompt(0, 2)])
        session.drop(1)
        session.drop(77)
        assert session.step(_frame(1)).object_ids == (2,)
        assert session.step(_frame(2), [_prompt(2)]).object_ids == (1, 2)

    def test_same_input_same_bytes(self, engine: Engine) -> None:
        """Two sessions agree to the byte, whatever the order of the prompts."""
        results = []
        for prompts in ([_prompt(0), _prompt(0, 2)], [_prompt(0, 2), _prompt(0)]):
            session = engine.open(VIDEO)
            session.step(_frame(0), prompts)
            results.append([_bytes(session.step(_frame(index))) for index in range(1, 6)])
            session.close()
        assert results[0] == results[1]

    def test_a_snapshot_goes_on_exactly(self, engine: Engine) -> None:
        """A session opened from a snapshot gives what the first one would have given."""
        session = engine.open(VIDEO)
        session.step(_frame(0), [_prompt(0), _prompt(0, 2)])
        session.step(_frame(1))
        snapshot = session.snapshot()
        if snapshot is None:
            pytest.skip("this engine takes no snapshots")
        wanted = [_bytes(session.step(_frame(index))) for index in range(2, 7)]
        session.close()
        resumed = engine.open(VIDEO, snapshot)
        assert [_bytes(resumed.step(_frame(index))) for index in range(2, 7)] == wanted
        resumed.close()

    def test_backward_and_with_gaps(self, session: Session) -> None:
        """Frames come in the order of the pass, which need not ascend nor be without gaps."""
        session.step(_frame(11), [_prompt(11)])
        for index in (9, 8, 4):
            assert session.step(_frame(index)).frame == index

    def test_close_twice(self, engine: Engine) -> None:
        """Sessions and engines may be closed more than once."""
        session = engine.open(VIDEO)
        session.step(_frame(0), [_prompt(0)])
        session.close()
        session.close()
        engine.close()
        engine.close()
