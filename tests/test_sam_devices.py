"""Objects spread over several devices. Here they are the CPU twice, told apart where it matters."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

import sam_models
from apart import Apart
from maskferry import MaskTracker
from maskferry.data import BoxPrompt, PointPrompt, State, TextPrompt, VideoInfo
from maskferry.engines._sam import SamEngine, devices
from maskferry.engines._sam.multi_device import MultiDeviceSession
from maskferry.engines.registry import load_engine
from maskferry.errors import EngineError, InputError
from maskferry.samgeo import SamGeo3Video
from maskferry.testing import EngineContract
from sam_scene import HEIGHT, WIDTH, given, picture

VIDEO = VideoInfo(WIDTH, HEIGHT, frame_count=40)
TWO = ["cpu", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return sam_models.save("sam3", tmp_path_factory.mktemp("sam3"))


@pytest.fixture(scope="module")
def engines(folder):
    """{number of devices: an engine on so many}, computing in float64, where rounding does not show."""
    return {n: SamEngine("sam3", checkpoint=folder, device=["cpu"] * n, precision="float64") for n in (1, 2, 3)}


class TestSpread(EngineContract):
    @pytest.fixture
    def engine(self, engines):
        return sam_models.twin(engines[2])


CLICK = PointPrompt(2, 9, np.array([[20.0, 20.0], [70.0, 30.0]]), np.array([1, 0]))
PROMPTS = {
    0: given(0, 1, 2, 3),
    2: [CLICK, BoxPrompt(2, 8, (60, 20, 90, 50))],
    4: given(4, 2, 5),
    7: [TextPrompt(7, "car")],
}
LAST = 9


def walk(session, frames=range(LAST), change=lambda session, index: None) -> list:
    """All rows, with objects of every kind that come, are corrected, and go."""
    rows = []
    for i in frames:
        rows.append(session.step(picture(i), PROMPTS.get(i, ())))
        if i == 3:
            session.drop(3)
            session.drop(77)
        if i == 4:
            session.reprompt(picture(i), given(i, 1, 6))
        change(session, i)
    return rows


def same(ones, others) -> None:
    """Equal to the rounding of float64."""
    for one, other in zip(ones, others, strict=True):
        assert one.object_ids == other.object_ids
        for a, b in zip(one, other, strict=True):
            assert (a.rle, a.state) == (b.rle, b.state)
            assert a.score == pytest.approx(b.score, abs=1e-9)
            assert a.fidelity == b.fidelity


@pytest.fixture(scope="module")
def alone(engines):
    """The answers of one device."""
    return walk(engines[1].open(VIDEO))


# --- the same answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3])
def test_several_devices_answer_as_one(engines, alone, count):
    session = engines[count].open(VIDEO)
    assert isinstance(session, MultiDeviceSession)
    same(walk(session), alone)
    assert len(alone[-1]) > 7
    assert any(row.state is State.TRACKED and row.rle.area for row in alone[-1])


def test_objects_are_balanced_and_stay_where_they_are(engines):
    session, seen = engines[2].open(VIDEO), {}

    def note(session, index):
        for object_id, home in session._device_of.items():
            assert seen.setdefault(object_id, home) == home
        load = Counter(session._device_of.values())
        assert abs(load[0] - load[1]) <= 1 + (index >= 3)  # one object was dropped
        for number, part in enumerate(session._sessions):
            assert set(part._bank.objects) == {i for i, home in session._device_of.items() if home == number}

    walk(session, change=note)
    assert 3 in seen
    assert 3 not in session._device_of


def test_each_device_does_its_own_share_only(engines, monkeypatch):
    """What is done for each object is done once, by one of the two."""
    tracked = []
    session = engines[2].open(VIDEO)
    for number, part in enumerate(session._sessions):
        track = part._track
        monkeypatch.setattr(
            part,
            "_track",
            lambda features, objects, number=number, track=track: (
                tracked.append((number, [known.object_id for known in objects])) or track(features, objects)
            ),
        )
    session.step(picture(0), given(0, 1, 2, 3))
    session.step(picture(1))
    assert tracked[2:] == [(0, [1, 3]), (1, [2])]


def test_all_devices_are_told_before_any_is_asked(engines, monkeypatch):
    order = []
    session = engines[3].open(VIDEO)
    for number, part in enumerate(session._sessions):
        for half in ("start_step", "finish_step"):
            call = getattr(part, half)
            monkeypatch.setattr(part, half, lambda *a, n=number, h=half, call=call: order.append((h, n)) or call(*a))
    session.step(picture(0), given(0, 1, 2))
    assert order == [*(("start_step", n) for n in range(3)), *(("finish_step", n) for n in range(3))]


def tensors_of(model) -> list:
    """Everything that a loaded model computes with."""
    network = model.network
    constants = [t for t in vars(network).values() if isinstance(t, torch.Tensor)]
    return [*network.parameters(), *network.buffers(), *constants, network.unprompted.sparse, network.unprompted.dense]


def test_no_operation_mixes_two_devices(folder):
    """Which on the CPU alone would not be noticed."""
    engine = SamEngine("sam3", checkpoint=folder, device=TWO)
    models = engine._models
    session = engine.open(VIDEO)
    with Apart([tensors_of(model) for model in models]) as watch:
        walk(session)
        watch.homes[models[0].network.top_position] = 1
        with pytest.raises(AssertionError, match=r"devices \[0, 1\]"):
            session.step(picture(LAST))
    assert min(watch.operations[0], watch.operations[1]) > 1000


def test_looking_ahead_changes_nothing(engines, alone):
    session = engines[2].open(VIDEO)
    session.look_ahead([picture(i) for i in range(3)])
    assert session.ahead == 1
    same(walk(session, range(4)), alone[:4])


# --- snapshots ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (1, 2), (3, 2)])
def test_a_snapshot_goes_on_on_any_number_of_devices(engines, alone, before, after):
    session = engines[before].open(VIDEO)
    first = walk(session, range(6))
    resumed = engines[after].open(VIDEO, session.snapshot())
    if before == after:
        assert resumed._device_of == session._device_of
        assert resumed.snapshot() == session.snapshot()
    elif after > 1:
        load = Counter(resumed._device_of.values())
        assert max(load.values()) - min(load.values()) <= 1
    same(first + walk(resumed, range(6, LAST)), alone)


def test_a_snapshot_that_does_not_fit_is_refused(engines, monkeypatch):
    session = engines[2].open(VIDEO)
    session.step(picture(0), given(0, 1, 2))
    data = session.snapshot()
    with pytest.raises(EngineError, match="has size"):
        engines[2].open(VideoInfo(WIDTH + 1, HEIGHT), data)
    for broken in (b"", b"rubbish", data[:-5], data.replace(b'"homes": {"1": 0', b'"homes": {"1": 5')):
        with pytest.raises(EngineError, match="not a complete snapshot"):
            engines[2].open(VIDEO, broken)
    monkeypatch.setattr("maskferry.engines._sam.snapshot.MAX_BYTES", len(data) - 2000)
    assert all(part.snapshot() is not None for part in session._sessions)
    assert session.snapshot() is None  # too large together
    monkeypatch.setattr("maskferry.engines._sam.snapshot.MAX_BYTES", 1000)
    assert session.snapshot() is None


# --- whole runs -----------------------------------------------------------------------------------------------------


def test_a_tracker_runs_both_ways_and_goes_on(engines, tmp_path):
    video = np.stack([picture(i).image for i in range(10)])
    masks = {p.object_id: p.mask for p in given(4, 1, 2, 3)}
    rows = {}
    for count in (1, 2):
        path = tmp_path / f"{count}.sqlite"
        with MaskTracker(video, engine=engines[count], tracks=path) as tracker:
            tracker.add_masks_prompt(list(masks.values()), list(masks), 4)
            stop = iter(range(3))
            tracker.propagate(cancelled=lambda stop=stop: next(stop, None) is None)
        with MaskTracker(video, engine=engines[count], tracks=path, resume=True) as tracker:
            rows[count] = [tracker.propagate()[i] for i in range(10)]
    same(rows[1], rows[2])


def test_closing(folder):
    engine = SamEngine("sam3", checkpoint=folder, device=TWO)
    session = engine.open(VIDEO)
    session.step(picture(0), given(0, 1, 2))
    for _ in range(2):
        session.close()
        engine.close()
    assert not any(part._bank.objects for part in session._sessions)
    with pytest.raises(EngineError, match="is closed"):
        engine.open(VIDEO)
    assert engine._models == []


# --- which devices --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:99", r"device 'cuda:99' is unavailable: .*; available: .*cpu"),
        ("cpu,cuda:99", r"device 'cuda:99' is unavailable: .*; available: .*cpu"),
        (["cpu", "warp"], r"device 'warp' is unavailable"),
        ("cpu,meta", r"must be of one kind, got cpu, meta"),
        ("cpu,", r"must be 'auto' or a name such as 'cuda:0', got 'cpu,'"),
        ([], r"got \[\]"),
        ([0, 1], r"got \[0, 1\]"),
        ("auto,cpu", "device 'auto' is unavailable"),
    ],
)
def test_unavailable_devices_are_refused(folder, device, message):
    with pytest.raises(InputError, match=message):
        SamEngine("sam3", checkpoint=folder, device=device)


def test_the_devices_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.mps, "is_available", lambda: False)
    assert devices.available_devices() == ["cuda:0", "cuda:1", "cpu"]


def test_devices_of_different_precision_are_refused(folder, monkeypatch):
    kinds = iter([torch.bfloat16, torch.float32])
    monkeypatch.setattr("maskferry.engines._sam.engine.pick_dtype", lambda *_, **__: next(kinds))
    with pytest.raises(InputError, match="precision='float32'"):
        SamEngine("sam3", checkpoint=folder, device=TWO)


def test_engines_on_the_cpu_have_no_device_to_choose():
    with pytest.raises(
        InputError,
        match=r"engine 'flow' runs on the CPU and takes no weights; device is an option of sam3\.1, sam3, ",
    ):
        load_engine("flow", device="cuda:0")


def test_samgeos_gpus_are_the_engines_devices(monkeypatch, capsys):
    loaded = []
    monkeypatch.setattr("maskferry.run._workspace.load_engine", lambda name, **options: loaded.append((name, options)))
    sam = SamGeo3Video(gpus_to_use=[0, np.int64(2)], engine="sam3")
    assert "not used" not in capsys.readouterr().out
    assert sam.gpus_to_use == [0, 2]
    _ = sam._tracker.engine
    assert loaded == [("sam3", {"device": ["cuda:0", "cuda:2"]})]
    SamGeo3Video([0], engine="hold")
    assert "gpus_to_use is not used here: this engine picks its device." in capsys.readouterr().out
    for wrong in ([-1], ["0"], 0, [0.5]):
        with pytest.raises(InputError, match=r"a list of GPUs' numbers such as \[0, 1\]"):
            SamGeo3Video(wrong, engine="sam3")
