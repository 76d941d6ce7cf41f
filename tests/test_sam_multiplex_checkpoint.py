"""The published file of SAM 3.1: read whole, in every form, or refused by the names of its tensors."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

import multiplex_models
from maskferry.engines._sam.multiplex.architecture import PUBLISHED
from maskferry.engines._sam.multiplex.checkpoint import published_name, read_checkpoint
from maskferry.engines._sam.multiplex.loading import load_network
from maskferry.engines._sam.multiplex.network import MultiplexNetwork
from maskferry.engines.registry import engine_status, load_engine
from maskferry.errors import EngineError, InputError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights():
    return multiplex_models.weights()


@pytest.fixture(scope="module")
def network():
    with torch.device("meta"):
        return MultiplexNetwork(multiplex_models.TINY, torch.float32)


def load(path, dtype=torch.float32):
    return load_network("sam3.1", path, multiplex_models.TINY, CPU, dtype)[0]


def assert_loaded(network, weights):
    found = {published_name(name): t for name, t in network.state_dict().items()}
    assert found.keys() == weights.keys()
    for name, t in found.items():
        assert torch.equal(t, weights[name]), name


def test_the_published_tensors_are_457_of_the_tracker():
    with torch.device("meta"):
        network = MultiplexNetwork(PUBLISHED, torch.float32)
    shapes = {published_name(name): tuple(t.shape) for name, t in network.state_dict().items()}
    assert sum(name.startswith("tracker.model.") for name in shapes) == 457
    vision = "detector.backbone.vision_backbone."
    assert sum(name.startswith(vision + "trunk.") for name in shapes) == 388
    for neck in ("interactive_convs", "propagation_convs"):
        assert sum(name.startswith(f"{vision}{neck}.") for name in shapes) == 18
    assert shapes[vision + "trunk.blocks.31.mlp.fc1.weight"] == (4736, 1024)
    assert shapes["tracker.model.sam_mask_decoder.mask_tokens.weight"] == (48, 256)
    assert sum(t.numel() for t in network.state_dict().values()) == pytest.approx(480e6, rel=0.02)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
def test_both_forms_and_both_precisions_load(tmp_path, weights, suffix, stored):
    rounded = {name: t.to(stored) for name, t in weights.items()}
    path = multiplex_models.save(tmp_path / f"m{suffix}", rounded)
    assert_loaded(load(path), {name: t.float() for name, t in rounded.items()})


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_both_prefixes_load_below_the_key_model_too(tmp_path, weights, older, nested):
    tensors = multiplex_models.published(weights, older=older)
    torch.save({"model": tensors} if nested else tensors, tmp_path / "m.pt")
    assert_loaded(load(tmp_path / "m.pt"), weights)


def test_half_precision_spares_what_is_sensitive(tmp_path, weights):
    network = load(multiplex_models.save(tmp_path / "m.pt"), torch.bfloat16)
    assert network.sam_mask_decoder.iou_prediction_head.layers[0].weight.dtype == torch.float32
    assert network.interactive_sam_prompt_encoder.no_mask_embed.weight.dtype == torch.float32
    assert network.vision.trunk.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16
    assert network.rotary[0].dtype == torch.float32


def test_whether_there_is_a_detector_is_known(tmp_path, network, weights):
    for path, there in (
        (multiplex_models.save(tmp_path / "with.pt"), True),
        (multiplex_models.write(tmp_path / "without.pt", weights), False),
    ):
        checkpoint = read_checkpoint("sam3.1", path, network)
        assert checkpoint.holds_detector == there
        assert checkpoint.tensors.keys() == weights.keys()


def test_files_are_memory_mapped_and_run_no_code(tmp_path, monkeypatch):
    options, read = {}, torch.load
    monkeypatch.setattr(torch, "load", lambda path, **given: options.update(given) or read(path, **given))
    path = multiplex_models.save(tmp_path / "m.pt")
    network = load(path)
    assert (options["weights_only"], options["mmap"]) == (True, True)
    path.write_bytes(b"")  # nothing of the network depends on the file
    assert network.maskmem_tpos_enc.isfinite().all()


def spoil(tensors):
    del tensors["tracker.model.no_obj_ptr_linear.weight"]
    tensors["tracker.model.surplus"] = torch.zeros(2)
    tensors["detector.backbone.vision_backbone.trunk.surplus"] = torch.zeros(2)
    tensors["tracker.model.output_valid_embed"] = torch.zeros(16, 63)
    tensors["tracker.model.output_invalid_embed"] = torch.zeros(16, 64, dtype=torch.int8)
    return tensors


def test_what_is_missing_unexpected_or_misshapen_is_named(tmp_path, weights):
    path = multiplex_models.save(tmp_path / "m.safetensors", spoil(dict(weights)))
    with pytest.raises(EngineError) as caught:
        load(path)
    for part in (
        "m.safetensors is no whole checkpoint of SAM 3.1",
        "1 missing (tracker.model.no_obj_ptr_linear.weight)",
        "2 unexpected (detector.backbone.vision_backbone.trunk.surplus, tracker.model.surplus)",
        "1 misshapen (tracker.model.output_valid_embed (16, 63) instead of (16, 64))",
        "1 no floating point (tracker.model.output_invalid_embed torch.int8)",
    ):
        assert part in str(caught.value)


def test_many_missing_tensors_are_counted(tmp_path):
    torch.save({"detector.transformer.x": torch.zeros(1)}, tmp_path / "m.pt")
    with pytest.raises(EngineError, match=r"missing \(.* and \d+ more\)"):
        load(tmp_path / "m.pt")


def test_files_that_are_none(tmp_path, weights):
    (tmp_path / "m.pt").write_bytes(b"rubbish")
    (tmp_path / "m.safetensors").write_bytes(b"rubbish")
    for name in ("m.pt", "m.safetensors"):
        with pytest.raises(EngineError, match="cannot be read as weights"):
            load(tmp_path / name)
    (tmp_path / "m.bin").write_bytes(b"rubbish")
    with pytest.raises(InputError, match=r"expected a file \.pt or \.safetensors"):
        load(tmp_path / "m.bin")
    torch.save([1], tmp_path / "m.pt")
    with pytest.raises(EngineError, match="holds a list, expected a table"):
        load(tmp_path / "m.pt")
    torch.save({"tracker.model.x": 3}, tmp_path / "m.pt")
    with pytest.raises(EngineError, match=r"tracker\.model\.x is a int, expected a tensor"):
        load(tmp_path / "m.pt")
    twice = {"detector.x": torch.zeros(1), "sam3_model.x": torch.zeros(1)}
    torch.save(twice, tmp_path / "m.pt")
    with pytest.raises(EngineError, match=r"detector\.x comes twice"):
        load(tmp_path / "m.pt")


def test_a_file_a_folder_and_the_hubs_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("maskferry.engines._sam.MultiplexEngine.architecture", multiplex_models.TINY)
    with pytest.raises(EngineError, match=r"Ask for access at https://huggingface\.co/facebook/sam3\.1, then log in"):
        load_engine("sam3.1", device="cpu")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(EngineError, match=r"holds no model: expected sam3\.1_multiplex\*\.safetensors or"):
        load_engine("sam3.1", checkpoint=folder)
    path = multiplex_models.save(folder / "sam3.1_multiplex.pt")
    for checkpoint in (path, str(path), folder, str(folder)):
        load_engine("sam3.1", checkpoint=checkpoint, device="cpu").close()
    root = tmp_path / "cache" / "models--facebook--sam3.1"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("abc123\n")
    assert not engine_status("sam3.1").ready
    (root / "snapshots" / "abc123").mkdir(parents=True)
    (root / "snapshots" / "abc123" / path.name).symlink_to(path)  # as the hub's cache does
    assert engine_status("sam3.1").ready
    load_engine("sam3.1", device="cpu").close()


def test_the_preferred_file_of_a_repository_is_fetched_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("maskferry.engines._sam.MultiplexEngine.architecture", multiplex_models.TINY)
    asked = []

    def fetch(repository, allow_patterns):
        asked.append((repository, allow_patterns))
        if allow_patterns == ["sam3.1_multiplex*.pt"]:
            multiplex_models.save(tmp_path / "sam3.1_multiplex.pt")
        return str(tmp_path)

    monkeypatch.setattr("maskferry.engines._sam.weights_folder.snapshot_download", fetch)
    load_engine("sam3.1", device="cpu").close()
    assert asked == [("facebook/sam3.1", [p]) for p in ("sam3.1_multiplex*.safetensors", "sam3.1_multiplex*.pt")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:77"}, "device 'cuda:77' is unavailable"),
        ({"precision": "float16"}, "precision must be auto"),
        ({"max_batch": 0}, "max_batch must be a whole number"),
        ({"compile": "perhaps"}, "compile must be"),
        ({"isolate": 1}, "isolate must be True or False"),
        ({"capacity": 17}, "capacity must be a whole number from 1 to 16"),
        ({"capacity": True}, "capacity must be"),
        ({"model": "sam3"}, "model"),
    ],
)
def test_options(options, message):
    with pytest.raises(InputError, match=message):
        load_engine("sam3.1", checkpoint="nowhere.pt", **options)
