"""What is remembered of one object between two frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from maskferry.data import Mask, State
from maskferry.engines._flow.appearance import NormalEquations
from maskferry.engines._flow.grid import Box, FloatArray, Grid, box_of
from maskferry.engines._flow.options import FlowOptions
from maskferry.engines._flow.recollection import Recollection, Sighting
from maskferry.engines._flow.score import NETWORK_SHARE, SHARE, Signs, expected_iou
from maskferry.masks._regions import centroid_xy

__all__ = ["Target", "soften"]

HIDDEN = 0.5
"""Below this share of its usual area an object counts as hidden."""

LEARNABLE = 0.3
"""Above this share of its usual area what is seen of an object is learned."""


PATIENCE, PAUSE = 12, 4
"""An object that is lost for more frames than the first is looked for only on every so manieth frame."""

PLAIN = ("object_id", "prompts", "area", "centre_xy", "hidden", "cut_off", "state", "drift_xy", "waiting", "signs")
"""The fields of `Target` that are no arrays and no lattice."""


@dataclass(slots=True, eq=False)
class Target:
    """One object.

    Attributes:
        object_id: >= 1.
        grid: the lattice on which it is tracked, where it was on the last frame.
        soft: where it is on that lattice, float32 (h, w) in [0, 1]; 0 everywhere while it is lost.
        prompted: normal equations of the frames on which it was given, averaged.
        recent: running mean of the normal equations of the last frames.
        theta: the classifier, float32 (D,).
        theta_given: the one that knows only the frames on which it was given, float32 (D,).
        prompts: number of frames on which it was given.
        area: usual area in cells.
        centre_xy: where it was last seen, in cells of this frame: moved on with the camera while it is lost.
        hidden: frames in a row on which less than half of it was seen.
        cut_off: there was a cut since it was last seen, so that its place says nothing.
        state: on the last frame.
        drift_xy: how it moves relative to the picture, in pixels a frame; windows follow it.
        waiting: frames on which it was seen but not learned.
        signs: what spoke for its masks since it was given; None before the first of them.
        recollection: what the network remembers of it; None where there is no network.
    """

    object_id: int
    grid: Grid
    soft: FloatArray
    prompted: NormalEquations
    recent: NormalEquations
    theta: FloatArray
    theta_given: FloatArray
    prompts: int
    area: float
    centre_xy: tuple[float, float]
    hidden: int = 0
    cut_off: bool = False
    state: State = State.GIVEN
    drift_xy: tuple[float, float] = (0.0, 0.0)
    waiting: int = 0
    signs: Signs | None = None
    recollection: Recollection | None = None
    _boxed: tuple[FloatArray, Box | None] | None = None

    @classmethod
    def begin(cls, object_id: int, grid: Grid, soft: FloatArray, seen: NormalEquations, options: FlowOptions) -> Target:
        """A new object, given on this frame as ``soft``."""
        target = cls(object_id, grid, soft, seen, seen, seen.right_side, seen.right_side, 0, 0.0, (0.0, 0.0))
        target.give(grid, soft, seen, options)
        return target

    def to_row(self) -> dict[str, Any]:
        """All but the arrays and the lattice, ready for JSON; `from_row` reads it."""
        return {name: getattr(self, name) for name in PLAIN}

    @classmethod
    def from_row(
        cls,
        row: Mapping[str, Any],
        grid: Grid,
        soft: FloatArray,
        prompted: NormalEquations,
        recent: NormalEquations,
        theta: FloatArray,
        theta_given: FloatArray,
    ) -> Target:
        """The object of which `to_row` gave this row, as JSON gives it back; other keys are ignored."""
        plain: dict[str, Any] = {name: row[name] for name in PLAIN}
        plain |= {name: tuple(row[name]) for name in ("centre_xy", "drift_xy")}
        plain["state"], plain["signs"] = State(row["state"]), row["signs"] and Signs(*row["signs"])
        return cls(
            grid=grid, soft=soft, prompted=prompted, recent=recent, theta=theta, theta_given=theta_given, **plain
        )

    def give(self, grid: Grid, soft: FloatArray, seen: NormalEquations, options: FlowOptions) -> None:
        """Take in a mask that the caller gave; whatever was believed of its place before is forgotten."""
        self.prompts += 1
        self.prompted = self.prompted.mix(seen, 1 / self.prompts)
        self.recent = self.recent.mix(seen, 1.0 if self.prompts == 1 else 0.5)
        self._solve(options)
        self.theta_given = self.theta if self.prompts == 1 else self.prompted.solve(options.ridge)
        self.grid, self.soft, self.waiting, self.signs = grid, soft, 0, None
        self.area = float(soft.sum())
        self.centre_xy = centroid_xy(soft >= 0.5) or self.centre_xy
        self.hidden, self.cut_off, self.state = 0, False, State.GIVEN

    @property
    def box(self) -> Box | None:
        """The cells of its lattice on which it is, in part at least; None while it is lost."""
        if self._boxed is None or self._boxed[0] is not self.soft:
            self._boxed = self.soft, box_of(self.soft > 0)
        return self._boxed[1]

    @property
    def rests(self) -> bool:
        """Whether it has been lost for so long that it is not looked for on the next frame."""
        return self.hidden > PATIENCE and self.hidden % PAUSE > 0

    def judge(self, newest: Signs, sighting: Sighting | None, pixels: Mask, corner_xy: tuple[int, int]) -> float:
        """Remember what speaks for the mask of this frame, which is not empty, and say how far it can be believed.

        Args:
            newest: what speaks for it by itself.
            sighting: what the network saw of the object; None where it was not asked.
            pixels: the mask, bool.
            corner_xy: where in the frame its first pixel lies.
        """
        memory = self.recollection
        share = SHARE if memory is None else NETWORK_SHARE
        self.signs = newest if self.signs is None else self.signs.followed_by(newest, share)
        if memory is None:
            return expected_iou(self.signs)
        network = memory.signs if sighting is None else memory.judge(sighting, pixels, corner_xy)
        return expected_iou(self.signs, network, memory.trust)

    def lose_place(self) -> None:
        """There was a cut: where it was says nothing of where it is."""
        self.soft = np.zeros_like(self.soft)
        self.hidden, self.cut_off = max(self.hidden, 1), True

    def see(self, mask: Mask, part: Grid, still_xy: tuple[float, float], *, appearance: float) -> None:
        """Take in where it was found.

        Args:
            mask: bool (h, w).
            part: the cells of the mask, a part of this object's lattice.
            still_xy: where it would be if it moved with the picture, in pixels.
            appearance: how much what was found looks like it, -1 to 1.
        """
        cells = int(np.count_nonzero(mask))
        x, y = part.first_xy
        if cells < HIDDEN * self.area:
            self.hidden += 1
            self.area *= 0.99
        else:
            self.hidden = 0
            self.area = 0.95 * self.area + 0.05 * cells
        self._move(centroid_xy(mask), (x, y), still_xy)
        self.state = self._next_state(cells, appearance)
        self.soft = np.zeros(self.grid.size_hw, dtype=np.float32)
        self._boxed = self.soft, None
        if cells:
            soft = soften(mask)
            self.soft[y : y + mask.shape[0], x : x + mask.shape[1]] = soft
            x1, y1, x2, y2 = box_of(soft > 0) or (0, 0, 0, 0)
            self._boxed = self.soft, (x + x1, y + y1, x + x2, y + y2)
        self.waiting = self.waiting + 1 if self.learnable(mask) else 0

    def _move(
        self, centre_xy: tuple[float, float] | None, first_xy: tuple[int, int], still_xy: tuple[float, float]
    ) -> None:
        if centre_xy is None:
            self.drift_xy = 0.8 * self.drift_xy[0], 0.8 * self.drift_xy[1]
            return
        self.centre_xy = first_xy[0] + centre_xy[0], first_xy[1] + centre_xy[1]
        self.cut_off = False
        if not self.hidden:
            here = self.grid.to_pixels(self.centre_xy)
            self.drift_xy = (
                0.5 * self.drift_xy[0] + 0.5 * (here[0] - still_xy[0]),
                0.5 * self.drift_xy[1] + 0.5 * (here[1] - still_xy[1]),
            )

    def learn(self, seen: NormalEquations, options: FlowOptions) -> None:
        """Take in what it looks like on this frame, which counts for all those since it was learned last."""
        self.recent = self.recent.mix(seen, 1 - (1 - options.update_rate) ** max(1, self.waiting))
        self.waiting = 0
        self._solve(options)

    def learnable(self, mask: Mask) -> bool:
        """Whether enough of it is seen to learn from."""
        return int(np.count_nonzero(mask)) > LEARNABLE * self.area

    def _solve(self, options: FlowOptions) -> None:
        self.theta = self.prompted.mix(self.recent, 0.5).solve(options.ridge)

    def _next_state(self, cells: int, appearance: float) -> State:
        if not cells:
            return State.LOST
        if self.state is State.LOST:
            return State.RETURNED
        return State.OCCLUDED if self.hidden or appearance < 0 else State.TRACKED


def soften(mask: Mask) -> FloatArray:
    """A mask as it is carried to the next frame: its border blurred, float32 (h, w) in [0, 1]."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7), dtype=np.float32)
