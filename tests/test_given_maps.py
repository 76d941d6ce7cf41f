"""Masks from polygons and rasters on the map, put on the grid of a series."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyogrio", reason="needs the extra geo")
pytest.importorskip("geopandas", reason="writes files of polygons")

import geopandas
import shapely

import maskferry
from geo_series import TRANSFORM, UTM, disc, lake_series, write_tif
from maskferry.errors import InputError, LeftOutWarning
from maskferry.formats import read_seeds
from maskferry.prompts import GivenFiles, target_of

SIZE = (120, 160)
X, Y = TRANSFORM[2], TRANSFORM[5]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("series")
    lake_series(folder)
    with maskferry.open_series(folder) as source:
        yield source


def rectangle(x1: float, y1: float, x2: float, y2: float):
    """In pixels of the series."""
    return shapely.box(X + 10 * x1, Y - 10 * y2, X + 10 * x2, Y - 10 * y1)


def table(*shapes, crs: str | None = UTM, **columns):
    return geopandas.GeoDataFrame(columns, geometry=list(shapes), crs=crs)


def saved(frame, path: Path) -> Path:
    frame.to_file(path)
    return path


def read(series, path: Path, **options):
    return read_seeds(path, target=target_of(series), **options)


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp", "a.fgb", "a.json"])
def test_polygons_of_any_file_fill_the_pixels_whose_centres_they_hold(series, tmp_path: Path, name: str) -> None:
    shapes = table(rectangle(10, 20, 30, 50), rectangle(60.4, 60.6, 80, 70), label=["one", "two"])
    if name.endswith("json"):
        shapes = shapes.to_crs(4326)
        shapes.to_file(tmp_path / name, driver="GeoJSON", COORDINATE_PRECISION=9)
    else:
        saved(shapes, tmp_path / name)
    seeds = read(series, tmp_path / name)
    by_name = {seeds.labels[prompt.object_id]: prompt.mask for prompt in seeds.prompts}  # .fgb has an order of its own
    wanted = np.zeros(SIZE, bool)
    wanted[20:50, 10:30] = True
    assert np.array_equal(by_name["one"], wanted)
    assert by_name["two"][61:70, 60:80].all()
    assert by_name["two"].sum() == 20 * 9
    assert {prompt.frame for prompt in seeds.prompts} == {0}


def test_ids_names_and_dates_come_from_columns(series, tmp_path: Path) -> None:
    shapes = table(
        rectangle(10, 20, 30, 50), rectangle(35, 20, 40, 50), rectangle(60, 60, 80, 70),
        id=[7, 7, 9], fid2=[1, 2, 3], name=["a", "a", None], wer=["x", "y", "z"],
        date=["2020-02-21", "2020-02-21", "2020-03-21"],
    )  # fmt: skip
    saved(shapes, tmp_path / "a.gpkg")
    seeds = read(series, tmp_path / "a.gpkg")
    assert [(p.frame, p.object_id, int(p.mask.sum())) for p in seeds.prompts] == [(1, 7, 750), (2, 9, 200)]
    assert seeds.labels == {7: "a"}
    seeds = read(series, tmp_path / "a.gpkg", id_field="fid2", label_field="wer", frame=0)
    assert [(p.frame, p.object_id) for p in seeds.prompts] == [(0, 1), (0, 2), (0, 3)]
    assert seeds.labels == {1: "x", 2: "y", 3: "z"}
    with pytest.raises(InputError, match="no column 'nr'"):
        read(series, tmp_path / "a.gpkg", id_field="nr")
    with pytest.raises(InputError, match="feature 1: expected a whole number from 1 in 'wer', got 'x'"):
        read(series, tmp_path / "a.gpkg", id_field="wer")


def test_a_command_names_the_date(series, tmp_path: Path) -> None:
    path = saved(table(rectangle(10, 20, 30, 50)), tmp_path / "a.gpkg")
    seeds = GivenFiles((f"2020-03-21={path}",)).read(target_of(series))
    assert [prompt.frame for prompt in seeds.prompts] == [2]
    seeds = GivenFiles((str(path),), "2020-02-21").read(target_of(series))
    assert [prompt.frame for prompt in seeds.prompts] == [1]
    with pytest.raises(InputError, match="no frame of 2020-03-22"):
        GivenFiles((f"2020-03-22={path}",)).read(target_of(series))
    with pytest.raises(InputError, match="a date needs the series"):
        GivenFiles((f"2020-03-22={path}",)).read()


def test_a_table_in_memory_is_a_prompt(tmp_path: Path) -> None:
    lake_series(tmp_path / "s")
    shapes = table(rectangle(10, 20, 30, 50), object_id=[4], label=["pond"]).to_crs(3857)
    with maskferry.MaskTracker(tmp_path / "s", engine="hold") as tracker:
        assert tracker.add_masks_prompt(shapes, frame_idx="2020-02-21") == [4]
        assert tracker.tracks.labels == {4: "pond"}
        assert tracker.propagate()[1].mask(4).sum() == 600
        with pytest.raises(InputError, match="has them in its columns"):
            tracker.add_masks_prompt(shapes, [1])


def test_what_maskferry_wrote_is_read_as_it_was_given(tmp_path: Path) -> None:
    lake_series(tmp_path / "s")
    with maskferry.MaskTracker(tmp_path / "s", engine="hold") as tracker:
        tracker.add_mask_prompt(disc(SIZE, (80, 60), 30), 3, "2020-02-21", label="lake")
        tracks = tracker.propagate()
        maskferry.export(tracks, tmp_path / "o.gpkg", "gpkg")
        seeds = read(tracker.source, tmp_path / "o.gpkg")
        (prompt,) = seeds.prompts
        assert (prompt.frame, prompt.object_id, seeds.labels) == (1, 3, {3: "lake"})
        assert np.array_equal(prompt.mask, disc(SIZE, (80, 60), 30))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table(shapely.Point(X + 100, Y - 100)), "feature 1 is a Point; expected polygons"),
        (table(shapely.LineString([(X, Y), (X + 50, Y - 50)])), "feature 1 is a LineString"),
        (table(rectangle(1.6, 1.6, 1.9, 1.9)), "feature 1 covers the centre of no pixel"),
        (table(rectangle(1000, 1000, 1100, 1100)), "nothing of it lies on the grid"),
        (table(rectangle(10, 20, 30, 50), crs=None), "has no CRS"),
        (table(rectangle(10, 20, 30, 50)).iloc[:0], "holds no feature"),
        (table(rectangle(10, 20, 30, 50), date=["2020-02-22"]), "feature 1: frame_idx: .*no frame of 2020-02-22"),
    ],
)
@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_what_cannot_be_meant_is_refused(series, tmp_path: Path, frame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(series, saved(frame, tmp_path / "a.gpkg"))


def test_what_lies_outside_is_cut_off_or_left_out_and_told(series, tmp_path: Path, caplog) -> None:
    saved(table(rectangle(-10, -10, 20, 20), rectangle(500, 500, 600, 600)), tmp_path / "a.gpkg")
    with caplog.at_level(logging.INFO), pytest.warns(LeftOutWarning, match="1 polygons outside of the grid"):
        (prompt,) = read(series, tmp_path / "a.gpkg").prompts
    assert prompt.mask.sum() == 400
    assert "reaches beyond the grid" in caplog.text
    with pytest.raises(InputError, match="strict reading refuses"):
        read(series, tmp_path / "a.gpkg", strict=True)


def test_long_edges_bow(tmp_path: Path) -> None:
    """The northern edge of one degree follows the parallel, not the straight line of the grid."""
    write_tif(tmp_path / "a_2020.tif", np.ones((3, 40, 800), np.uint8), transform=(100, 0, 460_000, 0, -100, 5_541_000))
    shape = geopandas.GeoSeries([shapely.box(14.5, 49.5, 15.5, 50.0)], crs=4326)
    saved(geopandas.GeoDataFrame(geometry=shape), tmp_path / "a.gpkg")
    with maskferry.open_series(tmp_path) as source:
        (prompt,) = read(source, tmp_path / "a.gpkg").prompts
    top = prompt.mask.argmax(axis=0)[prompt.mask.any(axis=0)]
    assert top[len(top) // 2] - top[0] in (1, 2)
    from pyproj import Transformer

    to_degrees = Transformer.from_crs(32633, 4326, always_xy=True)
    rows, cols = np.mgrid[:40, :800]
    lon, lat = to_degrees.transform(460_000 + 100 * (cols + 0.5), 5_541_000 - 100 * (rows + 0.5))
    wanted = (lon > 14.5) & (lon < 15.5) & (lat < 50.0)
    assert (wanted != prompt.mask).sum() <= 0.002 * wanted.sum()


def test_polygons_need_a_series(tmp_path: Path) -> None:
    path = saved(table(rectangle(10, 20, 30, 50)), tmp_path / "a.gpkg")
    with pytest.raises(InputError, match="need the series"):
        read_seeds(path)
    with maskferry.open_source(np.zeros((2, 20, 20, 3), np.uint8)) as source, pytest.raises(InputError, match="no map"):
        read(source, path)
    with pytest.raises(InputError, match="only for polygons"):
        read_seeds(tmp_path / "a.png", id_field="x")
    (tmp_path / "bad.gpkg").write_text("nothing")
    with pytest.raises(InputError, match="cannot be read as a file of polygons"):
        read_seeds(tmp_path / "bad.gpkg")


def test_rasters_on_other_grids_are_put_on_this_one(series, tmp_path: Path) -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[10:30, 5:25], labels[40:50, 40:60] = 2, 5
    c, f = X, Y
    write_tif(tmp_path / "m.tif", labels, transform=(20, 0, c, 0, -20, f), nodata=0)
    found = {prompt.object_id: prompt.mask for prompt in read(series, tmp_path / "m.tif", frame=1).prompts}
    assert {i: int(mask.sum()) for i, mask in found.items()} == {2: 1600, 5: 800}
    assert found[2][20:60, 10:50].all()
    write_tif(tmp_path / "here.tif", np.kron(labels, np.ones((2, 2), np.uint8)))
    (first, _) = read(series, tmp_path / "here.tif", frame=1).prompts
    assert np.array_equal(first.mask, found[2])
    write_tif(tmp_path / "far.tif", labels, transform=(20, 0, c + 1e5, 0, -20, f))
    with pytest.raises(InputError, match="nothing of it lies on the grid"):
        read(series, tmp_path / "far.tif", frame=1)
    write_tif(tmp_path / "soft.tif", labels.astype(np.float32) / 9, transform=(20, 0, c, 0, -20, f))
    with pytest.raises(InputError, match="expected whole numbers"):
        read(series, tmp_path / "soft.tif", frame=1)
