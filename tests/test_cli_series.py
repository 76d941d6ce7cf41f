"""The command line on series of GeoTIFFs: from outlines on one date to maps, areas and a film with dates."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyogrio", reason="needs the extra geo")
pytest.importorskip("geopandas", reason="writes files of polygons")

import geopandas
import rasterio
import shapely

import maskferry
from geo_series import TRANSFORM, UTM, lake_series, land, write_tif
from kills import count_steps, kill_before
from maskferry.cli import main
from maskferry.errors import OutputExistsError
from maskferry.outputs import Outputs
from maskferry.prompts import GivenFiles
from maskferry.whole_run import Request, carry_out


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a series of six dates and outlines of two lakes."""
    lake_series(tmp_path / "scenes", 6)
    shapes = [
        shapely.Point(TRANSFORM[2] + 800, TRANSFORM[5] - 600).buffer(300),
        shapely.box(450_050, 5_599_000, 450_200, 5_599_200),
    ]
    table = geopandas.GeoDataFrame({"nr": [3, 5], "lake": ["great", "small"]}, geometry=shapes, crs=UTM)
    table.to_crs(4326).to_file(tmp_path / "lakes.gpkg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def track(*arguments: str) -> int:
    return main(["track", "scenes", "--engine", "hold", "-o", "out", *arguments])


def test_a_series_from_outlines_to_maps(place: Path, capsys) -> None:
    given = ["--masks", "2020-02-21=lakes.gpkg", "--id-field", "nr", "--label-field", "lake", "--bands", "3,2,1"]
    assert track(*given, "--write", "geotiff,gpkg,geojson,geoparquet,areas,film,sheet", "--json") == 0
    told = capsys.readouterr()
    report = json.loads(told.out)
    assert [row["label"] for row in report["objects"]] == ["great", "small"]
    assert report["dates"][0] == "2020-01-21T00:00:00+00:00"
    assert "6 frames, 2020-01-21 to 2020-06-21" in told.err
    assert "one stretch for all dates" in told.err
    with rasterio.open(place / "out" / "maps" / "scene_20200321_mask.tif") as file:
        assert set(np.unique(file.read(1)).tolist()) == {0, 3, 5}
    found = geopandas.read_file(place / "out" / "objects.gpkg", layer="objects")
    assert len(found) == 12
    assert found.state.tolist().count("given") == 2
    with maskferry.open_source(place / "out" / "overlay.mp4") as film:
        assert float(film.info.frame_count / film.info.rate) == 3
    assert track(*given, "--write", "csv") == 0  # what is missing of a finished run
    assert track(*given, "--bands", "1,2,3", "--write", "csv") == 2
    assert "opened otherwise (--bands, --stretch)" in capsys.readouterr().err


def test_exports_need_no_source(place: Path) -> None:
    assert track("--masks", "lakes.gpkg", "--write", "none") == 0
    shutil.rmtree(place / "scenes")
    for kind, name in (("gpkg", "o.gpkg"), ("geotiff", "maps"), ("areas", "a.csv"), ("geojson", "o.geojson")):
        assert main(["export", "out", "--format", kind, "-o", name]) == 0
    with (place / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["observed"] for row in rows} == {"1.0"}


def test_dates_stand_wherever_a_frame_does(place: Path, capsys) -> None:
    dates = ["--frame", "2020-03-21", "--start", "2020-02-21", "--stop", "2020-05-21"]
    assert track("--masks", "lakes.gpkg", *dates, "--write", "none") == 0
    with maskferry.Tracks.open(place / "out" / "tracks.sqlite") as tracks:
        assert list(tracks) == [1, 2, 3]
        assert tracks.digest()
    capsys.readouterr()
    assert main(["inspect", "2020-04-21=lakes.gpkg", "--video", "scenes", "--id-field", "nr"]) == 0
    assert "3" in capsys.readouterr().out
    for wrong, message in (("2020-04-22", "no frame of 2020-04-22"), ("spring", "expected a frame's number")):
        assert track("--masks", "lakes.gpkg", "--frame", wrong) == 2
        assert message in capsys.readouterr().err


def test_options_of_series(place: Path, capsys) -> None:
    options = [
        "--grid",
        "union",
        "--bounds",
        "450100,5599200,451000,5599900",
        "--nodata",
        "0",
        "--stretch",
        "1,99,percent",
    ]
    options += ["--dates", "scene_%Y%m%d", "--resampling", "nearest", "--resolution", "20"]
    assert track("--masks", "lakes.gpkg", *options, "--write", "none", "--overwrite") == 0
    assert "warped to it: scene_20200121.tif (pixels of 10)" in capsys.readouterr().err
    with maskferry.Tracks.open(place / "out" / "tracks.sqlite") as tracks:
        assert tracks.video.size_hw == (35, 45)
        assert tracks.video.recipe is not None
        assert tracks.video.recipe.resampling == "nearest"
    capsys.readouterr()
    for wrong, message in (("--bounds=1,2", "--bounds: expected LEFT"), ("--bands=9", "bands 1 to 3, got 9")):
        assert track("--masks", "lakes.gpkg", wrong, "--overwrite") == 2
        assert message in capsys.readouterr().err


def test_maps_of_a_plain_video_are_refused_before_anything_is_done(place: Path, capsys) -> None:
    from PIL import Image

    Image.new("RGB", (40, 30)).save(place / "a.png")
    Image.fromarray(np.eye(30, 40, dtype=np.uint8) * 255).save(place / "m.png")
    assert main(["track", "a.png", "--masks", "m.png", "-o", "o2", "--write", "gpkg", "--engine", "hold"]) == 2
    assert "lies on no map" in capsys.readouterr().err
    assert not (place / "o2").exists()


@pytest.mark.slow
def test_a_killed_run_is_resumed_to_the_byte(place: Path) -> None:
    """Wherever it is killed: frames, what is valid of them, maps and areas."""

    def run_in(folder: Path) -> None:
        given = GivenFiles(("2020-02-21=lakes.gpkg",))
        outputs = Outputs(folder, ("geotiff", "geojson", "areas"))
        try:
            carry_out(Request("scenes", given, outputs, "hold", limits=("2020-02-21", None)))
        except OutputExistsError as err:
            assert "this run, finished" in str(err)  # it was killed after its end

    def everything(folder: Path) -> dict[str, object]:
        found: dict[str, object] = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        with maskferry.Tracks.open(folder / "tracks.sqlite") as tracks:
            assert tracks.finished
            found["tracks.sqlite"] = (tracks.digest(), tracks.video, [tracks.valid(i) for i in tracks])
        return found

    samples = land()
    samples[:, 40:60] = 0
    write_tif(place / "scenes" / "scene_20200421.tif", samples, nodata=0)
    run_in(place / "whole")
    right = everything(place / "whole")
    assert len(right) == 8
    steps = count_steps(lambda: run_in(place / "counted"))
    killed = 0
    for n, step in enumerate(range(5, steps, max(1, steps // 9))):
        out = place / f"out{n}"
        killed += kill_before(partial(run_in, out), step)
        run_in(out)
        assert everything(out) == right
    assert killed >= 7
