"""CVAT XML: polygon tracks and masks both ways, files as CVAT makes them, and XML that is not to be trusted."""

from __future__ import annotations

import logging
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from format_samples import SIZE_HW, VIDEO, disk, tracks
from maskferry.data import FrameInfo, FrameMasks, FrameTracks, ObjectMask, State, VideoInfo
from maskferry.errors import InputError, OutputExistsError
from maskferry.formats._cvat import read, write
from maskferry.formats._given_masks import read_seeds
from maskferry.formats._reading import Reading
from maskferry.rle import Rle


def expected(shapes: str) -> list[FrameTracks]:
    """What is left of `tracks`: no scores, no states but lost and occluded; of pictures, no lost rows."""
    out = []
    for frame in tracks():
        rows = []
        for row in frame.masks:
            state = State.OCCLUDED if row.state is State.OCCLUDED else State.GIVEN
            if row.rle.area:
                rows.append(ObjectMask(row.object_id, row.rle, 1.0, state))
            elif shapes == "polygons":
                rows.append(ObjectMask(row.object_id, row.rle, 0.0, State.LOST))
        out.append(FrameTracks(frame.info, FrameMasks(frame.info.index, SIZE_HW, tuple(rows))))
    return out


@pytest.mark.parametrize("shapes", ["polygons", "masks"])
def test_round_trip(tmp_path: Path, shapes, caplog):
    path = tmp_path / "t.xml"
    labels = {1: 'swan "<&>" ü', 7: "duck"}
    with caplog.at_level(logging.WARNING):
        write(VIDEO, tracks(), path, labels=labels, shapes=shapes)
    assert "loses: scores" in caplog.text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.frames.csv", "t.xml"]
    back = read(path)
    assert list(back.frames) == expected(shapes)
    assert back.labels == labels
    assert (back.video.name, back.video.frame_count, back.video.size_hw) == ("clip", 5, SIZE_HW)


def test_parts_and_holes_are_one_polygon(tmp_path: Path):
    mask = disk((12, 12), 9) & ~disk((12, 12), 4) | disk((30, 4), 2)
    row = ObjectMask(3, Rle.encode(mask), 1.0, State.GIVEN)
    write(VIDEO, [FrameTracks(FrameInfo(0, None, "a"), FrameMasks(0, SIZE_HW, (row,)))], tmp_path / "t.xml")
    root = ElementTree.parse(tmp_path / "t.xml").getroot()
    assert len(root.findall("track/polygon")) == 2  # the second ends the track
    np.testing.assert_array_equal(read(tmp_path / "t.xml").frames[0].masks.mask(3), mask)


def test_a_track_ends_and_pauses_outside(tmp_path: Path):
    write(VideoInfo(33, 24, frame_count=9), tracks(), tmp_path / "t.xml")
    root = ElementTree.parse(tmp_path / "t.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert root.findtext("meta/task/mode") == "interpolation"
    first, second = root.findall("track")
    outside = [(p.get("frame"), p.get("outside")) for p in first]
    assert outside == [("0", "0"), ("1", "0"), ("2", "0"), ("3", "1"), ("4", "0"), ("5", "1")]
    assert [p.get("occluded") for p in second] == ["0", "1", "1", "1"]


VIDEO_XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>7</id><name>job</name><size>4</size><mode>interpolation</mode>
<labels><label><name>car</name><attributes></attributes></label></labels>
<original_size><width>33</width><height>24</height></original_size></task><dumped>now</dumped></meta>
<track id="0" label="car" source="manual">
<polygon frame="0" keyframe="1" outside="0" occluded="0" points="2.0,3.0;10.0,3.0;10.0,9.0;2.0,9.0" z_order="0">
<attribute name="a">b</attribute></polygon>
<polygon frame="1" keyframe="0" outside="1" occluded="0" points="2.0,3.0;10.0,3.0;10.0,9.0;2.0,9.0" z_order="0"/>
</track>
<track id="1" label="car" source="manual"><box frame="1" outside="0" xtl="1" ytl="1" xbr="4" ybr="4"/>
<mask frame="2" outside="0" occluded="1" rle="1, 2, 1" left="4" top="5" width="2" height="2" z_order="0"/>
</track></annotations>"""

IMAGES_XML = """<annotations><version>1.1</version><meta><task><name>job</name></task></meta>
<image id="0" name="a/frame_0.png" width="33" height="24">
<mask label="car" source="manual" occluded="0" rle="1, 2, 1" left="4" top="5" width="2" height="2" z_order="0"/>
<polygon label="car" occluded="1" points="2,3;10,3;10,9;2,9" z_order="0"/>
</image><image id="3" name="b.png" width="33" height="24"></image></annotations>"""


def test_files_of_cvat(tmp_path: Path):
    path = tmp_path / "v.xml"
    path.write_text(VIDEO_XML)
    back = read(path)
    assert [f.info.index for f in back.frames] == [0, 1, 2]
    assert [[(r.object_id, r.rle.area, r.state.value) for r in f.masks] for f in back.frames] == [
        [(1, 48, "given")],
        [(1, 0, "lost"), (2, 9, "given")],
        [(2, 2, "occluded")],
    ]
    assert back.frames[2].masks.mask(2)[5:7, 4:6].tolist() == [[False, True], [True, False]]
    assert back.labels == {1: "car", 2: "car"}
    seeds = read_seeds(path)
    assert [(p.frame, p.object_id) for p in seeds.prompts] == [(0, 1), (1, 2), (2, 2)]
    path.write_text(IMAGES_XML)
    back = read(path)
    assert [(f.info.index, f.info.name, f.masks.object_ids) for f in back.frames] == [
        (0, "a/frame_0.png", (1, 2)),
        (3, "b.png", ()),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('points="2.0,3.0;', 'points="2.0;3.0;', r"track\[0\]\.polygon\[0\]\.points: expected"),
        ('points="2.0,3.0;10.0,3.0;', 'points="x,3.0;10.0,3.0;', r"track\[0\]\.polygon\[0\]\.points: expected"),
        ('points="2.0,3.0;', 'points="2.0,9e9;', r"polygon\[0\]\.points: .*far outside"),
        ('points="2.0,3.0;', 'points="nan,3.0;', r"polygon\[0\]\.points: expected a polygon"),
        ('frame="0"', 'frame="-1"', r"polygon\[0\]\.frame: expected a whole number"),
        ('frame="0"', 'frame="1"', r"polygon\[1\]: object 0 is on frame 1 a second time"),
        ('rle="1, 2, 1"', 'rle="1, 2"', r"track\[1\]\.mask\[1\]\.rle: expected runs"),
        ('rle="1, 2, 1"', 'rle="1, -2, 5"', r"mask\[1\]\.rle"),
        ('rle="1, 2, 1"', 'rle="x"', r"mask\[1\]\.rle"),
        ('left="4"', 'left="32"', r"mask\[1\]: expected a box inside"),
        ('width="2"', 'width="99999999999"', r"mask\[1\]\.width"),
        ('id="1"', 'id="0"', r"track\[1\]\.id: 0 is taken"),
        ("<width>33</width>", "", r"original_size"),
        ("<width>33</width>", "<width>99999999</width>", "2\\^31|original_size"),
        ("</annotations>", "", "is no XML"),
        ("annotations", "html", "expected CVAT's"),
    ],
)
def test_nonsense_is_refused_and_named(tmp_path: Path, old, new, message):
    path = tmp_path / "v.xml"
    assert old in VIDEO_XML
    path.write_text(VIDEO_XML.replace(old, new) if old == "annotations" else VIDEO_XML.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        read(path, reading=Reading(str(path), strict=True))
    assert "v.xml" in str(caught.value)


BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;&lol;"><!ENTITY lol2 "&lol1;&lol1;&lol1;">]>
<annotations><version>&lol2;</version></annotations>"""


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><annotations/>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><annotations/>',
        "<a>" * 60 + "</a>" * 60,
    ],
)
def test_bombs_and_entities_are_refused(tmp_path: Path, text):
    path = tmp_path / "v.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"v\.xml:\d+: .* refused") as caught:
        read(path)
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"<a", b"\x00\xff", b"<a>&undefined;</a>", b'<?xml version="1.0" encoding="x"?><a/>']
)
def test_a_file_that_is_no_xml(tmp_path: Path, data):
    (tmp_path / "v.xml").write_bytes(data)
    with pytest.raises(InputError, match=r"v\.xml is no XML"):
        read(tmp_path / "v.xml")
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / "none.xml")


def test_characters_that_xml_cannot_hold(tmp_path: Path):
    write(VIDEO, tracks(), tmp_path / "t.xml", labels={1: "a\x00b\ud800\ufffe"})
    assert read(tmp_path / "t.xml").labels[1] == "a?b??"


def test_a_frame_that_the_frame_table_lacks(tmp_path: Path):
    write(VIDEO, tracks(), tmp_path / "t.xml")
    table = tmp_path / "t.frames.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:3]) + "\n")
    with pytest.raises(InputError, match=r"polygon\[2\]\.frame: 2 is not in the frame table"):
        read(tmp_path / "t.xml")
    table.write_text("index,time,name\n0,x,a\n")
    with pytest.raises(InputError, match=r"t\.frames\.csv:2: no row"):
        read(tmp_path / "t.xml")
    table.write_text("index,time,name\n0,,../a\n")
    with pytest.raises(InputError, match=r"t\.frames\.csv:2\.name"):
        read(tmp_path / "t.xml")


def test_nothing_is_overwritten(tmp_path: Path):
    (tmp_path / "t.frames.csv").write_text("mine")
    with pytest.raises(OutputExistsError):
        write(VIDEO, tracks(), tmp_path / "t.xml")
    assert [p.name for p in tmp_path.iterdir()] == ["t.frames.csv"]
    with pytest.raises(InputError, match="shapes: expected"):
        write(VIDEO, tracks(), tmp_path / "u.xml", shapes="boxes")
