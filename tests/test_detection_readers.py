"""Readers of other models' results: a table, loaded when they are needed; plugins add kinds and break nothing."""

from __future__ import annotations

import importlib.util
import json
import logging
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import maskferry.detections
from maskferry import MaskTracker
from maskferry.detections import detect_kind, read_detections, registry
from maskferry.errors import InputError

ROOT = Path(__file__).parent.parent
SIZE = (30, 40)
MASK = np.zeros(SIZE, dtype=bool)
MASK[5:15, 10:20] = True

READER = """
from maskferry.detections import from_columns

def matches(value):
    return hasattr(value, "blobs")

def read(value, size_hw, names):
    return from_columns([b["mask"] for b in value.blobs], size_hw, "blobs", scores=[b["p"] for b in value.blobs],
                        labels=[names[b["k"]] if names else "blob" for b in value.blobs])
"""


class Blobs:
    def __init__(self, *scores):
        self.blobs = [{"mask": MASK, "p": score, "k": 0} for score in scores]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install packages of one module each, as pip would leave them: {kind: (module, its code)}."""

    def add(kinds):
        for kind, (module, code) in kinds.items():
            (tmp_path / f"{module}.py").write_text(code)
            info = tmp_path / f"{module}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[maskferry.detections]\n{kind} = {module}\n")
            monkeypatch.delitem(sys.modules, module, raising=False)
        registry.load_reader.cache_clear()
        registry._is_usable.cache_clear()
        registry._plugins.cache_clear()
        monkeypatch.syspath_prepend(tmp_path)

    return add


def names(specs):
    return [spec.name for spec in specs]


# --- the table ------------------------------------------------------------------------------------------------------


def test_every_reader_module_is_in_the_table():
    modules = {
        f"maskferry.detections.{info.name}"
        for info in pkgutil.iter_modules(maskferry.detections.__path__)
        if hasattr(importlib.import_module(f"maskferry.detections.{info.name}"), "matches")
    }
    assert {spec.target for spec in registry.BUILT_IN} == modules
    assert len(set(names(registry.BUILT_IN))) == len(registry.BUILT_IN)


def test_the_tutorial_lists_every_reader():
    module = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    script = importlib.util.module_from_spec(module)
    module.loader.exec_module(script)
    text, wanted = script.pages("detectors")
    assert text == wanted, "the tutorial is stale: run `python docs/tables.py`"
    assert all(f"| {spec.name} | {spec.summary} |" in text for spec in registry.BUILT_IN)


@pytest.mark.parametrize("spec", registry.BUILT_IN, ids=lambda spec: spec.name)
def test_a_reader_is_asked_about_anything(spec):
    reader = registry.load_reader(spec)
    for value in (None, 3, "text", b"", {}, [], (), [{}], ({}, {}), [None], MASK, [MASK, MASK], {1: MASK}, object()):
        assert reader.matches(value) is False
    assert callable(reader.read)


BOXES = {"boxes": np.zeros((1, 4)), "scores": np.ones(1), "masks": MASK[None]}


@pytest.mark.parametrize(
    ("value", "kind", "also"),
    [
        ({**BOXES, "labels": np.ones(1)}, "torchvision Mask R-CNN", "GroundingDINO + SAM"),
        ({**BOXES, "text_labels": ["a"]}, "GroundingDINO + SAM", "mask-generation pipeline"),
    ],
)
def test_of_two_readers_that_know_a_value_the_more_special_one_is_asked_first(value, kind, also):
    assert [s.name for s in registry.BUILT_IN if registry.load_reader(s).matches(value)] == [kind, also]
    assert detect_kind(value) == kind


def test_plain_arrays_load_no_reader():
    probe = """
import json, sys
import numpy as np
from maskferry.detections import detect_kind, read_detections
mask = np.ones((4, 5), bool)
for value in (mask, mask[None], [mask, mask], (mask,)):
    assert detect_kind(value) is None
    assert len(read_detections(value, (4, 5)))
print(json.dumps(sorted(name for name in sys.modules if name.startswith("maskferry.detections"))))
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        "maskferry.detections",
        "maskferry.detections._columns",
        "maskferry.detections._detections",
        "maskferry.detections._reading",
        "maskferry.detections.registry",
    ]


# --- plugins --------------------------------------------------------------------------------------------------------


def test_one_module_and_one_entry_point_add_a_kind(install):
    with pytest.raises(InputError, match="cannot read"):
        read_detections(Blobs(0.9), SIZE)
    install({"Blob finder": ("blob_reader", READER)})
    assert names(registry.known_readers()) == [*names(registry.BUILT_IN), "Blob finder"]
    assert detect_kind(Blobs(0.9)) == "Blob finder"
    found = read_detections(Blobs(0.9, 0.3), SIZE, min_score=0.5, names=["cell"])
    assert (found.labels, found.scores) == (["cell"], [0.9])
    np.testing.assert_array_equal(found.masks[0], MASK)
    with MaskTracker(np.zeros((2, *SIZE, 3), np.uint8), engine="hold") as tracker:
        assert tracker.add_masks_prompt(Blobs(0.9)) == [100]
        assert tracker.tracks.labels == {100: "blob"}


def test_a_list_with_one_result_of_a_plugin_is_read(install):
    install({"Blob finder": ("blob_reader", READER)})
    assert len(read_detections([Blobs(0.9)], SIZE)) == 1
    with pytest.raises(InputError, match="Blob finder of 2 pictures; pass that of one"):
        read_detections([Blobs(0.9), Blobs(0.9)], SIZE)


def test_a_plugin_is_not_imported_before_it_is_asked(install):
    install({"Blob finder": ("blob_reader", READER)})
    registry.known_readers()
    read_detections([MASK], SIZE)
    read_detections({"masks": [MASK], "scores": [0.5]}, SIZE)
    assert "blob_reader" not in sys.modules
    detect_kind(Blobs())
    assert "blob_reader" in sys.modules


def test_a_plugin_does_not_change_how_built_in_kinds_are_read(install, caplog):
    greedy = "def matches(value): return True\ndef read(value, size_hw, names): raise ValueError"
    install({"Anything": ("greedy_reader", greedy), "SAM's mask generator": ("other_sam", greedy)})
    with caplog.at_level(logging.WARNING):
        assert detect_kind([{"segmentation": MASK, "predicted_iou": 0.5}]) == "SAM's mask generator"
        assert len(read_detections([{"segmentation": MASK, "predicted_iou": 0.5}], SIZE)) == 1
        assert len(read_detections(MASK, SIZE)) == 1
        assert names(registry.known_readers()) == [*names(registry.BUILT_IN), "Anything"]
    assert '"SAM\'s mask generator" (other_sam) is left out: the name is taken' in caplog.text


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_package", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("raise RuntimeError('no GPU')", "no GPU"),
        ("def matches(value): return True", "no read()"),
        ("", "no matches() and no read()"),
        ("def matches(value): return value.missing\ndef read(*_): ...", "matches() failed: AttributeError"),
    ],
)
def test_a_broken_plugin_is_reported_by_name_and_breaks_no_other(install, caplog, code, reason):
    install({"A broken one": ("broken_reader", code), "Blob finder": ("blob_reader", READER)})
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert len(read_detections(Blobs(0.9), SIZE)) == 1
            assert len(read_detections({"masks": [MASK], "scores": [0.5]}, SIZE)) == 1
    reports = [record.getMessage() for record in caplog.records]
    assert len(reports) == (2 if "failed" in reason else 1)
    for text in ("'A broken one'", "broken_reader", reason):
        assert text in reports[0]


def test_what_goes_wrong_in_read_is_an_input_error_that_names_the_plugin(install):
    install(
        {
            "Fails": ("fails", "def matches(v): return hasattr(v, 'blobs')\ndef read(v, s, n): return v.blobs[7]"),
            "Wrong": ("wrong", "def matches(v): return v == 7\ndef read(v, s, n): return [1]"),
        }
    )
    with pytest.raises(InputError, match=r"plugin 'Fails' \(fails\) failed: IndexError"):
        read_detections(Blobs(), SIZE)
    with pytest.raises(InputError, match=r"plugin 'Wrong' \(wrong\) returned list, expected Detections"):
        read_detections(7, SIZE)


def test_a_refusal_of_a_plugin_is_passed_on(install):
    code = (
        "from maskferry.errors import InputError\ndef matches(v): return v == 7\n"
        "def read(v, s, n): raise InputError('seven has no masks')"
    )
    install({"Sevens": ("sevens", code)})
    with pytest.raises(InputError, match=r"^seven has no masks"):
        read_detections(7, SIZE)
    with pytest.raises(InputError, match=r"cannot read int; expected .*mask-generation pipeline, Sevens$"):
        read_detections(8, SIZE)
