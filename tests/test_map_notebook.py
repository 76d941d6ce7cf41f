"""The notebook about series of GeoTIFFs runs from a clean kernel, and shows and writes what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "examples" / "geotiff_series.ipynb"

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:zmq")  # on Windows


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_it_is_kept_without_outputs():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code_cells(notebook))


@pytest.mark.slow
def test_it_runs_and_leaves_maps(tmp_path: Path) -> None:
    for needed in ("nbclient", "ipykernel", "pyogrio", "geopandas", "pyarrow", "matplotlib"):
        pytest.importorskip(needed, reason="needs the extras geo and test")
    import nbclient
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    streams = [o for cell in code_cells(notebook) for o in cell["outputs"] if o["output_type"] == "stream"]
    assert [o["text"] for o in streams if o["name"] != "stdout"] == []
    told = "".join(o["text"] for o in streams)
    assert "2 objects on 6 dates" in told
    assert "WGS 84 / UTM zone 33N 12 polygons, all valid: True" in told
    assert "EPSG:32633 [0, 1, 2]" in told
    pictures = [o for cell in code_cells(notebook) for o in cell["outputs"] if "image/png" in o.get("data", {})]
    assert len(pictures) == 3
    assert len(list((tmp_path / "maps").glob("*_mask.tif"))) == 6
    assert (tmp_path / "film.mp4").stat().st_size > 5_000
