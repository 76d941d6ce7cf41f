"""The calls of samgeo's own notebooks about videos, cell by cell and in their order, with the import line changed.

What samgeo finds by words, an engine of the tests finds here; the films come from a server on this machine.
"""

from __future__ import annotations

import ast
import functools
import http.server
import threading
from pathlib import Path

import av
import matplotlib as mpl
import numpy as np
import pytest

from any_prompt_engine import AnyPromptEngine
from clips import make_clip
from helpers import read_picture, square_mask
from maskferry.samgeo import _samgeo3_video

mpl.use("agg")
COUNT = 25
SIZE_HW = (240, 448)
CARS = [(20, 100), (330, 195), (410, 190)]
PLAYERS = [(30 * i, 40 + 10 * i) for i in range(14)]

IMPORTS = "import os\n\nfrom maskferry.samgeo import SamGeo3Video, download_file"
BEGINNING = [IMPORTS, "sam = SamGeo3Video()", "video_path = download_file(url)", "sam.set_video(video_path)"]
SAVING = [
    "os.makedirs('output', exist_ok=True)\nsam.save_masks('output/masks')",
    "sam.save_video('output/film.mp4', fps=25)",
]
ENDING = ["sam.close()", "sam.shutdown()"]

WORDS = [
    *BEGINNING,
    "sam.show_video(video_path)",
    "sam.generate_masks('car')",
    "sam.show_frame(0, axis='on')",
    "sam.show_frames(frame_stride=20, ncols=3)",
    "sam.remove_object(2)\nsam.propagate()\nsam.show_frame(0)",
    "sam.add_point_prompts(points=[[335, 203]], labels=[1], obj_id=2, frame_idx=0)\nsam.propagate()\nsam.show_frame(0)",
    "sam.add_point_prompts(points=[[335, 195], [335, 220]], labels=[1, 0], obj_id=2, frame_idx=0)\n"
    "sam.propagate()\nsam.show_frames(frame_stride=20, ncols=3)",
    *SAVING,
    *ENDING,
]

POINTS = [
    *BEGINNING,
    "sam.show_video(video_path)",
    "sam.init_tracker()",
    "sam.show_frame(0, axis='on')",
    "sam.add_point_prompts([[300, 200]], [1], obj_id=1, frame_idx=0)",
    "sam.add_point_prompts([[420, 200]], [1], obj_id=2, frame_idx=0)",
    "sam.propagate()",
    "sam.show_frame(0, axis='on')",
    "sam.show_frames(frame_stride=20, ncols=3)",
    "sam.remove_object(2)\nsam.propagate()\nsam.show_frame(0)",
    "sam.add_point_prompts(points=[[335, 195], [335, 220]], labels=[1, 0], obj_id=1, frame_idx=0)\n"
    "sam.propagate()\nsam.show_frames(frame_stride=20, ncols=3)",
    *SAVING,
    *ENDING,
]

MASKS = [
    "import os\n\nimport numpy as np\n\nfrom maskferry.samgeo import SamGeo3Video, download_file",
    "video_path = download_file(url)",
    "sam = SamGeo3Video()",
    "sam.set_video(video_path)",
    "sam.generate_masks('car')",
    "sam.show_frame(0, axis='on')",
    """
found = sam._format_outputs().get(0, {})
masks, ids = [], []
for obj_id, mask in found.items():
    if isinstance(obj_id, int):
        masks.append(np.array(mask))
        ids.append(obj_id)
print(len(masks), ids)
""",
    "sam.init_tracker()",
    "for i, mask in enumerate(masks):\n    sam.add_mask_prompt(mask, obj_id=100 + i, frame_idx=0)",
    "sam.propagate()",
    "sam.show_frame(0, axis='on')",
    "sam.show_frames(frame_stride=20, ncols=3)",
    "sam.init_tracker()",
    "sam.add_masks_prompt(masks)",
    "sam.propagate()",
    "sam.show_frames(frame_stride=20, ncols=3)",
    *SAVING,
    *ENDING,
]

NAMES = [
    *BEGINNING,
    "sam.show_video(video_path)",
    "sam.generate_masks('player')",
    "names = {}\nfor i in range(15):\n    names[i] = f'Player {i}'\nsam.show_frame(0, axis='on', show_ids=names)",
    "sam.remove_object(obj_id=[5, 8, 12, 13])\nsam.propagate()\nsam.show_frame(0, show_ids=names)",
    SAVING[0],
    "sam.save_video('output/film.mp4', fps=60, show_ids=names)",
    "sam.show_video('output/film.mp4')",
    *ENDING,
]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Where a film can be downloaded."""
    folder = tmp_path_factory.mktemp("site")
    make_clip(folder / "cars.mp4", COUNT, size_hw=SIZE_HW)
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/cars.mp4"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def run_cell(source: str, names: dict) -> None:
    """Run a cell, and show its last line if that has a value."""
    cell = ast.parse(source)
    last = cell.body.pop() if isinstance(cell.body[-1], ast.Expr) else None
    exec(compile(cell, "cell", "exec"), names)
    if isinstance(last, ast.Expr):
        assert isinstance(repr(eval(compile(ast.Expression(last.value), "cell", "eval"), names)), str)


@pytest.fixture
def run(url, tmp_path, monkeypatch):
    """Runs a notebook in a folder of its own; gives its label maps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_samgeo3_video, "pick_engine", lambda: AnyPromptEngine(car=CARS, player=PLAYERS))

    def run(cells: list[str]) -> list[np.ndarray]:
        names = {"url": url}
        for cell in cells:
            run_cell(cell, names)
        with av.open("output/film.mp4") as container:
            assert sum(1 for _ in container.decode(video=0)) == COUNT
        return [read_picture(path) for path in sorted(Path("output/masks").iterdir())]

    return run


def squares(places: list[tuple[int, int]], first_id: int = 1) -> np.ndarray:
    """The label map of squares that do not overlap."""
    return sum((i * square_mask(SIZE_HW, *xy, 20) for i, xy in enumerate(places, first_id)), np.zeros(SIZE_HW, int))


def test_by_words(run):
    maps = run(WORDS)
    assert len(maps) == COUNT
    expected = squares([CARS[0]]) + 3 * square_mask(SIZE_HW, *CARS[2], 20)
    expected[195, 335] = 2
    assert all(np.array_equal(found, expected) for found in maps)


def test_by_points(run):
    maps = run(POINTS)
    assert len(maps) == COUNT
    assert all(np.argwhere(found).tolist() == [[195, 335]] for found in maps)


def test_by_masks_of_another_model(run, capsys):
    maps = run(MASKS)
    assert len(maps) == COUNT
    assert all(np.array_equal(found, squares(CARS, 100)) for found in maps)
    assert "3 [1, 2, 3]" in capsys.readouterr().out


def test_with_names(run):
    maps = run(NAMES)
    assert len(maps) == COUNT
    assert {int(i) for i in np.unique(maps[0])} == set(range(15)) - {5, 8, 12, 13}
