"""The engine ``sam3.1``: SAM 3.1 (object multiplex), its network written here.

What it shares with the other SAM engines stands in the package above. The modules, in the order in which a video frame
passes through them:

    trunk              the picture encoder
    memory_attention   a frame's features, conditioned on the memories of each bucket
    mask_decoder       masks of all slots of a bucket, or of a prompted object
    prompt_encoder     points, boxes and masks as the mask decoder takes them
    memory_encoder     the masks of a bucket and the frame as one memory
    network            these in stages that run for many buckets at once
    stage_types        what passes between the stages
    positions          position codes
    layers             small parts that the network is built of
    buckets            buckets of objects, what is remembered of them, and for how long
    bucket_bank        which slot an object gets, and how the others are left alone
    group_tracker      tracking and taking in prompts on one device
    detector           what words name, found on the trunk's output
    session            one pass over a video: the order of the above
    snapshot           a session's buckets as bytes

Loading:

    engine             what a caller loads
    architecture       how large the network is
    checkpoint         the published file, read strictly
    detector_names     where the detector's tensors stand in it
    tokenizer          of words, which is CLIP's
    loading            a model onto a device
    loaded_model       what is loaded on a device; sessions share it
    compiling          compiled stages
    attention_kernels  the fastest kernel for memory attention, found by timing
    short_heads_kernel one of our own, in Triton
"""

from maskferry.engines._sam.multiplex.engine import MultiplexEngine

__all__ = ["MultiplexEngine"]
