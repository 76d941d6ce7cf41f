"""samgeo's calls on series of GeoTIFFs: bands, coordinates of maps, masks on the grid."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rasterio", reason="needs the extra geo")

import rasterio

import maskferry
from any_prompt_engine import AnyPromptEngine
from geo_series import TRANSFORM, UTM, disc, lake_series, land, write_tif
from maskferry.errors import InputError
from maskferry.samgeo import SamGeo3Video, raster_to_vector

SIZE = (120, 160)
X, Y = TRANSFORM[2], TRANSFORM[5]


@pytest.fixture
def sam(tmp_path: Path):
    lake_series(tmp_path / "s")
    with SamGeo3Video(engine=AnyPromptEngine()) as sam:
        sam.set_video(str(tmp_path / "s"), bands=[3, 2, 1])
        yield sam


def test_bands_and_masks_on_the_grid(sam, tmp_path: Path) -> None:
    mask = disc(SIZE, (80, 60), 30)
    sam.add_mask_prompt(mask, obj_id=300)
    sam.propagate()
    paths = sam.save_masks(tmp_path / "masks")
    assert [Path(path).name for path in paths] == [f"scene_2020{i:02d}21_mask.tif" for i in (1, 2, 3)]
    with rasterio.open(paths[0]) as file:
        assert file.crs == rasterio.crs.CRS.from_string(UTM)
        assert tuple(file.transform)[:6] == TRANSFORM
        assert np.array_equal(file.read(1) == 300, mask)
    assert sam.save_masks(tmp_path / "masks") == paths
    sam.save_video(str(tmp_path / "film.mp4"))
    with maskferry.open_source(tmp_path / "film.mp4") as film:
        assert film.info.rate == 2


def test_bands_are_three_that_there_are(tmp_path: Path) -> None:
    lake_series(tmp_path, 1)
    sam = SamGeo3Video(engine="hold")
    for bands, message in (([1, 2], "expected three"), ([4, 3, 2], "bands 1 to 3, got 4")):
        with pytest.raises(InputError, match=message):
            sam.set_video(tmp_path, bands=bands)


def test_points_of_the_map_are_exact_pixels(sam) -> None:
    answer = sam.add_point_prompts([[X + 403.5, Y - 305]], [1], 2, point_crs=UTM)
    assert answer["outputs"]["out_binary_masks"][0].sum() == 1
    from rasterio.warp import transform

    (lon,), (lat,) = transform(UTM, "EPSG:4326", [X + 403.5], [Y - 305])
    again = sam.add_point_prompts([[lon, lat]], [1], 3, point_crs="EPSG:4326")
    assert np.array_equal(again["outputs"]["out_binary_masks"][-1], answer["outputs"]["out_binary_masks"][0])
    with pytest.raises(InputError, match=r"points \(point_crs\)\[1\]: .*lies outside of the grid"):
        sam.add_point_prompts([[X + 10, Y - 10], [X - 10, Y]], [1, 1], 4, point_crs=UTM)
    with pytest.raises(InputError, match="expected a coordinate reference system"):
        sam.add_point_prompts([[1, 1]], [1], 4, point_crs="EPSG:nothing")


def test_boxes_of_the_map_enclose_whole_pixels(sam, caplog) -> None:
    answer = sam.add_box_prompt([X + 403, Y - 505, 94, 198], 2, box_crs=UTM)
    wanted = np.zeros(SIZE, bool)
    wanted[30:51, 40:50] = True
    assert np.array_equal(answer["outputs"]["out_binary_masks"][0], wanted)
    with caplog.at_level(logging.WARNING):
        sam.add_box_prompt([X - 50, Y - 100, 100, 500], 3, box_crs=UTM)
    assert "reaches beyond the grid" in caplog.text
    for box, message in (([X, Y, 10, -10], "a width and a height"), ([X - 500, Y, 100, 100], "outside of the grid")):
        with pytest.raises(InputError, match=message):
            sam.add_box_prompt(box, 4, box_crs=UTM)


def test_the_next_video_forgets_the_grid(sam, tmp_path: Path) -> None:
    sam.set_video(np.zeros((3, *SIZE, 3), np.uint8))
    with pytest.raises(InputError, match="lies on no map"):
        sam.add_point_prompts([[X + 10, Y - 10]], [1], 4, point_crs=UTM)
    sam.add_mask_prompt(disc(SIZE, (80, 60), 30), obj_id=3)
    sam.propagate()
    assert all(path.endswith(".png") for path in sam.save_masks(tmp_path / "plain"))


def test_one_geotiff_is_a_series_of_one(tmp_path: Path, capsys) -> None:
    write_tif(tmp_path / "a_2020.tif", land())
    sam = SamGeo3Video(engine="hold")
    sam.set_video(tmp_path / "a_2020.tif")
    assert len(sam.video_frames) == 1
    assert "One stretch for all dates, from black to white: band 1" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "crs"), [("a.gpkg", 32633), ("a.geojson", 4326)])
def test_raster_to_vector(sam, tmp_path: Path, name: str, crs: int, capsys) -> None:
    geopandas = pytest.importorskip("geopandas", reason="reads what was written")
    mask = disc(SIZE, (80, 60), 30)
    sam.add_mask_prompt(mask, obj_id=3)
    sam.propagate()
    paths = sam.save_masks(tmp_path / "masks")
    for _ in range(2):
        raster_to_vector(paths[0], tmp_path / name)
    assert "Saved 1 polygon(s)" in capsys.readouterr().out
    found = geopandas.read_file(tmp_path / name)
    assert found.crs.to_epsg() == crs
    assert found.value.tolist() == [3]
    assert found.to_crs(32633).area.sum() == pytest.approx(100 * mask.sum(), rel=1e-4)
    with pytest.raises(InputError, match="ends in"):
        raster_to_vector(paths[0], tmp_path / "a.shp")
    write_tif(tmp_path / "bare.tif", mask.astype(np.uint8), crs=None)
    with pytest.raises(InputError, match="has no CRS"):
        raster_to_vector(tmp_path / "bare.tif", tmp_path / "b.gpkg")
