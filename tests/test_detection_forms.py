"""The forms in which libraries return results: nothing found, one in a list, several, other tasks; and the readers of
MMDetection, Roboflow, SA-1B and COCO. What goes in comes out, is counted in a warning, or is refused."""

from __future__ import annotations

import logging
from collections import namedtuple
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskferry import MaskTracker, track
from maskferry.detections import detect_kind, read_detections
from maskferry.errors import InputError
from maskferry.rle import Rle

SIZE = (48, 64)
A, B = np.zeros(SIZE, dtype=bool), np.zeros(SIZE, dtype=bool)
A[5:20, 6:30] = True
B[25:44, 34:60] = True
STACK = np.stack((A, B))
BOXES = np.array([[6, 5, 30, 20], [34, 25, 60, 44]], np.float32)
SCORES = np.array([0.9, 0.6], np.float32)
VIDEO = np.zeros((4, *SIZE, 3), np.uint8)


class Columns(SimpleNamespace):
    def __len__(self):
        return len(self.xyxy)


def results(count=2, **more):
    """ultralytics, with the attributes of a version that knows all tasks."""
    boxes = Columns(xyxy=BOXES[:count], conf=SCORES[:count], cls=np.zeros(count), id=None)
    masks = SimpleNamespace(data=STACK[:count].astype(np.float32), xy=[]) if count else None
    tasks = dict.fromkeys(("probs", "keypoints", "obb", "semantic_mask", "depth"))
    fields = {"orig_shape": SIZE, "names": {0: "cell"}, "boxes": boxes, "masks": masks, **tasks, **more}
    return SimpleNamespace(**fields, _keys=("boxes", "masks", *tasks))


def supervision(count=2, **more):
    fields = {"xyxy": BOXES[:count], "mask": STACK[:count], "confidence": SCORES[:count], "class_id": None}
    return SimpleNamespace(**{**fields, "tracker_id": None, "data": {}, **more})


class Instances:
    """Detectron2."""

    def __init__(self, count=2, **fields):
        self.image_size = SIZE
        self._fields = fields or {"pred_masks": STACK[:count], "scores": SCORES[:count]}

    def has(self, name):
        return name in self._fields

    def __getattr__(self, name):
        try:
            return self.__dict__["_fields"][name]
        except KeyError:
            raise AttributeError(name) from None


class InstanceData(SimpleNamespace):
    """mmengine."""

    def metainfo_keys(self):
        return []


class BitmapMasks:
    """mmdet."""

    def __init__(self, masks):
        self.masks, (self.height, self.width) = masks, masks.shape[1:]

    def __len__(self):
        return len(self.masks)

    def to_ndarray(self):
        return self.masks


def instance_data(count=2, masks=None):
    masks = STACK[:count] if masks is None else masks
    return InstanceData(masks=masks, labels=np.zeros(count, int), scores=SCORES[:count], bboxes=BOXES[:count])


def rles(count=2):
    return [Rle.encode(mask).to_coco() for mask in STACK[:count]]


def inferencer(count=2):
    one = {"labels": [0] * count, "scores": SCORES[:count].tolist(), "bboxes": BOXES[:count].tolist()}
    return {"predictions": [{**one, "masks": rles(count)}], "visualization": []}


def outline(mask):
    points = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0][0][:, 0]
    return [{"x": float(x), "y": float(y)} for x, y in points]


def roboflow(count=2, **more):
    found = []
    for mask, score in zip(STACK[:count], SCORES.tolist(), strict=False):
        place = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0}
        found.append({**place, "confidence": score, "class": "cell", "class_id": 0, "points": outline(mask), **more})
    return {"inference_id": "a", "time": 0.1, "image": {"width": SIZE[1], "height": SIZE[0]}, "predictions": found}


def as_objects(value):
    """The same as an object with attributes, as pydantic makes it, which calls the class ``class_name``."""
    if isinstance(value, dict) and "counts" not in value:
        return SimpleNamespace(**{{"class": "class_name"}.get(k, k): as_objects(v) for k, v in value.items()})
    return [as_objects(v) for v in value] if isinstance(value, list) else value


def with_rles(count=2):
    response = roboflow(count)
    for item, rle in zip(response["predictions"], rles(count), strict=True):
        del item["points"]
        item.update(rle=rle, mask_format="rle")
    return response


def of_sam(count=2):
    outlines = [[[[p["x"], p["y"]] for p in outline(mask)]] for mask in STACK[:count]]
    both = zip(outlines, SCORES.tolist(), strict=False)
    return {"time": 0.1, "predictions": [{"masks": m, "confidence": s, "format": "polygon"} for m, s in both]}


def sa1b(count=2):
    both = zip(rles(count), SCORES.tolist(), strict=False)
    found = [{"id": i, "segmentation": rle, "predicted_iou": score, "bbox": []} for i, (rle, score) in enumerate(both)]
    image = {"image_id": 7, "width": SIZE[1], "height": SIZE[0], "file_name": "sa_7.jpg"}
    return {"image": image, "annotations": found}


def coco_results(count=2):
    both = zip(rles(count), SCORES.tolist(), strict=False)
    return [{"image_id": 3, "category_id": 1, "segmentation": rle, "score": score} for rle, score in both]


def torchvision(count=2):
    masks = STACK[:count, None] * np.float32(0.9)
    return {"boxes": BOXES[:count], "labels": np.ones(count, int), "scores": SCORES[:count], "masks": masks}


def sam3(count=2):
    return {"scores": SCORES[:count], "boxes": BOXES[:count], "masks": STACK[:count].astype(np.int64)}


def post_processed(count=2):
    segmentation = (A + 2 * B.astype(np.int64)) if count else np.full(SIZE, -1)
    infos = [{"id": i + 1, "label_id": 0, "score": float(SCORES[i])} for i in range(count)]
    return {"segmentation": segmentation, "segments_info": infos}


def pipeline(count=2):
    both = zip(STACK[:count], SCORES.tolist(), strict=False)
    return [{"label": "cell", "score": s, "mask": Image.fromarray(m.astype(np.uint8) * np.uint8(255))} for m, s in both]


def grounded(count=2):
    result = {"boxes": BOXES[:count], "scores": SCORES[:count], "text_labels": ["cell"] * count}
    return result, (STACK[:count, None] if count else None)


FORMS = {
    "ultralytics": results,
    "supervision": supervision,
    "Detectron2": Instances,
    "a predictor": lambda count=2: {"instances": Instances(count)},
    "InstanceData": instance_data,
    "DetDataSample": lambda count=2: SimpleNamespace(pred_instances=instance_data(count)),
    "BitmapMasks": lambda count=2: instance_data(count, BitmapMasks(STACK[:count])),
    "RLEs": lambda count=2: instance_data(count, rles(count)),
    "DetInferencer": inferencer,
    "Roboflow": roboflow,
    "Roboflow's objects": lambda count=2: as_objects(roboflow(count)),
    "Roboflow's RLEs": with_rles,
    "Roboflow's SAM": of_sam,
    "SA-1B": sa1b,
    "COCO results": coco_results,
    "torchvision": torchvision,
    "SAM 3": sam3,
    "segments": post_processed,
    "pipeline": pipeline,
    "GroundingDINO": grounded,
    "a stack": lambda count=2: STACK[:count],
    "masks": lambda count=2: list(STACK[:count]),
    "by id": lambda count=2: dict(zip((1, 2), STACK[:count], strict=False)),
    "a list of RLEs": rles,
    "pictures": lambda count=2: [Image.fromarray(mask) for mask in STACK[:count]],
}
NO_SCORES = {"a stack", "masks", "by id", "a list of RLEs", "pictures"}
forms = pytest.mark.parametrize("form", FORMS)
Pair = namedtuple("Pair", "first")


def check(found, form):
    np.testing.assert_array_equal(np.stack(found.masks), STACK)
    assert found.scores == ([None, None] if form in NO_SCORES else pytest.approx([0.9, 0.6]))


@forms
def test_the_bare_result(form):
    check(read_detections(FORMS[form](), SIZE), form)
    with MaskTracker(VIDEO, engine="hold") as tracker:
        assert len(tracker.add_masks_prompt(FORMS[form]())) == 2


@forms
@pytest.mark.parametrize(
    "around",
    [lambda v: [v], lambda v: (v,), lambda v: [[v]], lambda v: iter([v]), lambda v: {0: v}.values(), lambda v: Pair(v)],
    ids=["list", "tuple", "twice", "generator", "values", "named"],
)
def test_a_list_with_one_result_is_read_as_the_result(form, around):
    check(read_detections(around(FORMS[form]()), SIZE), form)


@forms
def test_results_of_several_pictures_are_refused(form):
    value = [FORMS[form](), FORMS[form]()]
    if form == "a stack":  # two stacks could be two masks of the wrong shape
        message = r"masks\[0\]: expected \(H, W\)"
    else:
        message = "of 2 pictures|of one picture, such as|cannot read"
    with pytest.raises(InputError, match=message):
        read_detections(value, SIZE)


@forms
def test_nothing_found_is_no_error_and_nothing_given_is_one(form):
    for value in (FORMS[form](0), [FORMS[form](0)]):
        assert len(read_detections(value, SIZE)) == 0
        with MaskTracker(VIDEO, engine="hold") as tracker:
            with pytest.raises(InputError, match="at least one mask, but nothing was found"):
                tracker.add_masks_prompt(value)
            assert tracker.tracks.object_ids == ()


@forms
def test_a_detector_may_return_it_or_nothing(form):
    calls = []

    def detect(image):
        calls.append(image)
        return FORMS[form](0 if len(calls) % 2 else 2)

    tracks = track(VIDEO, A, detector=detect, every=1, engine="hold")
    assert len(calls) == 4
    assert tracks.object_ids == (100, 101)


NOTHING: dict[str, object] = {
    "None": None,
    "list": [],
    "tuple": (),
    "dictionary": {},
    "[None]": [None],
    "[None, None]": [None, None],
    "[[]]": [[]],
    "[{}]": [{}],
    "stack": np.zeros((0, *SIZE)),
    "stack of channels": np.zeros((0, 1, *SIZE), bool),
    "last axis": np.zeros((*SIZE, 0), bool),
    "(0,)": np.array([]),
    "boxes": np.zeros((0, 4)),
    "a black mask": np.zeros(SIZE, np.uint8),
    "black masks": np.zeros((2, *SIZE)),
    "generator": iter(()),
    "columns": {"masks": [], "scores": []},
    "response": {"predictions": []},
}


@pytest.mark.parametrize("value", NOTHING.values(), ids=NOTHING)
def test_nothing_found_in_many_words(value):
    assert len(read_detections(value, SIZE)) == 0


@pytest.mark.filterwarnings("ignore")
def test_empty_tensors():
    torch = pytest.importorskip("torch")
    for value in (torch.empty(0), torch.zeros((0, *SIZE)), [torch.zeros((0, 1, *SIZE))], torch.zeros(SIZE)):
        assert len(read_detections(value, SIZE)) == 0


@pytest.mark.parametrize(
    "value", [np.zeros((3, 0, 0)), np.zeros((4, 0)), "", "cells.png", b"", 0, 7, object(), [7], {"a": A}, [{"a": A}]]
)
def test_what_is_no_result_is_not_nothing_found(value):
    with pytest.raises(InputError):
        read_detections(value, SIZE)


# --- other tasks ----------------------------------------------------------------------------------------------------

OTHER = {
    "obb": (results(0, boxes=None, obb=Columns(xyxy=BOXES)), "another task.*obb.*-seg"),
    "obb, nothing there": (results(0, boxes=None, obb=Columns(xyxy=BOXES[:0])), "another task.*obb"),
    "classes": (results(0, boxes=None, probs=SimpleNamespace(top1=3)), "another task.*probs"),
    "keypoints": (results(0, keypoints=SimpleNamespace(data=[])), "another task.*keypoints"),
    "semantic": (results(0, boxes=None, semantic_mask=SimpleNamespace(data=A)), r"semantic_mask\.data == number"),
    "depth": (results(0, boxes=None, depth=SimpleNamespace(data=A)), "another task.*depth"),
    "ultralytics boxes": (results(masks=None), "without masks"),
    "Detectron2 boxes": (Instances(scores=SCORES), "without pred_masks"),
    "Detectron2, no boxes": ({"instances": Instances(scores=SCORES[:0])}, "without pred_masks"),
    "Detectron2 semantic": ({"sem_seg": np.zeros((3, *SIZE))}, "class_map == number"),
    "supervision boxes": (supervision(mask=None), "without masks"),
    "torchvision boxes": ({k: v for k, v in torchvision().items() if k != "masks"}, "boxes without masks"),
    "torchvision, no boxes": ({k: v for k, v in torchvision(0).items() if k != "masks"}, "boxes without masks"),
    "torchvision semantic": ({"out": np.zeros((1, 3, *SIZE))}, "class_map == number"),
    "MMDetection boxes": (InstanceData(bboxes=BOXES, labels=[0, 0], scores=SCORES), "without masks"),
    "MMDetection semantic": (
        SimpleNamespace(pred_instances=None, pred_sem_seg=SimpleNamespace(sem_seg=A)),
        "without pred_instances",
    ),
    "Roboflow boxes": ({"predictions": [{"x": 1, "y": 2, "width": 3, "height": 4}]}, "1 of 1 have no outline"),
    "Roboflow classes": ({"predictions": {"cat": {"confidence": 0.5}}, "predicted_classes": ["cat"]}, "got dict"),
    "classification pipeline": ([{"label": "cat", "score": 0.9}], "classes of a whole picture"),
    "detection pipeline": ([{"label": "cat", "score": 0.9, "box": {"xmin": 1}}], "boxes without masks"),
    "depth pipeline": ({"predicted_depth": A, "depth": A}, "depth map"),
    "raw output": ({"class_queries_logits": A, "masks_queries_logits": A}, "raw output.*post_process_instance"),
    "semantic post-processor": ([A + 2 * B.astype(np.int64)], "label map"),
}


@pytest.mark.parametrize(("value", "message"), OTHER.values(), ids=OTHER)
def test_results_of_other_tasks_are_refused_with_what_to_do(value, message):
    for form in (value, [value]):
        with pytest.raises(InputError, match=message):
            read_detections(form, SIZE)
    with pytest.raises(InputError, match=message):
        track(VIDEO, A, detector=lambda image: value, engine="hold")


# --- the new readers ------------------------------------------------------------------------------------------------


def test_mmdetection():
    sample = SimpleNamespace(pred_instances=instance_data(), ori_shape=SIZE)
    assert detect_kind(sample) == "MMDetection output"
    assert read_detections(sample, SIZE, names=["cell"]).labels == ["cell", "cell"]
    followed = instance_data()
    followed.instances_id = np.array([4, 9])
    sample.pred_track_instances = followed
    assert read_detections(sample, SIZE).object_ids == [4, 9]
    with pytest.raises(InputError, match=r"masks of ori_shape \(90, 64\), got \(48, 64\): predict with rescale=True"):
        read_detections(SimpleNamespace(pred_instances=instance_data(), ori_shape=(90, 64)), SIZE)
    two = {"predictions": inferencer()["predictions"] * 2}
    with pytest.raises(InputError, match="of 2 pictures"):
        read_detections(two, SIZE)


def test_roboflow():
    assert detect_kind(roboflow()) == "Roboflow inference"
    assert read_detections(roboflow(), SIZE).labels == ["cell", "cell"]
    assert read_detections(as_objects(roboflow()), SIZE).labels == ["cell", "cell"]
    followed = roboflow()
    for i, item in enumerate(followed["predictions"]):
        item["tracker_id"] = 5 - i
    assert read_detections(followed, SIZE).object_ids == [5, 4]
    large = roboflow()
    large["image"] = {"width": 128, "height": 96}
    with pytest.warns(UserWarning, match="a mask is 128x96 but the video is 64x48"):
        assert read_detections(large, SIZE).masks[0].sum() < A.sum()
    for bad in ([{"x": float("nan"), "y": 1.0}] * 3, [{"x": 1e30, "y": 1.0}] * 3, ["ab"], [{"x": "?", "y": 1}]):
        with pytest.raises(InputError):
            read_detections(roboflow(points=bad), SIZE)


def test_outlines_without_an_inside_are_counted(caplog):
    response = roboflow()
    response["predictions"].append({**response["predictions"][0], "points": []})
    with caplog.at_level(logging.WARNING):
        check(read_detections(response, SIZE), "Roboflow")
    assert "1 of 3 masks are empty" in caplog.text


def test_coco():
    found = {"images": [{"id": 3, "height": 48, "width": 64}], "categories": [{"id": 1, "name": "cell"}]}
    corners = [[6.0, 5.0, 30.0, 5.0, 30.0, 20.0, 6.0, 20.0]]
    one = {"id": 1, "image_id": 3, "category_id": 1, "segmentation": corners, "iscrowd": 0}
    read = read_detections({**found, "annotations": [one]}, SIZE)
    np.testing.assert_array_equal(read.masks[0], A)
    assert read.labels == ["cell"]
    np.testing.assert_array_equal(read_detections(one, SIZE).masks[0], A)
    with pytest.raises(InputError, match="of 2 pictures"):
        read_detections({**found, "annotations": [one, {**one, "image_id": 4}]}, SIZE)
    with pytest.raises(InputError, match="1 of 2 have no segmentation"):
        read_detections({**found, "annotations": [one, {"image_id": 3, "bbox": [1, 2, 3, 4]}]}, SIZE)
    with pytest.raises(InputError, match="7 numbers"):
        read_detections([{"segmentation": [[1.5, 2, 3, 4, 5, 6, 7]]}], SIZE)
    np.testing.assert_array_equal(read_detections([{"segmentation": A.tolist()}], SIZE).masks[0], A)


def test_a_mask_in_a_list_is_no_stack():
    for value in (rles(1)[0], Image.fromarray(A), [A.tolist()], [A], [A[None]], [A[:, :, None]], (A,), [STACK[:1]]):
        np.testing.assert_array_equal(np.stack(read_detections(value, SIZE).masks), STACK[:1])
    with MaskTracker(VIDEO, engine="hold") as tracker:
        for several in (STACK, [A, B], results(), [results()]):
            with pytest.raises(InputError, match="add_masks_prompt"):
                tracker.add_mask_prompt(several)
        assert tracker.add_mask_prompt(A.tolist()) == 100
        assert tracker.add_mask_prompt(results(1)) == 101


def test_a_picture_in_colour_is_no_stack():
    with pytest.raises(InputError, match="colour"):
        read_detections(np.zeros((100, 200, 3), np.uint8), SIZE)


def counted(value):
    """(how many objects come out, how many the log counts as left out)."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("maskferry.detections")
    logger.addHandler(handler)
    try:
        found = read_detections(value, SIZE)
    finally:
        logger.removeHandler(handler)
    return len(found), sum(record.args[1] for record in records)


def boxes_and_rles(masks):
    return {
        "scores": [0.5] * len(masks),
        "bboxes": [[0, 0, 1, 1]] * len(masks),
        "masks": [Rle.encode(mask).to_coco() for mask in masks],
    }


def in_roboflow(mask):
    place = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "confidence": 0.5, "class": "cell", "class_id": 0}
    return {**place, "rle": Rle.encode(mask).to_coco(), "mask_format": "rle"}


def apart(masks):
    """As many masks, no two of which share a pixel: those that are not empty get a line each."""
    lines = np.arange(SIZE[0])[:, None] == np.arange(len(masks))[:, None, None]
    return [mask.any() & np.broadcast_to(line, SIZE) for mask, line in zip(masks, lines, strict=True)]


COLUMNS = {
    "ultralytics": lambda masks: results(
        boxes=Columns(xyxy=np.zeros((len(masks), 4)), conf=np.full(len(masks), 0.5), cls=np.zeros(len(masks)), id=None),
        masks=SimpleNamespace(data=np.reshape(masks, (-1, *SIZE)), xy=[]),
    ),
    "supervision": lambda masks: supervision(
        xyxy=np.zeros((len(masks), 4)), mask=np.reshape(masks, (-1, *SIZE)), confidence=None
    ),
    "Detectron2": lambda masks: Instances(pred_masks=np.reshape(masks, (-1, *SIZE))),
    "InstanceData": lambda masks: InstanceData(masks=np.reshape(masks, (-1, *SIZE))),
    "RLEs": lambda masks: InstanceData(masks=[Rle.encode(mask).to_coco() for mask in masks]),
    "SA-1B": lambda masks: {"annotations": [{"segmentation": mask} for mask in masks]},
    "torchvision": lambda masks: {
        "masks": np.reshape(masks, (-1, 1, *SIZE)).astype(np.float32),
        "boxes": np.zeros((len(masks), 4)),
        "labels": np.ones(len(masks), int),
        "scores": np.full(len(masks), 0.5),
    },
    "SAM 3": lambda masks: {"masks": np.reshape(masks, (-1, *SIZE)), "scores": np.full(len(masks), 0.5)},
    "pipeline": lambda masks: [{"label": "a", "mask": Image.fromarray(mask)} for mask in masks],
    "DetInferencer": lambda masks: {
        "predictions": [{**inferencer(0)["predictions"][0], "labels": [0] * len(masks), **boxes_and_rles(masks)}],
        "visualization": [],
    },
    "Roboflow": lambda masks: {**roboflow(0), "predictions": [in_roboflow(mask) for mask in masks]},
    "segments": lambda masks: {
        "segmentation": sum(((i + 1) * m.astype(int) for i, m in enumerate(apart(masks))), np.zeros(SIZE, int)),
        "segments_info": [{"id": i + 1, "label_id": 0, "score": 0.5} for i in range(len(masks))],
    },
    "COCO results": lambda masks: [
        {"image_id": 3, "category_id": 1, "segmentation": Rle.encode(mask).to_coco(), "score": 0.5} for mask in masks
    ],
    "GroundingDINO": lambda masks: (
        {"boxes": np.zeros((len(masks), 4)), "scores": np.full(len(masks), 0.5), "text_labels": ["a"] * len(masks)},
        np.reshape(masks, (-1, 1, *SIZE)),
    ),
    "a stack": lambda masks: np.reshape(masks, (-1, *SIZE)),
    "masks": list,
    "by id": lambda masks: dict(enumerate(masks, 1)),
}

rows = st.lists(st.sampled_from(["full", "empty", "none"]), max_size=6)


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
@given(kinds=rows)
@settings(max_examples=12)
def test_what_goes_in_comes_out_or_is_counted(columns, kinds):
    pixels = {"full": A, "empty": np.zeros(SIZE, bool), "none": np.zeros(SIZE, bool)}
    masks = [pixels[kind] for kind in kinds]
    found = counted(columns(masks))
    assert found == (kinds.count("full"), len(kinds) - kinds.count("full"))
