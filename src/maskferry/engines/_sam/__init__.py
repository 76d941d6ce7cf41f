"""The engines ``sam3``, ``sam2.1-*`` and ``edgetam``: SAM's video models through transformers, in one pass.

The modules, in the order in which a video frame passes through them:

    frame_encoder   upload, resize, normalise and encode frames; a few frames ahead
    prompting       masks, points and boxes in the pixels of the model's input
    text_detector   masks of what a text names
    memory_bank     what is remembered of each object, and batches of it for the network
    network         the model of transformers, split into stages that run for many objects at once
    attention       memory attention, the most expensive stage
    resampler       EdgeTAM's compressed memories
    repvit          EdgeTAM's backbone
    mask_encoding   logits -> run-length encoded masks, computed on the device
    snapshot        everything that is remembered, as bytes
    session         one pass over a video: the order of the above
    multi_device    one pass with its objects on several devices

What they stand on:

    engine          what a caller loads
    loaded_model    what an engine has loaded; its sessions share it
    checkpoint      loading from a folder, the hub's cache or the hub
    devices         which devices an engine runs on
    compiling       compiled stages, tested before they are used
    streams         CUDA streams: encoding beside tracking
    torch_errors    errors of torch as errors of this package; smaller batches when memory runs out
"""

from maskferry.engines._sam.engine import SamEngine

__all__ = ["SamEngine"]
