"""The embedded engines ``flow`` and ``flow-accurate``: optical flow and a small appearance model, without weights.

A video frame passes through these rooms, in this order:

    grid          the size at which all of it is computed, and the way there and back
    motion        dense flow both ways, how far it can be trusted, the camera's motion
    features      what a cell looks like: colour and texture, and their random-feature map
    compiled      how inner loops become machine code
    workers       two threads for what can be done at once
    linear        Gram matrices and systems, in pieces that stay on one thread
    scene         all of these, once a frame, shared by all objects
    place         where a cell lies in an object: coordinates that move and grow with it
    appearance    one ridge classifier an object: what belongs to it, what is its background
    propagation   one object's evidence: where the flow carries it, what looks and moves like it
    segmentation  evidence -> mask, by weighted total variation
    recovery      finding an object again that was hidden, left the picture, or was cut away
    competition   one pixel, one object
    target        what is remembered of an object; its normal equations, area and state
    windows       a finer lattice for a small object
    sharing       masks in pixels that share nothing
    scoring       how far a mask can be believed
    snapshot      all that is remembered, as bytes
    session       the order of the above; options and engine are what a caller sees
"""

from maskferry.engines._flow.engine import AccurateFlowEngine, FlowEngine
from maskferry.engines._flow.options import FlowOptions

__all__ = ["AccurateFlowEngine", "FlowEngine", "FlowOptions"]
