"""The engines ``sam3``, ``sam2.1-*`` and ``edgetam``: SAM's video models through transformers, in one pass.

The engine ``sam3.1`` is the package ``multiplex`` in this one. It has a network, a memory and a session of its own and
stands on the same modules otherwise.

The modules, in the order in which a video frame passes through them:

    preprocessing   upload, resize and normalise a frame's picture
    frame_encoder   the features of frames, a few frames ahead
    prompting       masks, points and boxes in the pixels of the model's input
    text_detector   masks of what a text names
    memory_bank     what is remembered of each object, and batches of it for the network
    memory_selection    which of the tracked frames are remembered, where it is not the last ones
    network         the model of transformers, split into stages that run for many objects at once
    stage_types     what passes between the stages
    attention       memory attention, the most expensive stage
    resampler       EdgeTAM's compressed memories
    repvit          EdgeTAM's backbone
    mask_encoding   logits -> run-length encoded masks, computed on the device
    reporting       the rows of a frame's result: masks, scores, states
    batching        objects in batches that become smaller when memory runs out
    session         one pass over a video: the order of the above
    multi_device    one pass with its objects on several devices
    snapshot        a session's memory bank as bytes
    packing         the form of these bytes

Loading, and what all of them stand on:

    engine          what a caller loads
    loading         a model onto a device
    loaded_model    what is loaded on a device; sessions share it
    weights_folder  the folder of an engine's weights, downloaded where needed
    checkpoint      a model of transformers from such a folder
    folder_detector the detector from such a folder
    devices         which devices an engine runs on, and in which precision
    compiling       compiled stages of these models
    stage_compiler  what compiled stages have in common: tested before they are used
    stage_checks    whether a compiled stage is as accurate as the plain one
    cuda_graph      a function of tensors, captured and replayed
    streams         CUDA streams: encoding beside tracking
    hooks           what a caller may watch or change in a session, for measurements
    torch_errors    errors of torch, translated into errors of this package
    untyped         names for objects of transformers without types
"""

from maskferry.engines._sam.engine import SamEngine
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.multiplex import MultiplexEngine

__all__ = ["MultiplexEngine", "SamEngine", "SessionHooks"]
