"""Trying an engine out: the clip, and what the report says."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from cli_tools import one_json, run
from maskferry.engine_check import check_engine
from maskferry.engine_check._clip import FRAMES, POST, SIZE_HW, frame
from maskferry.engines import registry
from maskferry.engines._hold import HoldEngine
from maskferry.errors import InputError, UnknownEngineError

FIRST_SAID = "the encoder is compiled and tested"


class StagedEngine(HoldEngine):
    """Repeats the last mask, and says what it was loaded with."""

    def __init__(self, compile: bool = True) -> None:  # noqa: A002
        super().__init__()
        if compile:
            logging.getLogger("maskferry.engines.staged").info(FIRST_SAID)


@pytest.fixture
def staged(monkeypatch):
    spec = registry.EngineSpec(f"{__name__}:StagedEngine", "for this test", takes=("compile",))
    monkeypatch.setitem(registry.BUILT_IN, "staged", spec)


def held_iou() -> float:
    """What repeating the first masks is worth."""
    masks = [frame(i)[1] for i in range(FRAMES)]
    ious = [(m[i] & masks[0][i]).sum() / (m[i] | masks[0][i]).sum() for m in masks[1:] for i in m]
    return float(np.mean(ious))


def test_masks_of_the_clip_are_what_is_to_be_seen():
    before = None
    for index in range(FRAMES):
        image, masks = frame(index)
        assert (image.shape, image.dtype) == ((*SIZE_HW, 3), np.uint8)
        assert np.sum([mask for mask in masks.values()], axis=0).max() == 1
        assert not any(mask[:, POST].any() for mask in masks.values())
        assert all(mask.sum() > 200 for mask in masks.values())
        assert before is None or not np.array_equal(before, image)
        before = image
    whole, behind = (frame(i)[1][1].sum() for i in (0, 12))
    assert behind < 0.6 * whole


def test_what_a_known_engine_reaches_is_what_it_should():
    (one,) = check_engine("hold").passes
    assert one.iou == pytest.approx(held_iou(), abs=1e-12)
    assert one.iou == pytest.approx(np.mean(list(one.iou_by_object.values())), abs=1e-12)
    assert (one.frames, one.compiled, one.fidelity) == (FRAMES, False, {})


def test_compiled_stages_are_tried_where_there_are_any(staged):
    found = check_engine("staged", compiled=True)
    plain, compiled = found.passes
    assert (plain.compiled, compiled.compiled) == (False, True)
    assert compiled.frames > 3 * FRAMES
    assert found.said == (FIRST_SAID,)
    assert f"log: {FIRST_SAID}" in found.to_text()
    assert len(check_engine("staged", compiled=False).passes) == 1
    assert len(check_engine("hold", compiled=True).passes) == 1
    assert logging.getLogger("maskferry.engines").handlers == []


def test_the_report(capsys):
    assert run("engines", "--check", "hold") == 0
    text = capsys.readouterr().out
    assert "engine hold, loaded in" in text
    assert f"IoU {held_iou():.3f}" in text
    assert run("engines", "--check", "hold", "--json") == 0
    value = one_json(capsys.readouterr().out)
    assert value["passes"][0]["iou"] == round(held_iou(), 4)


def test_what_cannot_be_tried_out_is_refused(capsys):
    with pytest.raises(UnknownEngineError):
        check_engine("no such engine")
    with pytest.raises(InputError, match="runs on the CPU"):
        check_engine("hold", device="cuda")
    assert run("engines", "--device", "cpu") == 2
    assert "name it with --check" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sam3.1", "sam3"])
def test_a_checkpoint_is_tried_out(name, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    if name == "sam3.1":
        import multiplex_models

        checkpoint = multiplex_models.save(tmp_path / "sam3.1_multiplex.safetensors")
        tiny = replace(registry.BUILT_IN[name], target="multiplex_models:TinyEngine")
        monkeypatch.setitem(registry.BUILT_IN, name, tiny)
    else:
        import sam_models

        checkpoint = sam_models.save("sam3", tmp_path)
    assert run("engines", "--check", name, "--checkpoint", str(checkpoint), "--device", "cpu") == 0
    text = capsys.readouterr().out
    assert f"engine {name}, loaded in" in text
    assert "fidelity object 1: " in text
    assert f"{FRAMES} frames" in text
    assert f"log: engine {name}: {checkpoint}" in text
