"""What made clips show, and how often: the numbers of the generator in one place."""

from dataclasses import dataclass

Span = tuple[float, float]


@dataclass(frozen=True)
class Recipe:
    """Chances are per clip or per object; a ``Span`` is drawn from evenly, or evenly in the logarithm where so said.

    Lengths are in units of half the window's side (the clip's height is 2), angles in radians, speeds per step.
    A step is the mean gap between two frames of a clip, about four frames of a film.
    """

    # time: gap i of a clip is (1 + growth * i) * jitter
    growth: Span = (0.0, 0.8)
    jitter: Span = (0.6, 1.4)

    # background and camera
    procedural_background: float = 0.02
    still_camera: float = 0.2
    camera_speed: Span = (0.01, 0.25)  # log
    zoom: Span = (0.32, 0.8)  # photo units per view unit
    shake: float = 0.3
    attached: float = 0.5  # an object that stands in the scene; else it moves on its own
    parallax: Span = (0.7, 1.5)

    # roles beside the target
    part: float = 0.5  # a second thing that moves with the target and belongs to it
    emerging: float = 0.4  # of parts: hidden behind the target at first, it comes into view
    companion: float = 0.2  # a thing that touches the target and does not belong to it
    lookalike: float = 0.3
    lookalike_crosses: float = 0.55
    other: float = 0.36  # each of three
    occluder: float = 0.38
    occluder_stays: float = 0.35
    occluder_hides: float = 0.4
    occluder_attached: float = 0.5

    # kinds of objects: silhouette, cut-out, turntable, skeleton
    kinds: tuple[float, float, float, float] = (0.36, 0.2, 0.14, 0.3)
    bodies: tuple[float, float, float] = (0.45, 0.4, 0.15)  # of skeletons: random, human, four-footed
    dressed: float = 0.5  # of skeletons: limbs of colours far apart, as clothes have
    thin_part: float = 0.25  # a part that is lines, a pole or wheels
    wheels: float = 0.4  # of thin things
    thin: Span = (0.004, 0.018)  # log; half their width, 1 to 6 px of 384
    low_contrast: float = 0.22  # textured from the clip's own background
    plain: float = 0.3  # texture of weak contrast

    # the target's size: half of its longer side
    usual_size: float = 0.4
    size: Span = (0.32, 0.76)
    any_size: Span = (0.15, 1.3)  # log
    other_size: Span = (0.14, 0.8)  # log

    # motion
    still: float = 0.08
    speed: Span = (0.03, 0.36)  # log; 1 to 12 % of the window
    turn: Span = (0.01, 0.25)  # log
    deep: float = 0.25  # strong change of scale
    growth_total: Span = (0.3, 1.3)  # log of the scale's change over the clip if deep; exp(1.4) = 4
    leaves: float = 0.1
    jumps: float = 0.1
    deform: Span = (0.02, 0.3)  # log; swirl and elastic motion
    limb_swing: Span = (0.05, 0.9)  # log
    azimuth: Span = (0.08, 0.9)  # log
    drift: float = 0.3

    # light
    shadow: float = 0.35
    reflection: float = 0.08
    specular: float = 0.25
    light_drift: float = 0.4

    # camera
    motion_blur: float = 0.35
    shutter: Span = (0.08, 0.4)  # of a step's motion
    defocus: float = 0.25
    target_defocus: float = 0.08
    rescale: float = 0.3
    coarse: Span = (0.35, 0.9)  # of the rescaled: their resolution
    chroma: float = 0.5
    noise: float = 0.6
    compression: float = 0.5
