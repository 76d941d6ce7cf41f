"""Where weights come from, what is said where there are none, and what `maskferry engines` knows without loading."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from maskferry.engines import _weights as weights
from maskferry.engines import registry
from maskferry.engines.registry import engine_status, load_engine, pick_engine
from maskferry.errors import EngineError, InputError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def installed(monkeypatch):
    """As if torch and the others were installed."""
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: object())


def fill_cache(cache, repository: str, files=("config.json", "model.safetensors")) -> None:
    root = cache / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("abc123\n")
    folder = root / "snapshots" / "abc123"
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_text("{}")


def test_status_without_weights_says_how_to_get_them(installed):
    sam3, sam2 = engine_status("sam3"), engine_status("sam2.1-tiny")
    assert not sam3.ready
    assert "ask for access at https://huggingface.co/facebook/sam3, then `hf auth login`" in sam3.reason
    assert not sam2.ready
    assert "fetched from facebook/sam2.1-hiera-tiny on first use" in sam2.reason
    assert pick_engine() == "flow"


def test_auto_takes_a_model_whose_weights_are_here_only_where_there_is_a_gpu(installed, empty_cache, monkeypatch):
    fill_cache(empty_cache, "facebook/sam2.1-hiera-small")
    monkeypatch.setattr(registry, "_accelerator", lambda: None)
    status = engine_status("sam2.1-small")
    assert (status.ready, status.fast) == (True, False)
    assert status.reason == "runs here, but slowly: torch finds no GPU; weights in the cache"
    assert pick_engine() == "flow"
    monkeypatch.setattr(registry, "_accelerator", lambda: "GPU (cuda)")
    assert engine_status("sam2.1-small").reason == "runs here, on the GPU (cuda); weights in the cache"
    assert pick_engine() == "sam2.1-small"
    fill_cache(empty_cache, "facebook/sam3", ("config.json", "model-00001-of-00002.safetensors"))
    assert not engine_status("sam3").ready  # a download that was cut short


def test_auto_prefers_sam31_where_its_weights_are(installed, empty_cache, monkeypatch):
    monkeypatch.setattr(registry, "_accelerator", lambda: "GPU (cuda)")
    fill_cache(empty_cache, "facebook/sam3")
    assert pick_engine() == "sam3"
    assert (
        "ask for access at https://huggingface.co/facebook/sam3.1, then `hf auth login`"
        in engine_status("sam3.1").reason
    )
    fill_cache(empty_cache, "facebook/sam3.1", ("sam3.1_multiplex.pt",))
    assert pick_engine() == "sam3.1"


@pytest.mark.parametrize(
    ("environment", "below"),
    [
        ({"HF_HUB_CACHE": "a"}, "a"),
        ({"HF_HOME": "b"}, "b/hub"),
        ({"XDG_CACHE_HOME": "c"}, "c/huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_hub_keeps_it(environment, below, tmp_path, monkeypatch):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert weights.cache_folder() == tmp_path / below


def test_status_and_the_engines_command_import_neither_torch_nor_transformers():
    code = (
        "import sys; from maskferry.engines.registry import engine_status, known_engines, pick_engine; "
        "[engine_status(n) for n in known_engines()]; pick_engine(); "
        "assert not {'torch', 'transformers', 'huggingface_hub'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- with torch ---------------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint():
    pytest.importorskip("torch", reason="the SAM engines need torch")
    pytest.importorskip("transformers", reason="the SAM engines need transformers")
    from maskferry.engines._sam import checkpoint

    return checkpoint


@pytest.fixture
def tiny(checkpoint, tmp_path):
    import sam_models

    return sam_models.save("sam2.1-tiny", tmp_path / "tiny")


def test_a_cached_copy_works_offline(tiny, empty_cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fill_cache(empty_cache, "facebook/sam2.1-hiera-tiny", ())
    shutil.copytree(tiny, empty_cache / "models--facebook--sam2.1-hiera-tiny/snapshots/abc123", dirs_exist_ok=True)
    assert engine_status("sam2.1-tiny").ready
    load_engine("sam2.1-tiny").close()
    load_engine("sam2.1-tiny", checkpoint="facebook/sam2.1-hiera-tiny").close()


def test_offline_without_a_copy(checkpoint, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EngineError) as caught:
        load_engine("sam3")
    for part in (
        "facebook/sam3 are not on this machine, and the network is forbidden",
        "Ask for access at https://huggingface.co/facebook/sam3, then log in",
        "hf auth login",
        "HF_TOKEN",
        'checkpoint="path/to/folder"',
        "sam2.1-large",
        "Engine 'flow' needs no weights and runs now",
    ):
        assert part in str(caught.value)
    with pytest.raises(EngineError) as caught:
        load_engine("sam2.1-large")
    assert "access" not in str(caught.value)


def test_a_gated_repository_and_a_missing_network(checkpoint, monkeypatch):
    from huggingface_hub.errors import GatedRepoError

    for error, message in (
        (GatedRepoError.__new__(GatedRepoError), "are gated, and this account or machine has no access"),
        (OSError("no route to host"), "cannot be fetched: no route to host"),
    ):

        def fail(*args, error=error, **kwargs):
            raise error

        monkeypatch.setattr("maskferry.engines._sam.weights_folder.snapshot_download", fail)
        with pytest.raises(EngineError, match=message):
            load_engine("sam3")


def test_checkpoints_that_are_none(checkpoint, tiny, tmp_path):
    with pytest.raises(EngineError, match="there is no folder"):
        load_engine("sam3", checkpoint=tmp_path / "nowhere")
    with pytest.raises(EngineError, match="holds no model"):
        load_engine("sam3", checkpoint=tmp_path)
    with pytest.raises(InputError, match="is a 'sam2_video', expected sam3_video or sam3_tracker_video"):
        load_engine("sam3", checkpoint=tiny)
    (tiny / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(EngineError, match="cannot be loaded as a Sam2VideoModel"):
        load_engine("sam2.1-tiny", checkpoint=tiny)
    (tiny / "config.json").write_text(json.dumps({}))
    with pytest.raises(EngineError, match="names no model_type"):
        load_engine("sam2.1-tiny", checkpoint=tiny)


def test_weights_that_are_not_all_there(checkpoint, tiny):
    from safetensors.torch import load_file, save_file

    tensors = load_file(tiny / "model.safetensors")
    del tensors["memory_encoder.projection.weight"]
    save_file(tensors, tiny / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        EngineError, match=r"lacks 1 weights of a Sam2VideoModel: \['memory_encoder.projection.weight'\]"
    ):
        load_engine("sam2.1-tiny", checkpoint=tiny)


def test_options(checkpoint, tiny):
    for options, message in (
        ({"device": "cuda:77"}, "device 'cuda:77' is unavailable"),
        ({"device": "toaster"}, "device 'toaster' is unavailable"),
        ({"precision": "int4"}, "precision must be auto"),
        ({"max_batch": 0}, "max_batch must be a whole number"),
        ({"compile": "perhaps"}, "compile must be"),
        ({"speed": 3}, "speed"),
    ):
        with pytest.raises(InputError, match=message):
            load_engine("sam2.1-tiny", checkpoint=tiny, **options)
