"""The embedded engines ``flow`` and ``flow-accurate``: optical flow, a small appearance model and a memory network.

A frame passes through these modules, in this order:

    grid          the size at which all of it is computed, and the way there and back
    motion        dense flow both ways, how far it can be trusted, the camera's motion
    scene         what a cell looks like, whether a frame begins a new shot; all of a frame that objects share
    appearance    one ridge classifier an object: what belongs to it, what is its background
    propagation   one object's evidence: where the flow carries it, what moves like it; where to look for a lost one
    lens          what the network looks at: a window around an object, at a scale that suits it
    network       the memory network's three graphs, and how they are run
    viewing       how many objects are looked at: shared pictures, fewer pixels each, on the workers
    recollection  what the network remembers of one object, and what it sees of it
    recognition   the network's part in a frame, beside the thread that does all the rest
    segmentation  evidence -> mask, by weighted total variation; one pixel, one object
    score         how far a mask can be believed
    target        what is remembered of an object: its normal equations, area and state
    finding       the order of the above for one object; the finer lattice of a small one
    session       the order of the above for a frame; masks in pixels that share nothing
    snapshot      all that is remembered, as bytes
    options       the numbers of the method, and its presets
    engine        what a caller loads
    timing        the stages of a frame, for measurements
"""

from maskferry.engines._flow.engine import AccurateFlowEngine, FlowEngine
from maskferry.engines._flow.options import FlowOptions

__all__ = ["AccurateFlowEngine", "FlowEngine", "FlowOptions"]
