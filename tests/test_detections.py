"""Results of other models, by objects of the same shape as the real ones: masks, names, scores, ids, and refusals."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import cv2
import numpy as np
import PIL.Image
import pytest

import maskferry
from format_samples import disk
from maskferry.detections import Detections, detect_kind, read_detections
from maskferry.detections._ultralytics import undo_letterbox
from maskferry.detections.registry import BUILT_IN, load_reader
from maskferry.errors import InputError, MaskResizedWarning
from maskferry.rle import Rle

SIZE = (90, 160)
A, B = disk((40, 40), 20, SIZE), disk((120, 50), 25, SIZE)
STACK = np.stack((A, B))
BOXES = np.array([[20, 20, 61, 61], [95, 25, 146, 76]], np.float32)


class Tensor:
    """As torch has it, on a device: numpy only by way of the CPU."""

    def __init__(self, values, on_cpu: bool = False):
        self.values, self.on_cpu = np.asarray(values), on_cpu

    shape = property(lambda self: self.values.shape)
    ndim = property(lambda self: self.values.ndim)
    dtype = property(lambda self: f"torch.{self.values.dtype}")

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return (Tensor(v) for v in self.values)

    def __getitem__(self, key):
        return Tensor(self.values[key])

    def __array__(self, *_, **__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def detach(self):
        return self

    def cpu(self):
        return Tensor(self.values, on_cpu=True)

    def numpy(self):
        if not self.on_cpu:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self.values


def letterbox(mask: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """As ultralytics brings a picture to the size of its model (``LetterBox`` of ``data/augment.py``)."""
    (height, width), (h, w) = mask.shape, size_hw
    gain = min(h / height, w / width)
    inner = round(width * gain), round(height * gain)
    pad_x, pad_y = (w - inner[0]) / 2, (h - inner[1]) / 2
    resized = cv2.resize(mask.astype(np.uint8), inner, interpolation=cv2.INTER_LINEAR)
    borders = (round(pad_y - 0.1), round(pad_y + 0.1), round(pad_x - 0.1), round(pad_x + 0.1))
    return cv2.copyMakeBorder(resized, *borders, cv2.BORDER_CONSTANT, value=0) > 0


def results(masks=None, boxes="default", size=(64, 96)):
    """ultralytics."""
    if masks is None:
        masks = SimpleNamespace(data=Tensor(np.stack([letterbox(m, size) for m in STACK]).astype(np.float32)), xy=[])
    if boxes == "default":
        boxes = Columns(xyxy=Tensor(BOXES), conf=Tensor([0.9, 0.4]), cls=Tensor([0.0, 2.0]), id=None)
    return SimpleNamespace(
        orig_shape=SIZE, names={0: "person", 2: "car"}, path="a.jpg", orig_img=None, boxes=boxes, masks=masks
    )


class Columns(SimpleNamespace):
    def __len__(self):
        return len(self.xyxy)


class Instances:
    """Detectron2."""

    def __init__(self, size, **fields):
        self.image_size, self._fields = size, fields

    def has(self, name):
        return name in self._fields

    def __getattr__(self, name):
        if name.startswith("_") or name not in self._fields:
            raise AttributeError(name)
        return self._fields[name]


def instances(**more):
    fields = {"scores": Tensor([0.9, 0.4]), "pred_classes": Tensor([0, 2]), "pred_masks": Tensor(STACK), **more}
    return Instances(SIZE, pred_boxes=SimpleNamespace(tensor=Tensor(BOXES)), **fields)


def label_map(*values):
    return Tensor(np.select([A, B], values, 0 if values[0] else -1).astype(np.int32))


def torchvision():
    soft = np.where(STACK, 0.8, 0.3).astype(np.float32)[:, None]
    return {
        "boxes": Tensor(BOXES),
        "labels": Tensor(np.array([1, 3])),
        "scores": Tensor([0.9, 0.4]),
        "masks": Tensor(soft),
    }


def post_processed(*ids):
    infos = [
        {"id": i, "label_id": k, "score": s, "was_fused": False}
        for i, k, s in zip(ids, (0, 2), (0.9, 0.4), strict=True)
    ]
    return {"segmentation": label_map(*ids), "segments_info": infos}


def grounding():
    return {"boxes": Tensor(BOXES), "labels": ["person", "car"], "scores": Tensor([0.9, 0.4])}


def pipeline():
    names = zip((A, B), ("person", "car"), (0.9, 0.4), strict=True)
    return [
        {"score": s, "label": n, "mask": PIL.Image.fromarray(m.astype(np.uint8) * np.uint8(255))} for m, n, s in names
    ]


def generator(rle=None):
    def form(mask):
        if rle == "counts":
            return {"size": list(SIZE), "counts": Rle.encode(mask).runs.tolist()}
        return Rle.encode(mask).to_coco() if rle else mask

    return [
        {
            "segmentation": form(m),
            "bbox": [1, 2, 3, 4],
            "area": int(m.sum()),
            "predicted_iou": s,
            "stability_score": 0.97,
            "crop_box": [0, 0, 160, 90],
            "point_coords": [[3.0, 4.0]],
        }
        for m, s in ((A, 0.9), (B, 0.4))
    ]


def supervision(**more):
    fields = {
        "xyxy": BOXES,
        "mask": STACK,
        "confidence": np.array([0.9, 0.4], np.float32),
        "class_id": np.array([0, 2]),
        "tracker_id": np.array([5, 3]),
        "data": {"class_name": np.array(["person", "car"])},
        "metadata": {},
    }
    return SimpleNamespace(**{**fields, **more})


WORDS, NUMBERS, NONE = ["person", "car"], ["class 0", "class 2"], [None, None]
PANOPTIC = (
    label_map(4, 9),
    [
        {"id": 4, "isthing": True, "category_id": 0, "score": 0.9},
        {"id": 9, "isthing": True, "category_id": 2, "score": 0.4},
        {"id": 2, "isthing": False, "category_id": 21, "area": 5},
    ],
)

EXACT = [
    ("ultralytics Results", results(SimpleNamespace(data=Tensor(STACK), xy=[])), WORDS),  # retina_masks=True
    ("ultralytics Results", [results(SimpleNamespace(data=Tensor(STACK), xy=[]))], WORDS),
    ("Detectron2 output", instances(), NUMBERS),
    ("Detectron2 output", {"instances": instances(), "panoptic_seg": PANOPTIC}, NUMBERS),
    ("Detectron2 output", {"panoptic_seg": PANOPTIC}, NUMBERS),
    ("Detectron2 output", PANOPTIC, NUMBERS),
    ("torchvision Mask R-CNN", torchvision(), ["class 1", "class 3"]),
    ("torchvision Mask R-CNN", [torchvision()], ["class 1", "class 3"]),
    ("image-segmentation pipeline", pipeline(), WORDS),
    ("mask-generation pipeline", {"masks": [A, B], "scores": Tensor([0.9, 0.4])}, NONE),
    (
        "mask-generation pipeline",
        {"masks": Tensor(STACK), "scores": [0.9, 0.4], "rle_mask": [], "bounding_boxes": []},
        NONE,
    ),
    ("segmentation with segments_info", post_processed(1, 2), NUMBERS),
    ("segmentation with segments_info", post_processed(0, 1), NUMBERS),  # background is -1
    ("segmentation with segments_info", [{**post_processed(1, 2), "segmentation": Tensor(STACK)}], NUMBERS),
    ("GroundingDINO + SAM", (grounding(), Tensor(STACK[:, None])), WORDS),
    ("GroundingDINO + SAM", ({**grounding(), "labels": Tensor([0, 2]), "text_labels": WORDS}, STACK), WORDS),
    ("GroundingDINO + SAM", (grounding(), [Tensor(STACK[:, None])]), WORDS),
    ("GroundingDINO + SAM", {**grounding(), "masks": Tensor(STACK[:, None])}, WORDS),
    ("SAM's mask generator", generator(), NONE),
    ("SAM's mask generator", generator("coco"), NONE),
    ("SAM's mask generator", generator("counts"), NONE),
    ("supervision.Detections", supervision(), WORDS),
    ("supervision.Detections", supervision(data={}), NUMBERS),
]


@pytest.mark.parametrize(("kind", "value", "labels"), EXACT, ids=lambda v: v if isinstance(v, str) else None)
def test_every_kind_is_read_exactly(kind, value, labels):
    inner = value[0] if isinstance(value, list) and detect_kind(value) is None else value
    assert detect_kind(inner) == kind
    found = read_detections(value, SIZE)
    assert [m.dtype for m in found.masks] == [np.bool_] * 2
    np.testing.assert_array_equal(np.stack(found.masks), STACK)
    assert found.scores == pytest.approx([0.9, 0.4])
    assert found.labels == labels
    assert found.object_ids == ([5, 3] if kind == "supervision.Detections" else None)
    best = read_detections(value, SIZE, min_score=0.5)
    assert (len(best), best.labels) == (1, labels[:1])
    if labels[0] and labels[0].startswith("class"):
        named = read_detections(value, SIZE, names=["a", "b", "c", "d"])
        assert named.labels == [chr(ord("a") + int(label.split()[1])) for label in labels]


@pytest.mark.parametrize("size", [(64, 96), (384, 640), (640, 640), (160, 160), (33, 95)])
def test_letterboxing_is_undone(size):
    found = read_detections(results(size=size), SIZE)
    for mask, wanted in zip(found.masks, (A, B), strict=True):
        assert (mask & wanted).sum() / (mask | wanted).sum() > (0.97 if min(size) > 100 else 0.88)
    np.testing.assert_array_equal(undo_letterbox(A, SIZE), A)


def test_a_picture_of_another_size_than_the_video():
    with pytest.warns(MaskResizedWarning, match="resized"):
        found = read_detections(results(), (180, 320))
    assert found.masks[0].shape == (180, 320)


def test_ultralytics_by_outlines():
    contours = [cv2.findContours(m.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0][0] for m in STACK]
    masks = SimpleNamespace(data=None, xy=[c[:, 0].astype(np.float32) for c in contours])
    np.testing.assert_array_equal(np.stack(read_detections(results(masks), SIZE).masks), STACK)


def test_ultralytics_ids_and_results_of_sam(caplog):
    boxes = Columns(xyxy=Tensor(BOXES), conf=Tensor([0.9, 0.4]), cls=Tensor([0.0, 2.0]), id=Tensor([7.0, 2.0]))
    exact = SimpleNamespace(data=Tensor(STACK), xy=[])
    assert read_detections(results(exact, boxes), SIZE).object_ids == [7, 2]
    boxes.id = Tensor([0.0, 2.0])
    with caplog.at_level(logging.WARNING):
        assert read_detections(results(exact, boxes), SIZE).object_ids is None
    assert "no object ids" in caplog.text
    found = read_detections(results(exact, None), SIZE)
    assert (found.labels, found.scores) == (NONE, NONE)


def test_rows_with_an_empty_mask_are_left_out(caplog):
    stack = np.stack((np.zeros(SIZE, bool), B))
    with caplog.at_level(logging.WARNING):
        found = read_detections(supervision(mask=stack), SIZE)
    assert "1 of 2 masks are empty" in caplog.text
    assert (found.labels, found.object_ids) == (["car"], [3])


def test_background_of_torchvision_is_left_out():
    value = {**torchvision(), "labels": Tensor(np.array([0, 3]))}
    assert read_detections(value, SIZE).labels == ["class 3"]


def test_plain_arrays_are_as_ever():
    for value in (STACK, STACK[:, None], [A, B], [A.astype(float) * 0.9, B.astype(np.uint8) * 255], Tensor(STACK)):
        found = read_detections(value, SIZE)
        np.testing.assert_array_equal(np.stack(found.masks), STACK)
        assert (found.labels, found.scores, found.object_ids) == (NONE, NONE, None)
    with maskferry.MaskTracker(VIDEO, engine="hold") as tracker:
        with pytest.raises(InputError, match=r"masks\[1\] is empty"):
            tracker.add_masks_prompt([A, np.zeros(SIZE)])
        with pytest.raises(InputError, match="at least one mask"):
            tracker.add_masks_prompt([])


class Strange:
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Strange(), r"cannot read test_detections\.Strange; expected a stack .*ultralytics Results, supervision"),
        ({"logits": 1, "pred_boxes": 2}, "cannot read dict with the keys logits, pred_boxes; expected"),
        (7, "cannot read int"),
        ([results(), results()], "ultralytics Results of 2 pictures; pass that of one"),
        ([torchvision(), torchvision()], "torchvision Mask R-CNN of 2 pictures"),
        (results(boxes=Columns(xyxy=BOXES)).__class__(**{**vars(results()), "masks": None}), "without masks"),
        (supervision(mask=None), "without masks"),
        (Instances(SIZE, scores=[1]), "without pred_masks"),
        (instances(pred_masks=Tensor(np.ones((2, 28, 28)))), "paste them first"),
        ((label_map(1, 2), None), "segments_info is None"),
        ({k: v for k, v in torchvision().items() if k != "masks"}, "boxes without masks"),
        ({**torchvision(), "masks": Tensor(np.ones((2, 2, 9, 9)))}, r"expected masks \(N, 1, H, W\)"),
        (grounding(), "boxes without masks"),
        ((grounding(), Tensor(np.ones((2, 3, 90, 160)))), "multimask_output=False"),
        ((grounding(), STACK[:1]), "a mask for each of 2 boxes, got 1"),
        ({"masks": [A, B], "scores": [0.5]}, r"scores: expected a finite number for each of 2"),
        ({"masks": [A, B], "scores": [0.5, float("nan")]}, r"scores: expected a finite number"),
        ({"segmentation": [[1, 2]], "segments_info": [{"id": 1}]}, "return_coco_annotation"),
        ({"segmentation": Tensor(np.ones(5)), "segments_info": [{"id": 1}]}, r"expected \(H, W\)"),
        ([{"segmentation": {"size": [90, 160], "counts": "~"}}], r"SAM's masks\[0\]\.segmentation: RLE"),
        ([{"segmentation": A[40]}], r"SAM's masks: masks\[0\]: expected \(H, W\)"),
    ],
)
def test_what_cannot_be_read_is_refused(value, message):
    with pytest.raises(InputError, match=message):
        read_detections(value, SIZE)


@pytest.mark.parametrize(
    "value",
    [
        results().__class__(**{**vars(results()), "masks": None, "boxes": Columns(xyxy=[])}),
        {**torchvision(), **{k: Tensor(np.empty((0, *s))) for k, s in (("masks", (1, 9, 9)), ("labels", ()))}},
        {"segmentation": label_map(1, 2), "segments_info": []},
        {"masks": [], "scores": []},
        supervision(xyxy=np.empty((0, 4)), mask=None),
    ],
)
def test_nothing_found(value):
    assert len(read_detections(value, SIZE)) == 0
    with maskferry.MaskTracker(np.zeros((2, *SIZE, 3), np.uint8), engine="hold") as tracker:
        with pytest.raises(InputError, match="nothing was found"):
            tracker.add_masks_prompt(value)
        assert tracker.tracks.object_ids == ()


def test_detections_go_through_and_are_checked():
    found = Detections([A], [0.4], ["x"], [3])
    assert read_detections(found, SIZE).object_ids == [3]
    assert len(read_detections(found, SIZE, min_score=0.5)) == 0
    with pytest.warns(MaskResizedWarning):
        assert read_detections(found, (45, 80)).masks[0].shape == (45, 80)
    assert len(read_detections({1: A, 2: B}.values(), SIZE)) == 2
    assert len(read_detections((m for m in STACK), SIZE)) == 2


def test_lengths_must_agree():
    with pytest.raises(InputError, match="for each of 1 masks"):
        Detections([A], [0.1, 0.2])


VIDEO = np.zeros((4, *SIZE, 3), np.uint8)


@pytest.mark.parametrize(("kind", "value", "labels"), EXACT, ids=lambda v: v if isinstance(v, str) else None)
def test_the_session_takes_it_as_it_is(kind, value, labels):
    with maskferry.MaskTracker(VIDEO, engine="hold") as tracker:
        ids = tracker.add_masks_prompt(value, frame_idx=1)
        assert ids == ([5, 3] if kind == "supervision.Detections" else [100, 101])
        tracks = tracker.propagate()
        assert tracks.labels == {i: name for i, name in sorted(zip(ids, labels, strict=True)) if name}
        assert tracks.given_scores == pytest.approx(dict(sorted(zip(ids, (0.9, 0.4), strict=True))))
        np.testing.assert_array_equal(tracks[3].mask(ids[1]), B)
        np.testing.assert_array_equal(tracks[1].mask(ids[0]), A)
        tracker.reset()
        assert tracker.tracks.given_scores == {}


def test_track_takes_it_as_it_is_and_goes_on(tmp_path):
    for value, ids in ((pipeline(), (100, 101)), (supervision(), (3, 5)), ({4: A, 9: B}, (4, 9)), (A, (100,))):
        path = tmp_path / f"{ids}.sqlite"
        for _ in range(2):
            with maskferry.track(VIDEO, value, engine="hold", tracks=path) as tracks:
                assert tracks.object_ids == ids
                assert len(tracks) == 4
    found = read_detections(torchvision(), SIZE, names={1: "a", 3: "b"}, min_score=0.5)
    assert maskferry.track(VIDEO, found, engine="hold").labels == {100: "a"}


def test_own_ids_and_labels_go_first():
    with maskferry.MaskTracker(VIDEO, engine="hold") as tracker:
        assert tracker.add_masks_prompt(supervision(), [8, 9], labels=["x", None]) == [8, 9]
        assert tracker.tracks.labels == {8: "x"}
        with pytest.raises(InputError, match="labels: expected one for each of 2"):
            tracker.add_masks_prompt(supervision(), labels=["x"])


def test_none_of_the_packages_is_imported():
    named = {"ultralytics", "detectron2", "torchvision", "transformers", "supervision"}
    for spec in BUILT_IN:
        imported = {getattr(v, "__module__", "").split(".")[0] for v in vars(load_reader(spec)).values()}
        assert not imported & named


# --- the real objects, where they are installed -----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_tensors_of_torch():
    torch = pytest.importorskip("torch")
    value = {key: torch.from_numpy(tensor.values) for key, tensor in torchvision().items()}
    found = read_detections([value], SIZE)
    np.testing.assert_array_equal(np.stack(found.masks), STACK)
    halved = read_detections({"masks": torch.from_numpy(STACK).bfloat16(), "scores": torch.tensor([0.9, 0.4])}, SIZE)
    np.testing.assert_array_equal(np.stack(halved.masks), STACK)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("maps", [False, True])
def test_the_post_processor_of_transformers(maps):
    torch = pytest.importorskip("torch")
    module = pytest.importorskip("transformers.models.maskformer.image_processing_pil_maskformer")
    logits = torch.full((1, 3, 4), -9.0)  # queries x classes, the last of which is "nothing"
    logits[0, 0, 2] = logits[0, 1, 0] = logits[0, 2, 3] = 9.0
    masks = torch.from_numpy(np.where(np.stack((A, B, A)), 9.0, -9.0).astype(np.float32))[None]
    outputs = SimpleNamespace(class_queries_logits=logits, masks_queries_logits=masks)
    processor = module.MaskFormerImageProcessorPil()
    for value in (
        processor.post_process_instance_segmentation(outputs, return_binary_maps=maps),
        processor.post_process_panoptic_segmentation(outputs, label_ids_to_fuse=set()),
    ):
        found = read_detections(value, SIZE, names={0: "person", 2: "car"})
        assert sorted(found.labels) == ["car", "person"]
        assert all(score > 0.9 for score in found.scores)
        for label, mask in zip(found.labels, found.masks, strict=True):
            wanted = A if label == "car" else B  # panoptic output gives every pixel to somebody
            np.testing.assert_array_equal(mask & (A | B), wanted)
