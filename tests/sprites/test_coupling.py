"""Scenes coupled with noise: near to it, and as true as ever."""

from pathlib import Path

import numpy as np
import pytest
import torch

from numina.sprites.counter import count_sprites
from numina.sprites.coupling import Coupling, highest
from numina.sprites.model import load
from numina.sprites.pools import encode_pool, noise_of
from numina.sprites.world import NUM_FRAMES, pose_of, prompt_for, render

POSES = sorted({pose_of(frame) for frame in range(NUM_FRAMES)})


@pytest.fixture(scope="module")
def coupling() -> Coupling:
    return Coupling(load().vae)


@pytest.mark.parametrize("seed", range(7))
def test_a_coupled_scene_is_still_what_its_caption_says(coupling: Coupling, seed: int):
    scene = prompt_for(seed)
    clip = render(
        scene, np.random.default_rng(seed), coupling.placing(noise_of(seed, len(POSES)), POSES)
    )
    found = {c: n for c, n in count_sprites(clip).items() if n.any()}
    assert set(found) == set(scene.counts)
    for category, count in scene.groups:
        assert found[category].tolist() == [count] * NUM_FRAMES


def test_eight_sprites_find_room_near_any_noise(coupling: Coupling):
    scene = prompt_for(7)
    assert scene.total == 8
    for seed in range(20):
        clip = render(scene, np.random.default_rng(seed), coupling.placing(noise_of(seed, 1), [0]))
        assert count_sprites(clip)[scene.groups[0][0]][0] == 8


@pytest.mark.parametrize("frames", [1, NUM_FRAMES])
def test_scenes_lie_nearer_to_their_own_noise_than_to_another(
    coupling: Coupling, tmp_path: Path, frames: int
):
    pool = encode_pool(coupling.autoencoder, 12, frames, seed=3, path=tmp_path / "pool.pt")
    latents, noise = pool.latents.float(), pool.noise(torch.arange(12))
    # |e - x|^2 = |e|^2 + |x|^2 - 2 <e, x>: only the product depends on the pairing.
    own = (latents * noise).flatten(1).sum(1).mean()
    others = torch.stack(
        [(latents * noise.roll(shift, 0)).flatten(1).sum(1).mean() for shift in range(1, 12)]
    )
    assert own > others.max() + 100


def test_the_noise_alone_decides_the_places(coupling: Coupling):
    scene, step = prompt_for(2), np.array([0, 3])
    place = coupling.placing(noise_of(5, 1), [0])
    first, second = (place(scene, step, np.random.default_rng(seed)) for seed in (0, 1))
    # Pixels of one latent score alike, and the generator chooses among them.
    assert np.abs(np.sort(first, axis=0) - np.sort(second, axis=0)).max() < 4
    other = coupling.placing(noise_of(6, 1), [0])(scene, step, np.random.default_rng(0))
    assert np.abs(first - other).max() >= 4


def test_the_highest_places_are_taken_first_and_keep_their_distance():
    scores = np.zeros((1, 60, 60))
    scores[0, 10, 10], scores[0, 12, 12], scores[0, 50, 50] = 3.0, 2.0, 1.0
    assert highest(scores, [2]).tolist() == [[10, 10], [50, 50]]


def test_the_better_noun_gets_a_place_and_the_order_is_that_of_the_groups():
    scores = np.zeros((2, 60, 60))
    scores[0, 10, 10], scores[1, 10, 10], scores[0, 50, 50] = 2.0, 3.0, 1.0
    assert highest(scores, [1, 1]).tolist() == [[50, 50], [10, 10]]


def test_no_room_is_told():
    assert highest(np.zeros((1, 20, 20)), [2]) is None


def test_a_pool_is_read_again_as_it_was_made(coupling: Coupling, tmp_path: Path):
    made = encode_pool(coupling.autoencoder, 3, 1, seed=0, path=tmp_path / "a.pt")
    again = encode_pool(coupling.autoencoder, 3, 1, seed=0, path=tmp_path / "a.pt")
    anew = encode_pool(coupling.autoencoder, 3, 1, seed=0, path=tmp_path / "b.pt")
    for other in (again, anew):
        assert other.captions == made.captions
        assert torch.equal(other.latents, made.latents)
        assert torch.equal(other.noise_seeds, made.noise_seeds)
    rows = torch.tensor([2, 0])
    seeds = made.noise_seeds[rows].tolist()
    assert torch.equal(made.noise(rows), torch.stack([noise_of(seed, 1) for seed in seeds]))
