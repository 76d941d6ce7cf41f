"""Series of georeferenced pictures as frames: dates, one stretch, one grid, what is not valid, what is refused."""

from __future__ import annotations

import json
import shutil
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rasterio", reason="needs the extra geo")

import maskferry
from geo_series import TRANSFORM, disc, lake_series, land, write_tif
from maskferry import open_series, open_source
from maskferry.errors import InputError, MaskferryWarning, SourceError
from maskferry.masks import centroid_xy
from maskferry.sources._dates import dates_of
from maskferry.tracks import editing

SIZE = (120, 160)


def images(source):
    with source:
        return [frame.image.copy() for frame in source.frames(range(source.info.frame_count))]


def frames(source):
    with source:
        return list(source.frames(range(source.info.frame_count)))


# --- files and dates ------------------------------------------------------------------------------------------------


def test_a_folder_of_geotiffs_is_a_series(tmp_path: Path) -> None:
    paths = lake_series(tmp_path / "s")
    (tmp_path / "s" / "scene_20200121.tif.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / "s" / ".scene_20190101.tif").write_bytes(paths[0].read_bytes())
    paths[2].rename(tmp_path / "s" / "scene_20200321.TIF")
    with open_source(tmp_path / "s") as source:
        infos = [source.frame_info(i) for i in range(3)]
    assert source.info.size_hw == SIZE
    assert source.info.grid is not None
    assert source.info.grid.transform == TRANSFORM
    assert [info.name for info in infos] == ["scene_20200121.tif", "scene_20200221.tif", "scene_20200321.TIF"]
    assert [info.time for info in infos] == [0.0, 31 * 86400.0, 60 * 86400.0]
    assert infos[1].date == datetime(2020, 2, 21, tzinfo=UTC)


def test_patterns_lists_and_mappings_are_series(tmp_path: Path) -> None:
    paths = lake_series(tmp_path)
    wanted = images(open_source(str(tmp_path / "scene_*.tif")))
    backward = images(open_source(paths[::-1]))  # comes by date
    assert all(np.array_equal(a, b) for a, b in zip(wanted, backward, strict=True))
    by_date = open_source({"2021-05-01": paths[0], datetime(2021, 4, 1, tzinfo=UTC): paths[1]})
    with by_date:
        assert [by_date.frame_info(i).name for i in (0, 1)] == [paths[1].name, paths[0].name]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["S1A_IW_20200121T170000_x.tif", "S1A_IW_20200121T170025_x.tif"], "2020-01-21T17:00:25"),
        (["S2A_MSIL2A_20200120T101021.tif", "S2A_MSIL2A_20200125T101021.tif"], "2020-01-25T10:10:21"),
        (["LC08_L1TP_193024_20200110_20200128_01.tif", "LC08_L1TP_193024_20200126_20200210_01.tif"], "2020-01-26"),
        (["HLS.S30.T33UUP.2020010T101021.tif", "HLS.S30.T33UUP.2020032T101021.tif"], None),
        (["MOD09A1.A2020010.h18v03.tif", "MOD09A1.A2020032.h18v03.tif"], "2020-02-01"),
        (["ndvi_2020-01.tif", "ndvi_2020-03.tif"], "2020-03-01"),
        (["y1999.tif", "y2001.tif"], "2001-01-01"),
    ],
)
def test_dates_come_from_names(names: list[str], wanted: str | None) -> None:
    nothing = {"acquisition": lambda path: None, "written": lambda path: None}
    found = dates_of([Path(name) for name in names], None, nothing)
    assert found is not None
    if wanted is not None:
        assert found[1] == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


def test_dates_of_the_caller_win(tmp_path: Path) -> None:
    paths = lake_series(tmp_path, 2)
    (tmp_path / "d.csv").write_text("file,date\nscene_20200121.tif,2001-01-01\nscene_20200221.tif,2001-01-03T12:00\n")
    for dates in (["2001-01-01", "2001-01-03T12:00"], tmp_path / "d.csv"):
        with open_series(tmp_path, dates=dates) as source:
            assert source.frame_info(1).time == 2.5 * 86400
    with open_series(paths, dates="scene_%Y%m%d") as source:
        assert source.frame_info(1).time == 31 * 86400
    with pytest.raises(InputError, match="does not match the pattern"):
        open_series(paths, dates="other_%Y%m%d")


def test_the_acquisition_tag_comes_before_names(tmp_path: Path) -> None:
    for i, day in enumerate(("2019-03-01T10:00:00Z", "2019-02-01T10:00:00Z")):
        write_tif(tmp_path / f"s_2020010{i + 1}.tif", land(), tags={"IMAGERY": {"ACQUISITIONDATETIME": day}})
    with open_series(tmp_path) as source:
        assert source.frame_info(0).date == datetime(2019, 2, 1, 10, tzinfo=UTC)


def test_a_file_with_a_band_for_each_date(tmp_path: Path) -> None:
    stack = np.stack([land()[0], land(seed=1)[0], land(seed=2)[0]])
    write_tif(tmp_path / "ndvi.tif", stack, names=("2020-01-01", "2020-02-01", "2020-03-01"))
    found = frames(open_source(tmp_path / "ndvi.tif"))
    assert [frame.info.name for frame in found] == ["ndvi_001.tif", "ndvi_002.tif", "ndvi_003.tif"]
    assert np.array_equal(found[0].image[..., 0], found[0].image[..., 2])
    assert found[2].info.date == datetime(2020, 3, 1, tzinfo=UTC)


def test_equal_or_partial_dates_are_refused(tmp_path: Path) -> None:
    write_tif(tmp_path / "a_20200101.tif", land())
    write_tif(tmp_path / "b_20200101.tif", land())
    with pytest.raises(InputError, match=r"a_20200101.tif and b_20200101.tif have one date"):
        open_series(tmp_path)
    (tmp_path / "b_20200101.tif").rename(tmp_path / "b.tif")
    with pytest.raises(InputError, match=r"only some files have one.*b\.tif"):
        open_series(tmp_path)


def test_without_dates_there_are_no_times(tmp_path: Path) -> None:
    for name in ("10", "9", "1"):
        write_tif(tmp_path / f"{name}.tif", land())
    with open_series(tmp_path) as source:
        assert [source.frame_info(i).name for i in range(3)] == ["1.tif", "9.tif", "10.tif"]
        assert source.frame_info(2).time is None
        assert source.info.dates is None


def test_frames_are_named_by_date(tmp_path: Path) -> None:
    lake_series(tmp_path)
    with open_series(tmp_path) as source:
        assert source.info.check_frame("2020-02-21") == 1
        assert source.info.check_frame(datetime(2020, 3, 21, tzinfo=UTC)) == 2
        with pytest.raises(InputError, match="nearest date is 2020-02-21"):
            source.info.check_frame("2020-02-20")
        with pytest.raises(InputError, match="expected a number or a date"):
            source.info.check_frame("spring")


# --- samples --------------------------------------------------------------------------------------------------------


def test_an_unchanged_pixel_has_one_value_whatever_clouds_come(tmp_path: Path) -> None:
    for i in range(3):
        samples = land()
        samples[:, : 20 * i, :] = 60_000  # a bank of clouds
        write_tif(tmp_path / f"s_2020010{i + 1}.tif", samples)
    shown = images(open_series(tmp_path))
    assert all(np.array_equal(image[40:], shown[0][40:]) for image in shown)


def test_8_bits_are_left_as_they_are(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(0, 255, (3, *SIZE), dtype=np.uint8)
    write_tif(tmp_path / "a_2020.tif", samples)
    (image,) = images(open_series(tmp_path / "a_2020.tif"))
    assert np.array_equal(image, np.moveaxis(samples, 0, -1))


def test_bands_and_stretch_are_as_asked_for(tmp_path: Path) -> None:
    samples = np.stack([np.full(SIZE, value, np.uint16) for value in (100, 200, 300, 400)])
    write_tif(tmp_path / "a_2020.tif", samples, names=("blue", "green", "red", "nir"))
    (image,) = images(open_series(tmp_path / "a_2020.tif", bands=[4, 3, 2], stretch=(0, 510)))
    assert image[0, 0].tolist() == [200, 150, 100]
    (image,) = images(open_series(tmp_path / "a_2020.tif", bands=["nir", "red", "green"], stretch="0,510"))
    assert image[0, 0].tolist() == [200, 150, 100]
    with pytest.raises(InputError, match="bands 1 to 4, got 5"):
        open_series(tmp_path / "a_2020.tif", bands=[5, 3, 2])
    with pytest.raises(InputError, match="no band called 'swir'"):
        open_series(tmp_path / "a_2020.tif", bands=["swir", "red", "green"])
    with pytest.raises(InputError, match="expected three bands"):
        open_series(tmp_path / "a_2020.tif", bands=[1, 2])


@pytest.mark.parametrize("kind", ["value", "nan", "alpha", "mask", "sidecar", "said"])
def test_what_is_no_data_is_black_and_not_valid(tmp_path: Path, kind: str) -> None:
    hole = np.zeros(SIZE, bool)
    hole[10:30, 20:70] = True
    path = tmp_path / "a_2020.tif"
    samples = land()
    if kind in ("value", "said"):
        samples[:, hole] = 9999
        write_tif(path, samples, nodata=9999 if kind == "value" else None)
    elif kind == "nan":
        floats = samples.astype(np.float32)
        floats[:, hole] = np.nan
        write_tif(path, floats)
    elif kind == "alpha":
        from rasterio.enums import ColorInterp

        alpha = np.where(hole, 0, 65535).astype(np.uint16)
        colors = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
        write_tif(path, [*samples, alpha], colors=colors)
    else:
        write_tif(path, samples, mask=~hole, internal_mask=kind == "mask")
    (frame,) = frames(open_series(path, nodata=9999 if kind == "said" else None))
    assert frame.valid is not None
    assert np.array_equal(frame.valid, ~hole)
    assert not frame.image[hole].any()
    plain = np.moveaxis(samples, 0, -1)[~hole].astype(float)
    low, high = (np.percentile(plain, q, axis=0, method="nearest") for q in (2, 98))
    wanted = np.clip(np.rint((plain - low) * 255.0 / (high - low)), 0, 255)
    assert np.abs(frame.image[~hole] - wanted).max() <= 1


def test_nothing_but_no_data_is_refused(tmp_path: Path) -> None:
    write_tif(tmp_path / "a_2020.tif", np.full((3, *SIZE), np.nan, np.float32))
    with pytest.raises(InputError, match="nothing but no data"):
        open_series(tmp_path)


# --- the grid -------------------------------------------------------------------------------------------------------


def warped_to(path: Path, target: Path, **how: object) -> None:
    """The same land on another grid."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    with rasterio.open(path) as file:
        options = {"crs": file.crs, "resampling": Resampling.cubic, "tolerance": 0.001, "add_alpha": False} | how
        with WarpedVRT(file, **options) as vrt:
            write_tif(target, vrt.read(), crs=vrt.crs.to_wkt(), transform=tuple(vrt.transform)[:6])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A still lake on four grids: the first, shifted by a third of a pixel, another CRS, pixels of 20 m."""
    from rasterio.transform import Affine

    folder = tmp_path_factory.mktemp("mixed")
    big = (480, 640)
    samples = np.full((3, *big), 8000, np.uint16)
    samples[:, disc(big, (320, 240), 120)] = 1000
    fine = write_tif(folder / "fine.tif", samples, transform=(2.5, 0, 450_000, 0, -2.5, 5_600_000))
    a, _, c, _, e, f = TRANSFORM
    grid = {"width": 160, "height": 120}
    from rasterio.enums import Resampling

    average = {"resampling": Resampling.average}
    warped_to(fine, folder / "s_20200101.tif", transform=Affine(a, 0, c, 0, e, f), **grid, **average)
    warped_to(fine, folder / "s_20200201.tif", transform=Affine(a, 0, c + 3.3, 0, e, f - 4.1), **grid, **average)
    warped_to(fine, folder / "s_20200301.tif", crs="EPSG:3035", **average)
    warped_to(fine, folder / "s_20200401.tif", transform=Affine(20, 0, c, 0, -20, f), width=80, height=60, **average)
    fine.unlink()
    return folder


def test_other_grids_are_warped_to_the_first(mixed: Path) -> None:
    with pytest.warns(MaskferryWarning, match=r"s_20200201.tif \(off by \+0.330, \+0.410.*EPSG:3035.*pixels of 20"):
        source = open_series(mixed)
    truth = disc((480, 640), (320, 240), 120)[1::4, 1::4]
    cx, cy = centroid_xy(truth) or (0, 0)
    for frame in frames(source):
        lake = (frame.image[..., 0] < 128) & (True if frame.valid is None else frame.valid)
        x, y = centroid_xy(lake) or (0, 0)
        assert np.hypot(x - cx, y - cy) <= 0.2, frame.info.name
        assert (lake & truth).sum() / (lake | truth).sum() >= 0.985, frame.info.name


def test_files_on_the_grid_are_the_file_to_the_bit(tmp_path: Path) -> None:
    """Also where they begin at another pixel of the lattice."""
    samples = np.random.default_rng(0).integers(0, 255, (3, *SIZE), dtype=np.uint8)
    write_tif(tmp_path / "a_2020.tif", samples)
    a, b, c, d, e, f = TRANSFORM
    write_tif(tmp_path / "b_2021.tif", samples, transform=(a, b, c + 3 * a, d, e, f + 5 * e))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = frames(open_series(tmp_path))
    assert first.valid is None
    assert second.valid is not None
    assert np.array_equal(second.image[5:, 3:], np.moveaxis(samples, 0, -1)[:-5, :-3])
    assert second.valid.sum() == 115 * 157


def test_union_intersection_bounds_and_resolution(tmp_path: Path) -> None:
    a, b, c, d, e, f = TRANSFORM
    write_tif(tmp_path / "a_2020.tif", land())
    write_tif(tmp_path / "b_2021.tif", land(), transform=(a, b, c + 30 * a, d, e, f + 20 * e))
    with open_series(tmp_path, grid="union") as source:
        assert source.info.size_hw == (140, 190)
    with open_series(tmp_path, grid="intersection") as source:
        assert source.info.size_hw == (100, 130)
        assert source.info.grid is not None
        assert source.info.grid.transform == (a, b, c + 300, d, e, f - 200)
    with open_series(tmp_path, bounds=(c + 405, f - 605, c + 800, f - 210)) as source:
        assert source.info.size_hw == (40, 40)
    with open_series(tmp_path, grid=tmp_path / "b_2021.tif") as source:
        assert source.info.grid is not None
        assert source.info.grid.transform[2] == c + 300
    with pytest.warns(MaskferryWarning, match="warped"), open_series(tmp_path, resolution=20) as source:
        assert source.info.size_hw == (60, 80)


@pytest.mark.parametrize(
    ("crs", "transform", "message"),
    [
        (None, TRANSFORM, "b_2021.tif has no CRS"),
        ("EPSG:32633", (10, 0, 950_000, 0, -10, 5_600_000), "b_2021.tif shows nothing of the grid"),
        ("EPSG:32633", (45, 0, 450_000, 0, -45, 5_600_000), "more than 4 times apart"),
    ],
)
def test_what_lies_elsewhere_is_refused(tmp_path: Path, crs: str | None, transform, message: str) -> None:
    write_tif(tmp_path / "a_2020.tif", land())
    write_tif(tmp_path / "b_2021.tif", land(), crs=crs, transform=transform)
    with pytest.raises(InputError, match=message):
        open_series(tmp_path)


def test_a_rotated_first_grid_and_control_points_are_refused(tmp_path: Path) -> None:
    import rasterio
    from rasterio.control import GroundControlPoint

    write_tif(tmp_path / "a_2020.tif", land(), transform=(10, 2, 450_000, 2, -10, 5_600_000))
    with pytest.raises(InputError, match=r"a_2020\.tif: its rows are not parallel"):
        open_series(tmp_path)
    points = [GroundControlPoint(r, c, 13 + c / 1e4, 50 - r / 1e4) for r, c in ((0, 0), (0, 99), (99, 0), (99, 99))]
    path = tmp_path / "g_2020.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=100, count=3, dtype="uint8", gcps=points, crs="EPSG:4326"
    ) as file:
        file.write(np.zeros((3, 100, 100), np.uint8))
    with pytest.raises(InputError, match="placed by ground control points only"):
        open_series(path)


def test_a_south_up_grid_is_kept(tmp_path: Path) -> None:
    samples = land()
    write_tif(tmp_path / "a_2020.tif", samples, transform=(10, 0, 450_000, 0, 12, 5_600_000))
    with open_series(tmp_path) as source:
        assert source.info.grid is not None
        assert source.info.grid.transform[4] == 12


def test_files_without_any_crs_are_plain_pictures_with_dates(tmp_path: Path) -> None:
    for i in (1, 2):
        write_tif(tmp_path / f"a_202{i}.tif", land(), crs=None)
    with open_series(tmp_path) as source:
        assert source.info.grid is None
        assert source.frame_info(1).time == 365 * 86400


def test_bad_options_are_refused(tmp_path: Path) -> None:
    lake_series(tmp_path, 2)
    wrong = [
        ({"resampling": "magic"}, "resampling: expected one of"),
        ({"grid": "second"}, "grid: expected first"),
        ({"stretch": "bright"}, "stretch: expected auto"),
        ({"stretch": (2, 198, "percent")}, "percents from 0 to 100"),
        ({"bounds": (1, 2, 3)}, "bounds: expected left"),
        ({"bounds": (0, 0, 1, 1)}, "share no land"),
        ({"bounds": (0, 0, 1, 1), "bounds_crs": "EPSG:none"}, "bounds_crs: expected"),
        ({"resolution": -1}, "resolution: expected"),
        ({"dates": ["2020-01-01"]}, "expected one for each of 2 files"),
        ({"dates": "nothing"}, "dates: expected dates, a pattern"),
    ]
    for options, message in wrong:
        with pytest.raises(InputError, match=message):
            open_series(tmp_path, **options)
    with pytest.raises(SourceError, match=r"there is no \.tif"):
        open_series(tmp_path / "nowhere")


# --- tracks ---------------------------------------------------------------------------------------------------------


def test_tracks_keep_the_grid_the_dates_and_how_it_was_opened(tmp_path: Path) -> None:
    lake_series(tmp_path / "s")
    hole = land()
    hole[:, :30] = 0
    write_tif(tmp_path / "s" / "scene_20200221.tif", hole, nodata=0)
    with maskferry.MaskTracker(open_series(tmp_path / "s"), engine="hold", tracks=tmp_path / "t.sqlite") as tracker:
        tracker.add_mask_prompt(disc(SIZE, (80, 60), 30), 1, "2020-01-21")
        info = tracker.source.info
        tracker.propagate()
    with maskferry.Tracks.open(tmp_path / "t.sqlite") as tracks:
        assert tracks.video == info
        assert tracks.info(1).date == datetime(2020, 2, 21, tzinfo=UTC)
        valid = tracks.valid(1)
        assert valid is not None
        assert valid.area == 90 * 160
        assert tracks.valid(0) is not None
        maskferry.render(tracks, tmp_path / "film.mp4")
        shutil.move(tmp_path / "s", tmp_path / "moved")
        with pytest.raises(SourceError, match="a file of the series that was tracked"):
            maskferry.render(tracks, tmp_path / "again.mp4")
        maskferry.render(tracks, tmp_path / "again.mp4", tmp_path / "moved")
    with maskferry.open_source(tmp_path / "film.mp4") as film:
        assert film.info.frame_count == 3
        assert film.info.rate == 2


def test_damaged_notes_of_a_series_are_found(tmp_path: Path) -> None:
    from maskferry.tracks._series_note import check_series, series_note

    lake_series(tmp_path, 2)
    with open_series(tmp_path) as source:
        good = json.loads(series_note(source.info) or "")
    check_series(good)
    for change in (
        {"grid": [1, *TRANSFORM]},
        {"bands": [1, 2]},
        {"bands": [0, 1, 2]},
        {"stretch": [[1, 0]] * 3},
        {"files": [[1, 2, 3, None, None]]},
        {"files": [["a", 2, 3, "2020-01-01", None]]},
        {"resampling": 3},
    ):
        with pytest.raises((ValueError, TypeError, KeyError)):
            check_series(good | change)


def test_a_palette_is_no_brightness(tmp_path: Path) -> None:
    from rasterio.enums import ColorInterp

    write_tif(tmp_path / "a_2020.tif", land()[0].astype(np.uint8), colors=[ColorInterp.palette], photometric="palette")
    with pytest.raises(InputError, match="holds indices of a palette"):
        open_series(tmp_path)
    with open_series(tmp_path, bands=[1]) as source:
        assert source.info.size_hw == SIZE


def test_a_run_is_limited_by_dates(tmp_path: Path) -> None:
    lake_series(tmp_path / "s", 5)
    with maskferry.MaskTracker(tmp_path / "s", engine="hold") as tracker:
        tracker.add_mask_prompt(disc(SIZE, (80, 60), 30), 1, "2020-03-21")
        assert list(tracker.propagate(start="2020-02-21", stop="2020-05-21")) == [1, 2, 3]
        assert tracker.masks("2020-04-21").object_ids == (1,)


def test_an_absence_is_said_in_dates(tmp_path: Path) -> None:
    lake_series(tmp_path / "s", 4)
    with maskferry.MaskTracker(tmp_path / "s", tracks=tmp_path / "t.sqlite", engine="hold") as tracker:
        tracker.add_mask_prompt(disc((120, 160), (80, 60), 30), 1)
        tracks = tracker.propagate()
        for start, stop in (("2020-02-22", "2020-04-21"), ("2020-02-21", "2021-04-21")):
            with pytest.raises(InputError, match="has no frame of"):
                editing.absent(tracks, 1, start, stop)
        with pytest.raises(InputError, match="behind frame 2, got 1"):
            editing.absent(tracks, 1, "2020-03-21", "2020-02-21")
        editing.absent(tracks, 1, "2020-02-21", "2020-04-21")
        assert [tracks[i][1].rle.area > 0 for i in range(4)] == [True, False, False, True]
