"""HOTA, IDF1 and id switches on cases that can be worked out by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from maskferry import FrameMasks, ObjectMask, Rle, State
from maskferry.errors import InputError, MissingExtraError

pytest.importorskip("trackeval", reason="needs the extra eval")

from maskferry.metrics._tracking import score_tracking

SIZE = 10, 20


def frame(index, **boxes):
    rows = []
    for name, x in sorted(boxes.items()):
        mask = np.zeros(SIZE, dtype=bool)
        if x is not None:
            mask[2:6, x : x + 4] = True
        rows.append(ObjectMask(int(name[1:]), Rle.encode(mask), 1.0, State.TRACKED if x is not None else State.LOST))
    return FrameMasks(index, SIZE, tuple(rows))


def test_perfect_tracks_under_other_names():
    score = score_tracking((frame(t, a1=t, a2=10), frame(t, a7=t, a9=10)) for t in range(5))
    assert (score.hota, score.detection, score.association, score.idf1) == (1, 1, 1, 1)
    assert (score.id_switches, score.frames) == (0, 5)
    assert score.to_dict() == {
        "hota": 100.0,
        "detection": 100.0,
        "association": 100.0,
        "idf1": 100.0,
        "id_switches": 0,
        "frames": 5,
    }


def test_one_switch_halfway():
    # One object over 10 frames, found perfectly, as id 1 for five frames and as id 2 for five. Every match is true;
    # its association score is TPA / (TPA + FPA + FNA) = 5 / (5 + 0 + 5), so that HOTA = sqrt(1 * 0.5). The better of
    # both ids covers 5 of 10 masks: IDF1 = 2 * 5 / (10 + 10).
    score = score_tracking((frame(t, a1=3), frame(t, **{f"a{1 + (t >= 5)}": 3})) for t in range(10))
    assert score.detection == pytest.approx(1)
    assert score.association == pytest.approx(0.5)
    assert score.hota == pytest.approx(np.sqrt(0.5))
    assert score.idf1 == pytest.approx(0.5)
    assert score.id_switches == 1


def test_an_object_that_is_lost_is_not_there():
    score = score_tracking((frame(t, a1=3), frame(t, a1=3 if t < 5 else None)) for t in range(10))
    assert score.detection == pytest.approx(0.5)
    assert score.id_switches == 0


def test_bad_input(monkeypatch):
    with pytest.raises(InputError, match="no object in the truth"):
        score_tracking([(frame(0), frame(0, a1=3))])
    with pytest.raises(InputError, match="frame 0: the truth is"):
        score_tracking([(frame(0, a1=3), FrameMasks(0, (5, 5)))])
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    with pytest.raises(MissingExtraError, match=r"maskferry\[eval\]"):
        score_tracking([])
