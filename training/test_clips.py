"""Small tests of the generator, on the CPU and on procedural shapes and textures alone: ``pytest training``."""

import dataclasses
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from bank import part_of
from camera import compress
from dice import Dice
from recipe import Recipe
from script import LOOKALIKE, OCCLUDER, PART, TARGET, Counts, plan, times
from worlds import worlds

from clips import Batch, Clips, sheet

NOWHERE = Path("nowhere")
ALONE = Recipe(part=0, companion=0, lookalike=0, other=0, occluder=0, leaves=0, jumps=0, motion_blur=0, low_contrast=0)


@pytest.fixture(scope="module")
def clips() -> Clips:
    return Clips(NOWHERE, "cpu", 64, seed=3)


@pytest.fixture(scope="module")
def batch(clips: Clips) -> Batch:
    return clips.batch(5, 4)


def made(clips: Clips, recipe: Recipe, seed: int = 1) -> Clips:
    """A generator with another recipe, on the same bank."""
    other = object.__new__(Clips)
    other.__dict__.update(clips.__dict__)
    other.recipe, other.dice, other.noise = recipe, Dice(seed), torch.Generator().manual_seed(seed)
    return other


def test_shapes_and_ranges(batch: Batch) -> None:
    assert batch.pictures.shape == (5, 4, 3, 64, 64) and batch.pictures.dtype == torch.float32
    assert batch.masks.shape == (5, 4, 1, 64, 64) and batch.masks.dtype == torch.float32
    assert batch.valid.shape == (5,) and batch.valid.dtype == torch.bool
    assert batch.pictures.isfinite().all() and batch.pictures.min() >= 0 and batch.pictures.max() <= 255
    assert (batch.pictures == batch.pictures.round()).all()
    assert batch.masks.min() >= 0 and batch.masks.max() <= 1


def test_valid_is_area_of_first_frame(batch: Batch) -> None:
    assert (batch.valid == (batch.masks[:, 0].mean((1, 2, 3)) >= 0.004)).all()


def test_same_seed_same_batch(clips: Clips) -> None:
    a, b, c = (made(clips, Recipe(), seed).batch(3, 3) for seed in (7, 7, 8))
    assert (a.pictures == b.pictures).all() and (a.masks == b.masks).all()
    assert not (a.pictures == c.pictures).all()


def test_hidden_target_has_an_empty_mask(clips: Clips) -> None:
    generator = made(clips, ALONE)
    script = plan(generator.dice, ALONE, generator.counts, times(generator.dice, ALONE, 4, 3))
    script.layers.centre[:, 1] = 9.0
    _, masks = generator.compose(script)
    assert (masks[:, 1] == 0).all() and (masks[:, 0].mean((1, 2, 3)) > 0).all()


def test_lookalike_and_occluder_are_not_in_the_mask(clips: Clips) -> None:
    recipe = dataclasses.replace(ALONE, lookalike=1.0, occluder=1.0)
    generator = made(clips, recipe)
    script = plan(generator.dice, recipe, generator.counts, times(generator.dice, recipe, 6, 2))
    roles = script.layers.role
    assert {TARGET, LOOKALIKE, OCCLUDER} <= set(roles.tolist())
    look = [getattr(script.layers, name) for name in ("kind", "asset", "photo", "zoom")]
    for value in look:
        assert (value[roles == LOOKALIKE] == value[roles == TARGET]).all()
    for far in (LOOKALIKE, OCCLUDER):
        script.layers.centre[roles == far] += 50.0
    _, alone = generator.compose(script)
    for near in (LOOKALIKE, OCCLUDER):
        script.layers.centre[roles == near] -= 50.0
    _, together = generator.compose(script)
    assert (together <= alone + 1e-5).all() and (together < alone - 0.5).any()


def test_part_is_in_the_mask(clips: Clips) -> None:
    recipe = dataclasses.replace(ALONE, part=1.0)
    generator = made(clips, recipe)
    script = plan(generator.dice, recipe, generator.counts, times(generator.dice, recipe, 6, 2))
    _, both = generator.compose(script)
    script.layers.centre[script.layers.role == PART] += 50.0
    _, less = generator.compose(script)
    assert (both >= less - 1e-5).all() and (both > less + 0.5).flatten(1).any(1).sum() >= 4


def test_moving_the_target_moves_its_mask_alone(clips: Clips) -> None:
    generator = made(clips, ALONE)
    counts = Counts(1, 1, 2, 1, 0, 0)
    script = plan(generator.dice, ALONE, counts, torch.zeros(2, 1))
    script.layers.centre[:] = 0
    _, middle = generator.compose(script)
    script.layers.centre[..., 0] = 2 * 8 / 64
    _, right = generator.compose(script)
    # to the coarse grid's error in the soft deformation
    assert (middle[..., :-8] - right[..., 8:]).abs().mean() < 0.02 * middle.mean()


def test_wide_pictures_and_given_sizes(clips: Clips) -> None:
    generator = made(clips, ALONE)
    generator.size = (48, 86)
    film = generator.film(torch.arange(3)[None].expand(2, 3) / 4, torch.tensor([0.1, 0.5]))
    assert film.pictures.shape == (2, 3, 3, 48, 86)
    first = film.masks[:, 0].mean((1, 2, 3))
    assert 0 < first[0] < 0.3 * first[1]


def test_parts_are_disjoint() -> None:
    train, held = set(part_of(35, "train").tolist()), set(part_of(35, "held-out").tolist())
    assert not train & held and train | held == set(range(35)) and held == {0, 10, 20, 30}
    with pytest.raises(ValueError, match="held-out"):
        part_of(3, "test")


def test_compression_keeps_flat_colours_and_shape() -> None:
    flat = torch.full((1, 2, 3, 20, 28), 0.5)
    assert torch.allclose(compress(flat, torch.tensor([1.0]), True), flat, atol=0.05)


def test_sheet(batch: Batch, tmp_path: Path) -> None:
    sheet(batch, tmp_path / "sheet.jpg", rows=2)
    assert (tmp_path / "sheet.jpg").stat().st_size > 1000


def test_worlds() -> None:
    (name, pictures, truth), (_, others, _) = worlds(2, 5, NOWHERE, (48, 86), 6)
    assert name == "w000" and pictures.shape == (6, 48, 86, 3) and pictures.dtype == "uint8"
    assert truth.shape == (6, 48, 86) and truth.dtype == bool and truth[0].any() and not truth.all()
    assert (pictures != others).any()
    ((later, again, _),) = worlds(2, 5, NOWHERE, (48, 86), 6, skip=1)
    assert later == "w001" and (again == others).all()
