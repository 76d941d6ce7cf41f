"""The engines ``sam3``, ``sam2.1-*`` and ``edgetam``: SAM's video models through transformers, in one pass.

A video frame passes through these rooms, in this order:

    pictures    upload, resize, normalise, encode; a few frames ahead
    prompting   masks, points and boxes in the pixels of the model's picture
    text        what words name
    memory      what is remembered of each object, and how it is laid before the network
    network     the model of transformers, taken apart into stages that run for many objects at once
    attention   the stage that costs most: the frame in the light of the memories
    resampler   EdgeTAM's shorter memories
    repvit      EdgeTAM's backbone
    output      logits -> run-length encoded masks, without a picture of each object on the host
    snapshot    all that is remembered, as bytes
    spread      the objects of a pass on several devices
    devices     which those are
    session     the order of the above
    compiling   faster stages for a steady state, tested before they are used
    trouble     out of memory, and other errors of torch
    checkpoint  from a folder, the hub's cache or the hub
    model       what is loaded and shared by sessions; engine is what a caller sees
"""

from maskferry.engines._sam.engine import SamEngine

__all__ = ["SamEngine"]
