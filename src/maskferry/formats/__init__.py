"""Files that masks and tracks are read from and written to; one format a module, reading and writing side by side.

    seeds        anything that ``--masks`` takes -> prompts
    davis        label maps, a PNG or TIFF a frame
    binary       one black and white picture for each object
    youtube_vis  YouTube-VIS JSON: every object of a video in one file
    coco         segmentations as COCO writes them: RLE or polygons
    table        CSV, a row for each object on each frame
    film         MP4 with the masks drawn over the frames
    sound        the sound under a film
    images       pictures on disk, for the modules above

Every writer takes the `VideoInfo` and an iterable of `FrameTracks` in the order of frames (`film` takes the pictures
too), holds one frame at a time, and checks its options and its output path before it asks for the first frame.
"""
