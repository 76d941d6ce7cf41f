"""Results on the map: exact to the pixel in every format, areas on the ellipsoid, what was observed."""

from __future__ import annotations

import csv
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("rasterio", reason="needs the extra geo")
pytest.importorskip("geopandas", reason="reads what was written")

import geopandas
import rasterio
import rasterio.features
import shapely

import maskferry
from geo_series import TRANSFORM, disc, land, write_tif
from maskferry._maps.areas import PixelAreas
from maskferry._maps.outlines import mask_of, outline, to_lonlat
from maskferry._own_files import OwnKind, own_kind
from maskferry.data import FrameInfo, FrameMasks, MapGrid, ObjectMask, State
from maskferry.errors import InputError, OutputExistsError
from maskferry.rle import Rle

BIG = (260, 300)
RADIUS = 59.95
KINDS = {"geotiff": "maps", "gpkg": "o.gpkg", "geojson": "o.geojson", "geoparquet": "o.parquet", "areas": "areas.csv"}


def grid_of(crs: str, transform: tuple[float, ...], size_hw: tuple[int, int] = BIG) -> MapGrid:
    wkt = rasterio.crs.CRS.from_user_input(crs).to_wkt(version="WKT2_2019")
    return MapGrid(wkt, transform, size_hw[1], size_hw[0])


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory):
    """A disc of 11,277 pixels on three dates, the second half under clouds; and a smaller one inside of it."""
    folder = tmp_path_factory.mktemp("series")
    for i in range(3):
        samples = land(BIG)
        if i == 1:
            samples[:, :, 150:] = 0
        write_tif(folder / f"s_2020-0{i + 1}-21.tif", samples, nodata=0)
    with maskferry.MaskTracker(folder, engine="hold") as tracker:
        tracker.add_mask_prompt(disc(BIG, (150, 130), RADIUS), 1, 0, label="lake")
        tracker.add_mask_prompt(disc(BIG, (120, 130), 9), 7, 0)
        yield tracker.propagate()


@pytest.fixture(scope="module")
def written(tracks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    for kind, name in KINDS.items():
        maskferry.export(tracks, folder / name, kind)
    return folder


def truth(tracks, frame: int, object_id: int):
    """A mask without what shows nothing on its date."""
    mask = tracks[frame].mask(object_id)
    return mask & tracks.valid(frame).decode() if frame else mask


def test_the_disc_is_the_one_of_the_promise(tracks) -> None:
    assert tracks[0].mask(1).sum() == 11_277
    assert truth(tracks, 1, 1).sum() < 6_000


def test_cogs_hold_the_masks_to_the_pixel(tracks, written: Path) -> None:
    from rio_cogeo import cog_validate

    paths = sorted((written / "maps").iterdir())
    assert [path.name for path in paths] == [f"s_2020-0{i}-21_mask.tif" for i in (1, 2, 3)]
    for i, path in enumerate(paths):
        assert cog_validate(path) == (True, [], [])
        with rasterio.open(path) as file:
            labels = file.read(1)
            assert file.crs == rasterio.crs.CRS.from_epsg(32633)
            assert tuple(file.transform)[:6] == TRANSFORM
            assert (file.nodata, file.dtypes[0]) == (0, "uint8")
            assert file.tags()["TIFFTAG_DATETIME"] == f"2020:0{i + 1}:21 00:00:00"
            assert file.colormap(1)[1][3] == 255
        assert np.array_equal(labels > 0, truth(tracks, i, 1) | truth(tracks, i, 7))
        assert np.array_equal(labels == 7, truth(tracks, i, 7))


@pytest.mark.parametrize("kind", ["gpkg", "geojson", "geoparquet"])
def test_polygons_come_back_to_the_pixel(tracks, written: Path, kind: str) -> None:
    path = written / KINDS[kind]
    table = geopandas.read_parquet(path) if kind == "geoparquet" else geopandas.read_file(path, layer=0)
    assert len(table) == 6
    assert table.geometry.is_valid.all()
    assert set(table.geometry.geom_type) == {"MultiPolygon"}
    if kind == "geojson":
        assert table.crs == "EPSG:4326"
        table = table.to_crs(32633)
    assert table.crs == "EPSG:32633"
    for row in table.itertuples():
        found = mask_of(grid_of("EPSG:32633", TRANSFORM), row.geometry)
        assert np.array_equal(found, truth(tracks, row.frame, row.object_id)), (row.frame, row.object_id)
        assert row.area_px == found.sum()
        assert row.source == f"s_2020-0{row.frame + 1}-21.tif"
    first = table[table.object_id == 1].sort_values("frame")
    assert [str(d)[:10] for d in first.begin] == ["2020-01-21", "2020-02-21", "2020-03-21"]
    assert [str(d)[:10] for d in first.end] == ["2020-02-21", "2020-03-21", "NaT"]
    assert first.state.tolist() == ["given", "tracked", "tracked"]
    assert first.label.tolist() == ["lake"] * 3


def test_a_geopackage_has_areas_and_a_style(written: Path) -> None:
    with closing(sqlite3.connect(written / "o.gpkg")) as file:
        assert file.execute("SELECT count(*) FROM areas").fetchall() == [(6,)]
        assert file.execute("SELECT begin FROM objects LIMIT 1").fetchall() == [("2020-01-21T00:00:00.000Z",)]
        ((style,),) = file.execute("SELECT styleQML FROM layer_styles WHERE useAsDefault").fetchall()
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert 'startField="begin" endField="end"' in style


def test_changes_are_only_told_between_dates_on_which_all_was_seen(written: Path) -> None:
    with (written / "areas.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["object_id"] == "1"]
    assert [float(row["observed"]) for row in rows][::2] == [1, 1]
    assert 0.4 < float(rows[1]["observed"]) < 0.6
    assert [row["change_m2"] for row in rows] == ["", "", "0.0"]
    assert float(rows[0]["area_ha"]) == pytest.approx(float(rows[0]["area_m2"]) / 1e4)
    assert [row["state"] for row in rows] == ["given", "tracked", "tracked"]


def test_a_lost_object_has_a_row_of_nothing(tmp_path: Path) -> None:
    from maskferry.formats._areas import write

    write_tif(tmp_path / "a_2020.tif", land(BIG))
    with maskferry.open_series(tmp_path) as source:
        info = source.info
    row = ObjectMask(3, Rle.empty(BIG), 0.0, State.LOST)
    frame = maskferry.FrameTracks(FrameInfo(0, 0.0, "a", (info.dates or ())[0]), FrameMasks(0, BIG, (row,)))
    write(info, [frame], tmp_path / "a.csv", valid=lambda i: None, footprints={})
    with (tmp_path / "a.csv").open(newline="") as file:
        (found,) = csv.DictReader(file)
    assert (found["state"], found["area_m2"], found["observed"]) == ("lost", "0.0", "")


@pytest.mark.parametrize("kind", KINDS)
def test_only_files_of_maskferry_give_way(tracks, written: Path, tmp_path: Path, kind: str) -> None:
    maskferry.export(tracks, tmp_path / KINDS[kind], kind)
    with pytest.raises(OutputExistsError):
        maskferry.export(tracks, tmp_path / KINDS[kind], kind)
    maskferry.export(tracks, tmp_path / KINDS[kind], kind, overwrite=True)
    if kind == "gpkg":
        geopandas.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=4326).to_file(tmp_path / "o.gpkg", layer="mine")
        with pytest.raises(OutputExistsError):
            maskferry.export(tracks, tmp_path / "o.gpkg", kind, overwrite=True)


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_on_no_map_is_refused(tmp_path: Path, kind: str) -> None:
    video = np.zeros((3, 40, 50, 3), np.uint8)
    with maskferry.MaskTracker(video, engine="hold") as tracker:
        tracker.add_mask_prompt(disc((40, 50), (20, 20), 9))
        found = tracker.propagate()
    with pytest.raises(InputError, match="lies on no map"):
        maskferry.export(found, tmp_path / "x", kind)
    assert list(tmp_path.iterdir()) == []


def test_polygons_need_dates(tmp_path: Path) -> None:
    write_tif(tmp_path / "a.tif", land(BIG))
    with maskferry.MaskTracker(tmp_path / "a.tif", engine="hold") as tracker:
        tracker.add_mask_prompt(disc(BIG, (20, 20), 9))
        found = tracker.propagate()
    with pytest.raises(InputError, match="have no dates"):
        maskferry.export(found, tmp_path / "x.gpkg", "gpkg")
    assert len(maskferry.export(found, tmp_path / "maps", "geotiff")) == 1


@pytest.mark.parametrize(("largest", "dtype"), [(254, "uint8"), (255, "uint16"), (65_536, "uint32")])
def test_ids_choose_the_type(tmp_path: Path, caplog, largest: int, dtype: str) -> None:
    write_tif(tmp_path / "a_2020.tif", land((60, 50)))
    with maskferry.MaskTracker(tmp_path / "a_2020.tif", engine="hold") as tracker:
        tracker.add_mask_prompt(disc((60, 50), (20, 20), 9), largest)
        tracker.add_mask_prompt(disc((60, 50), (22, 20), 9), 1)
        found = tracker.propagate()
    with caplog.at_level(logging.WARNING):
        (path,) = maskferry.export(found, tmp_path / "maps", "geotiff")
    with rasterio.open(path) as file:
        assert file.dtypes[0] == dtype
        assert file.read(1).max() == largest
    assert "objects overlap" in caplog.text


# --- polygons of any mask -------------------------------------------------------------------------------------------


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_any_mask_is_valid_polygons_and_back(mask) -> None:
    grid = grid_of("EPSG:32633", TRANSFORM, (20, 20))
    shape = outline(grid, mask, (3, 2))
    assert shape.is_valid
    assert shape.area == pytest.approx(100 * mask.sum())
    wanted = np.zeros((20, 20), bool)
    wanted[2 : 2 + mask.shape[0], 3 : 3 + mask.shape[1]] = mask
    assert np.array_equal(mask_of(grid, shape), wanted)
    assert all(part.exterior.is_ccw for part in shape.geoms)
    lonlat = to_lonlat(grid, shape)
    assert lonlat.is_valid
    back = geopandas.GeoSeries([lonlat], crs=4326).to_crs(32633).iloc[0]
    assert np.array_equal(mask_of(grid, back), wanted)


@pytest.mark.parametrize("transform", [(10, 0, 4e5, 0, 12, 5e6), (7, 0, 4e5, 0, -13, 5e6)])
def test_south_up_and_oblong_pixels_come_back(transform: tuple[float, ...]) -> None:
    grid = grid_of("EPSG:32633", transform)
    mask = disc(BIG, (150, 130), 40)
    assert np.array_equal(mask_of(grid, outline(grid, mask)), mask)


def test_what_crosses_the_antimeridian_is_split() -> None:
    grid = grid_of("EPSG:32660", (1000, 0, 600_000, 0, -1000, 200_000), (200, 300))
    shape = to_lonlat(grid, outline(grid, disc((200, 300), (230, 100), 60)))
    west, _, east, _ = shape.bounds
    assert (round(west), round(east)) == (-180, 180)
    assert all(part.bounds[2] - part.bounds[0] < 2 for part in shape.geoms)
    assert shape.is_valid


# --- areas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32633", (100, 0, 450_000, 0, -100, 5_600_000)),
        ("EPSG:32633", (10, 0, 790_000, 0, -10, 7_900_000)),
        ("EPSG:3857", (100, 0, 1_500_000, 0, -100, 6_500_000)),
        ("EPSG:4326", (0.001, 0, 13, 0, -0.001, 52)),
        ("EPSG:3035", (50, 0, 4_321_000, 0, -50, 3_210_000)),
    ],
)
def test_areas_are_those_of_geodesics(crs: str, transform: tuple[float, ...]) -> None:
    from pyproj import Geod, Transformer

    grid, mask = grid_of(crs, transform), disc(BIG, (150, 130), 120)
    to_degrees, geod = Transformer.from_crs(crs, "EPSG:4326", always_xy=True), Geod(ellps="WGS84")
    wanted = 0.0
    for part in outline(grid, mask).geoms:
        points = shapely.get_coordinates(shapely.segmentize(part.exterior, 1.001 * transform[0]))
        wanted += abs(geod.polygon_area_perimeter(*to_degrees.transform(*points.T))[0])
    assert PixelAreas(grid).of(mask) == pytest.approx(wanted, rel=1e-7)


def test_a_world_of_degrees_measures_the_earth() -> None:
    areas = PixelAreas(grid_of("EPSG:4326", (1, 0, -180, 0, -1, 90), (180, 360)))
    assert areas.of(np.ones((180, 360), bool)) == pytest.approx(510_065_621_724_088, rel=1e-7)


def test_a_part_is_measured_where_it_lies() -> None:
    areas, mask = PixelAreas(grid_of("EPSG:3857", (100, 0, 0, 0, -100, 7e6))), disc(BIG, (200, 200), 30)
    assert areas.of(mask[170:231, 165:240], (165, 170)) == pytest.approx(areas.of(mask), rel=1e-12)


def test_a_local_system_has_no_areas() -> None:
    with pytest.raises(InputError, match="names none"):
        PixelAreas(MapGrid('LOCAL_CS["site",UNIT["metre",1]]', TRANSFORM, 10, 10))


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_known_again_and_cut_off_ones_raise_nothing(written: Path, tmp_path: Path, kind: str) -> None:
    path = written / KINDS[kind]
    path = sorted(path.iterdir())[0] if path.is_dir() else path
    assert own_kind(path) is (OwnKind.frame if kind == "geotiff" else OwnKind.other)
    content = path.read_bytes()
    for length in range(0, len(content), max(1, len(content) // 60)):
        (tmp_path / "cut").write_bytes(content[:length])
        own_kind(tmp_path / "cut")
