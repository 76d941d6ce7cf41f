"""Batches on a Ray cluster of one machine: nodes, raylets, workers and drivers are killed while all of them work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from batch_tools import KILLER_HW, clips, digest, receipts, start_batch, wait_until
from cli_tools import finish, label_map, one_json, run
from clips import make_clip
from maskferry.batch import RayRunner
from maskferry.errors import InputError

ray = pytest.importorskip("ray")

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL and /proc"),
]

SLOWLY = ("--detector", "harm:slow", "--every", 1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head without a CPU, and three nodes of one; what dies is replaced by `whole`."""
    from ray.cluster_utils import Cluster

    home = tmp_path_factory.mktemp("r", numbered=True)
    films = clips(home, 12, frames=20)
    before = {name: os.environ.get(name) for name in ("HOME", "RAY_TMPDIR", "PYTHONPATH", "TMPDIR")}
    short = Path("/tmp") / f"mf{os.getpid()}"  # sockets have short names
    (short / "ray").mkdir(parents=True)
    os.environ |= {"HOME": str(home), "PYTHONPATH": str(home), "TMPDIR": str(home)}
    os.environ |= {"RAY_TMPDIR": str(short), "RAY_USAGE_STATS_ENABLED": "0"}
    system = {"health_check_period_ms": 500, "health_check_failure_threshold": 2, "health_check_timeout_ms": 500}
    head = {
        "num_cpus": 0,
        "include_dashboard": False,
        "object_store_memory": 80_000_000,
        "_system_config": system,
    }
    found = Cluster(initialize_head=True, head_node_args=head)
    try:
        found.films = films
        found.nodes_wanted = []
        whole(found)
        yield found
    finally:
        found.shutdown()
        subprocess.run(["rm", "-rf", str(short)], check=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def whole(cluster) -> None:
    """Have three nodes."""
    for node in list(cluster.worker_nodes):
        if not node.any_processes_alive() or pid_of(node) not in raylets():
            cluster.remove_node(node, allow_graceful=False)
    while len(cluster.worker_nodes) < 3:
        cluster.add_node(num_cpus=1, include_dashboard=False, object_store_memory=80_000_000)
    cluster.wait_for_nodes()


def pid_of(node) -> int:
    return node.all_processes["raylet"][0].process.pid


def raylets() -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            state = (path.parent / "stat").read_text().rpartition(")")[2].split()[0]
            if b"raylet/raylet" in path.read_bytes() and state != "Z":
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def start(cluster, out: Path, *options: object) -> subprocess.Popen[str]:
    return start_batch(cluster.films, "--ray", cluster.address, *options, out=str(out))


def at_work(films: Path) -> dict[int, str]:
    """{process of a worker: attempt that it tracks}."""
    found = {}
    for path in films.parent.glob("maskferry-batch-*/*/out/tracks.sqlite"):
        pid = int(path.parents[2].name.split("-")[2])
        if Path(f"/proc/{pid}").exists():
            found[pid] = path.parents[1].name
    return found


def scratch(cluster) -> set[Path]:
    """Folders that workers have on their disks."""
    return set(cluster.films.parent.glob("maskferry-batch-*"))


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def expected(cluster, tmp_path_factory) -> str:
    """The digest that `maskferry track` comes to."""
    out, films = tmp_path_factory.mktemp("one"), cluster.films
    assert run("track", films / "c01.mp4", "--masks", films / "c01.png", "--engine", "hold", "-o", out, "-q") == 0
    return digest(out)


@pytest.mark.parametrize("workers", [3, 2])
def test_a_node_is_killed(cluster, expected, tmp_path, workers):
    """With three workers no room is left for what was lost; with two there is."""
    whole(cluster)
    process = start(cluster, tmp_path / "out", "--json", "--workers", workers, *SLOWLY)
    wait_until(lambda: len(at_work(cluster.films)) == workers, process)
    pid, attempt = next(iter(at_work(cluster.films).items()))
    os.kill(parent(pid), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    for line in process.stderr:
        note = json.loads(line).get("note", "") if line.startswith("{") else ""
        if note.startswith(attempt.split(".")[0]):
            break
    assert time.monotonic() - killed < 3, "its video waits too long"
    code, text, err = finish(process)
    assert code == 0, err
    found = receipts(tmp_path / "out")
    assert one_json(text)["attempts"] == 13
    assert len(found) == 12
    assert not list((tmp_path / "out/.batch").glob("failures/*"))
    assert {receipt["digest"] for receipt in found.values()} == {expected}
    assert found[attempt.split(".")[0]]["attempts"] == 2


def test_a_raylet_is_killed_and_its_worker_works_on(cluster, expected, tmp_path):
    whole(cluster)
    out = tmp_path / "out"
    process = start(cluster, out, "--json", "--workers", 3, *SLOWLY)
    wait_until(lambda: len(at_work(cluster.films)) == 3, process)
    pid, attempt = next(iter(at_work(cluster.films).items()))
    os.kill(parent(pid), signal.SIGKILL)
    times: dict[Path, int] = {}

    def unchanged() -> bool:
        for receipt in out.glob("*/receipt.json"):
            for path in receipt.parent.iterdir():
                assert times.setdefault(path, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
        return process.poll() is not None

    while not unchanged():
        time.sleep(0.02)
    code, _, err = finish(process)
    assert code == 0, err
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or pid not in at_work(cluster.films))
    unchanged()
    found = receipts(out)
    assert len(found) == 12
    assert {receipt["digest"] for receipt in found.values()} == {expected}
    assert found[attempt.split(".")[0]]["attempt"] != attempt


def test_the_driver_is_killed(cluster, expected, tmp_path):
    whole(cluster)
    out = tmp_path / "out"
    process = start(cluster, out, *SLOWLY)
    wait_until(lambda: len(receipts(out)) >= 4, process)
    process.kill()
    process.communicate()
    done = receipts(out)
    times = {path: path.stat().st_mtime_ns for name in done for path in (out / name).iterdir()}
    code, _, err = finish(start(cluster, out, *SLOWLY))
    assert code == 0, err
    found = receipts(out)
    assert len(found) == 12
    assert {receipt["digest"] for receipt in found.values()} == {expected}
    assert {name: found[name] for name in done} == done
    assert {path: path.stat().st_mtime_ns for path in times} == times
    began = time.monotonic()
    code, text, err = finish(start(cluster, out, "--json", *SLOWLY))
    assert (code, one_json(text)["attempts"]) == (0, 0), err
    assert time.monotonic() - began < 5


def test_an_empty_video_and_one_that_kills_its_worker(cluster, tmp_path):
    whole(cluster)
    films = clips(tmp_path)
    (films / "c03.mp4").write_bytes(b"")
    make_clip(films / "c07.mp4", 12, size_hw=KILLER_HW)
    label_map(films / "c07.png", (10, 20, 40, 60), size_hw=KILLER_HW)
    options = ("--json", "--ray", cluster.address, "--detector", "harm:deadly", "--every", 1)
    before = scratch(cluster)
    code, text, err = finish(start_batch(films, *options))
    assert code == 1, err
    assert one_json(text)["counts"] == {"pending": 0, "done": 10, "damaged": 0, "failed": 2}
    failures = {p.stem: json.loads(p.read_text()) for p in (tmp_path / "out/.batch/failures").glob("*.json")}
    assert {name: failure["cause"] for name, failure in failures.items()} == {"c03": "input", "c07": "killed"}
    assert failures["c07"]["attempts"] == 2
    assert scratch(cluster) <= before, "left on the disks of machines that live"


def test_stopped_by_ctrl_c(cluster, tmp_path):
    whole(cluster)
    process = start(cluster, tmp_path / "out", *SLOWLY)
    wait_until(lambda: len(at_work(cluster.films)) >= 2, process)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130, err
    assert list((tmp_path / "out/.batch/saved").iterdir())


def test_no_cluster(tmp_path):
    films = clips(tmp_path, 1)
    code, _, err = finish(start_batch(films, "--ray", "127.0.0.1:1"))
    assert code == 2
    assert "--ray 127.0.0.1:1" in err


def test_a_ray_client_is_refused():
    with pytest.raises(InputError, match="ray job submit"):
        RayRunner("ray://head:10001")
