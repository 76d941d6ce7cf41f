"""supervision both ways: with its real objects where it is installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from format_samples import SIZE_HW, masks_of, tracks
from maskferry import read_detections, to_supervision
from maskferry.errors import MissingExtraError


def test_without_supervision(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match="pip install supervision"):
        to_supervision(tracks()[0].masks)


@pytest.fixture
def sv():
    return pytest.importorskip("supervision")


@pytest.mark.filterwarnings("ignore")
def test_there_and_back(sv):
    masks = tracks()[2].masks
    out = to_supervision(masks, {7: "duck"})
    assert isinstance(out, sv.Detections)
    assert out.tracker_id.tolist() == [1, 7]
    assert out.data["class_name"].tolist() == ["object", "duck"]
    assert out.xyxy.tolist() == [list(map(float, r.rle.box_xyxy)) for r in masks]
    np.testing.assert_array_equal(out.mask, masks.stack())
    assert out[out.tracker_id == 7].area.tolist() == [masks[7].rle.area]
    back = read_detections(out, SIZE_HW)
    np.testing.assert_array_equal(np.stack(back.masks), masks.stack())
    assert back.labels == ["object", "duck"]
    assert back.object_ids == [1, 7]
    assert back.scores == pytest.approx([r.score for r in masks], abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_nothing_seen(sv):
    lost = to_supervision(tracks()[3].masks)
    assert lost.tracker_id.tolist() == [7]
    assert len(to_supervision(masks_of())) == 0
    assert len(read_detections(sv.Detections.empty(), SIZE_HW)) == 0
