"""For notebooks: pictures of one frame or of several, with matplotlib (the extra ``viz``), and a player of films.

Pictures work without a screen, too.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from maskferry._own_files import SOFTWARE
from maskferry._palettes import Palette, check_palette
from maskferry.data import Frame, FrameMasks, Image
from maskferry.drawing import check_font, draw_overlay, fitting_zoom
from maskferry.errors import MissingExtraError
from maskferry.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PlotOptions", "check_notebook", "play_in_notebook", "plot_frame", "plot_frames"]


class PlotOptions(TypedDict, total=False):
    """How pictures are plotted, see `plot_frame`."""

    figsize: tuple[float, float] | None
    axis: str
    alpha: float
    labels: bool | Mapping[int, str]
    palette: Palette
    output: str | Path | None


def plot_frame(  # noqa: PLR0913
    frame: Frame,
    masks: FrameMasks,
    *,
    figsize: tuple[float, float] | None = None,
    axis: str = "off",
    alpha: float = 0.6,
    labels: bool | Mapping[int, str] = True,
    palette: Palette = "default",
    output: str | Path | None = None,
) -> Figure:
    """Plot one frame under its masks.

    Args:
        frame: the picture.
        masks: its objects.
        figsize: inches (width, height); by default as wide as a notebook, in the shape of the video.
        axis: "on" shows pixel coordinates, "off" hides them.
        alpha: opacity of the masks.
        labels: write ids, or {object id: name}.
        palette: colours of the objects, see `color_of`.
        output: also save the picture here, in a format that its suffix names; an earlier one is replaced.

    Raises:
        InputError: there is no such palette, or no such font.
        MissingExtraError: matplotlib is not installed.
    """
    check_palette(palette)
    check_font()
    draw = partial(draw_overlay, alpha=alpha, labels=labels, palette=palette)
    height, width = frame.image.shape[:2]
    figure, (axes,) = _figure(1, 1, figsize or (10, 10 * height / width + 0.4))
    _draw(axes, frame, masks, axis=axis, draw=draw)
    return _finish(figure, output)


def plot_frames(  # noqa: PLR0913
    frames: Sequence[tuple[Frame, FrameMasks]],
    *,
    ncols: int = 3,
    figsize: tuple[float, float] | None = None,
    axis: str = "off",
    alpha: float = 0.6,
    labels: bool | Mapping[int, str] = True,
    palette: Palette = "default",
    output: str | Path | None = None,
) -> Figure:
    """Plot several frames side by side; arguments as in `plot_frame`.

    Raises:
        InputError: there is no such palette, or no such font.
        MissingExtraError: matplotlib is not installed.
    """
    check_palette(palette)
    check_font()
    draw = partial(draw_overlay, alpha=alpha, labels=labels, palette=palette)
    ncols = max(1, min(ncols, len(frames)))
    nrows = max(1, math.ceil(len(frames) / ncols))
    height, width = frames[0][0].image.shape[:2] if frames else (1, 1)
    tile = 15 / ncols
    figure, all_axes = _figure(nrows, ncols, figsize or (15, nrows * (tile * height / width + 0.3)))
    for axes in all_axes[len(frames) :]:
        axes.axis("off")
    for axes, (frame, masks) in zip(all_axes, frames, strict=False):
        _draw(axes, frame, masks, axis=axis, draw=draw)
    return _finish(figure, output)


def check_notebook() -> None:
    """Refuse to play films where there is no notebook, before one is made.

    Raises:
        MissingExtraError: IPython is not installed.
    """
    try:
        import IPython.display  # noqa: F401
    except ModuleNotFoundError as err:
        raise MissingExtraError(
            "films are played in notebooks, which bring IPython: elsewhere save the film and open its file"
        ) from err


def play_in_notebook(path: str | Path, *, embed: bool = True, **options: Any) -> Any:  # noqa: ANN401
    """A film as something that a notebook plays: a cell that ends in it shows a player.

    Args:
        path: the film, such as `render` has written.
        embed: put the film into the notebook itself, so that it plays there without the file.
        options: of ``IPython.display.Video``.

    Returns:
        ``IPython.display.Video``.

    Raises:
        MissingExtraError: IPython is not installed.
    """
    check_notebook()
    from IPython import display

    player: Any = display.Video
    if not embed and (escaped := html.escape(str(path))) != str(path):  # IPython puts it into a page as it is
        return player(url=escaped, embed=False, **options)
    return player(str(path), embed=embed, **options)


def _signature(suffix: str) -> dict[str, Any]:
    """Options with which matplotlib writes into a picture that it is ours, so that the next one may replace it."""
    if suffix in (".jpg", ".jpeg"):
        return {"pil_kwargs": {"comment": SOFTWARE}}
    if suffix in (".tif", ".tiff"):
        return {"pil_kwargs": {"software": SOFTWARE}}
    keys = {".png": "Software", ".pdf": "Creator", ".svg": "Creator"}
    return {"metadata": {keys[suffix]: SOFTWARE}} if suffix in keys else {}


def _figure(nrows: int, ncols: int, figsize: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as err:
        raise MissingExtraError("pictures need matplotlib: pip install 'maskferry[viz]'") from err
    figure, axes = plt.subplots(nrows, ncols, figsize=figsize, squeeze=False, layout="constrained")
    return figure, list(axes.ravel())


def _draw(axes: Axes, frame: Frame, masks: FrameMasks, *, axis: str, draw: Callable[..., Image]) -> None:
    height, width = masks.size_hw
    picture = draw(frame.image, masks, zoom=fitting_zoom(masks.size_hw))
    axes.imshow(picture, extent=(-0.5, width - 0.5, height - 0.5, -0.5))  # ticks count the video's own pixels
    axes.axis(axis)
    time = "" if frame.info.time is None else f"  {frame.info.time:.2f} s"
    axes.set_title(f"frame {frame.index}{time}", fontsize=10)


def _finish(figure: Figure, output: str | Path | None) -> Figure:
    """Save where asked; show where there is a screen or a notebook, and close so that figures do not pile up."""
    import matplotlib.pyplot as plt

    if output is not None:
        with atomic_path(Path(output), overwrite=True) as part:
            figure.savefig(part, **_signature(part.suffix.lower()))
    if plt.get_backend().lower() != "agg":
        plt.show()
    plt.close(figure)
    return figure
