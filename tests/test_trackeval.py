"""What is exported is a truth and a result for TrackEval, the program that the benchmarks score with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from format_samples import VIDEO, tracks
from maskferry.formats import _coco_images as coco_images
from maskferry.formats import _mots as mots
from maskferry.formats import _youtube_vis as youtube_vis

trackeval = pytest.importorskip("trackeval", reason="needs the extra eval")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

LABELS = {1: "pedestrian", 7: "car"}
RESULT_KEYS = ("image_id", "video_id", "track_id", "category_id", "bbox", "score", "segmentations")


def score_of(dataset, name: str) -> float:
    """The HOTA of a tracker called "us", where all went well."""
    quiet = {"PRINT_CONFIG": False}
    silent = {
        **dict.fromkeys(("PRINT_RESULTS", "TIME_PROGRESS", "OUTPUT_SUMMARY", "OUTPUT_DETAILED", "PLOT_CURVES"), False),
        "BREAK_ON_ERROR": True,
        "LOG_ON_ERROR": None,
    }
    evaluator = trackeval.Evaluator({**quiet, **silent})
    results, messages = evaluator.evaluate([dataset], [trackeval.metrics.HOTA(quiet)])
    assert messages[dataset.get_name()] == {"us": "Success"}
    return float(results[dataset.get_name()]["us"]["COMBINED_SEQ"][name]["HOTA"]["HOTA"].mean())


def folders(tmp_path: Path, split: str = "") -> tuple[Path, Path, dict]:
    """Where TrackEval looks for a truth and for our results, and how it is told."""
    truth, results = tmp_path / "truth" / split, tmp_path / "results" / split / "us" / "data"
    for folder in (truth, results):
        folder.mkdir(parents=True)
    places = {"GT_FOLDER": f"{tmp_path}/truth/", "TRACKERS_FOLDER": f"{tmp_path}/results/", "PRINT_CONFIG": False}
    return truth, results, places


def save_results(truth: Path, path: Path) -> None:
    """Make a list of results of a truth."""
    records = json.loads(truth.read_text())["annotations"]
    path.write_text(json.dumps([{k: {"score": 1, **r}[k] for k in RESULT_KEYS if k in {"score", *r}} for r in records]))


def test_mots_challenge(tmp_path):
    truth, results, places = folders(tmp_path)
    (truth / "clip" / "gt").mkdir(parents=True)
    for path in (truth / "clip" / "gt" / "gt.txt", results / "clip.txt"):
        mots.write(VIDEO, tracks(), path, labels=LABELS, object_ids=(1, 7), first_frame=1)
    more = {"SEQ_INFO": {"clip": 5}, "SKIP_SPLIT_FOL": True}
    assert score_of(trackeval.datasets.MOTSChallenge(places | more), "pedestrian") == pytest.approx(1)


def test_kitti_mots(tmp_path):
    truth, results, places = folders(tmp_path)
    (truth / "label_02").mkdir()
    for path in (truth / "label_02" / "clip.txt", results / "clip.txt"):
        mots.write(VIDEO, tracks(), path, labels=LABELS, object_ids=(1, 7))
    more = {"SEQ_INFO": {"clip": 5}, "SPLIT_TO_EVAL": "val"}
    assert score_of(trackeval.datasets.KittiMOTS(places | more), "car") == pytest.approx(1)


def test_youtube_vis(tmp_path):
    """A truth is taken in lists of run lengths alone, results in compressed texts alone."""
    truth, results, places = folders(tmp_path, "youtube_vis_train_sub_split")
    youtube_vis.write(VIDEO, tracks(), truth / "truth.json", labels=LABELS, compress=False)
    youtube_vis.write(VIDEO, tracks(), tmp_path / "t.json", labels=LABELS)
    save_results(tmp_path / "t.json", results / "results.json")
    assert score_of(trackeval.datasets.YouTubeVIS(places), "car") == pytest.approx(1)


def test_tao(tmp_path):
    truth, results, places = folders(tmp_path)
    coco_images.write(VIDEO, tracks(), truth / "truth.json", labels=LABELS)
    save_results(truth / "truth.json", results / "results.json")
    assert score_of(trackeval.datasets.TAO(places), "car") == pytest.approx(1)
