"""How large the network of SAM 3.1 is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PUBLISHED", "Architecture", "DetectorArchitecture"]


@dataclass(frozen=True, slots=True)
class DetectorArchitecture:
    """Sizes of the detector, where they are not those of the rest; the published model's by default.

    Attributes:
        vocabulary: tokens that the text encoder knows.
        text_width: channels of the text encoder.
        text_depth: layers of the text encoder.
        text_heads: attention heads of such a layer.
        text_mlp: hidden channels of such a layer.
        layers: of the encoder and of the decoder that find objects.
        heads: attention heads of such a layer.
        mlp: hidden channels of such a layer.
        queries: how many objects are looked for.
    """

    vocabulary: int = 49408
    text_width: int = 1024
    text_depth: int = 24
    text_heads: int = 16
    text_mlp: int = 4096
    layers: int = 6
    heads: int = 8
    mlp: int = 2048
    queries: int = 200


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of the network; the published model's by default.

    Attributes:
        image_size: side of the model's picture, in pixels.
        patch_size: side of a patch of it, in pixels.
        pretrain_size: side of the pictures for which the trunk's position codes were made, in pixels.
        trunk_width: channels of the trunk.
        trunk_depth: blocks of the trunk.
        trunk_heads: attention heads of a block.
        trunk_mlp: hidden channels of a block.
        window: side of the windows in which most blocks attend, in patches.
        global_blocks: the blocks that attend to the whole picture.
        hidden: channels of everything after the trunk.
        slots: objects in a bucket.
        candidates: masks that the decoder predicts of each object, of which one is taken.
        attention_layers: of memory attention.
        attention_heads: of memory attention.
        attention_mlp: hidden channels of memory attention.
        mask_channels: of the memory encoder, after each of its strided convolutions.
        fuser_layers: of the memory encoder.
        decoder_layers: of a mask decoder.
        decoder_heads: of a mask decoder.
        decoder_mlp: hidden channels of a mask decoder.
        quality_hidden: hidden channels of the head that predicts a mask's quality.
        prompt_channels: of the prompt encoder's convolutions.
        temporal_codes: rows of the table of temporal codes; one recent frame less is read.
        pointer_frames: frames from which pointers are read, counting the present one.
        prompt_frames: prompt frames that are read, the nearest.
        detector: of the detector.
    """

    image_size: int = 1008
    patch_size: int = 14
    pretrain_size: int = 336
    trunk_width: int = 1024
    trunk_depth: int = 32
    trunk_heads: int = 16
    trunk_mlp: int = 4736
    window: int = 24
    global_blocks: tuple[int, ...] = (7, 15, 23, 31)
    hidden: int = 256
    slots: int = 16
    candidates: int = 3
    attention_layers: int = 4
    attention_heads: int = 8
    attention_mlp: int = 2048
    mask_channels: tuple[int, ...] = (16, 64, 256, 1024)
    fuser_layers: int = 2
    decoder_layers: int = 2
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    quality_hidden: int = 256
    prompt_channels: int = 16
    temporal_codes: int = 7
    pointer_frames: int = 16
    prompt_frames: int = 4
    detector: DetectorArchitecture = DetectorArchitecture()

    @property
    def grid(self) -> int:
        """Side of the features at which objects are remembered, in cells."""
        return self.image_size // self.patch_size

    @property
    def mask_size(self) -> int:
        """Side at which masks enter the memory encoder, in pixels."""
        return 16 * self.grid


PUBLISHED = Architecture()
"""The model ``facebook/sam3.1``."""
