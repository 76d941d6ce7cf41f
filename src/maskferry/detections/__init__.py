"""Results of other models -> masks with names and scores; one duck-typed module each, which imports none of them.

ultralytics   Results of YOLO, SAM, ...
detectron2    Instances, the output of a predictor, panoptic output
torchvision   the dictionary of Mask R-CNN
huggingface   image-segmentation and mask-generation pipelines, post-processed instances and panoptic segments
grounding     boxes of a text-prompted detector with the masks that SAM made of them
sam           the list of SAM's automatic mask generator
supervision   Detections
base          the value that all of them give; plain arrays
"""

from __future__ import annotations

from maskferry.detections._columns import Detections
from maskferry.detections._reading import detect_kind, read_detections

__all__ = ["Detections", "detect_kind", "read_detections"]
