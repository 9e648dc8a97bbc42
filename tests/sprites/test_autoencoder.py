"""The autoencoder of the sprites: one code for every latent frame."""

import numpy as np
import torch

from numina.sprites.autoencoder import decode, encode, forget_past
from numina.sprites.model import build_autoencoder
from numina.sprites.world import NUM_FRAMES, pose_of, render, sample_scene


def clip(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return render(sample_scene(rng), rng)[None, :, :32, :32]


def test_without_a_past_every_latent_frame_is_the_code_of_one_frame_alone():
    torch.manual_seed(0)
    model = build_autoencoder().eval()
    frames = clip()
    mixed = encode(model, frames)
    forget_past(model)
    latents = encode(model, frames)
    alone = torch.cat([encode(model, frames[:, [index]]) for index in (0, 2, 4)], dim=2)
    assert latents.shape == (1, 8, 3, 8, 8)
    torch.testing.assert_close(latents, alone)
    torch.testing.assert_close(latents[:, :, 0], mixed[:, :, 0])
    assert not torch.equal(latents[:, :, 1:], mixed[:, :, 1:])


def test_without_a_past_every_kept_frame_is_shown_twice():
    torch.manual_seed(0)
    model = build_autoencoder().eval()
    forget_past(model)
    frames = decode(model, torch.randn(1, 8, 3, 8, 8))
    assert frames.shape[1] == NUM_FRAMES
    assert np.array_equal(frames[:, 1], frames[:, 2])
    assert np.array_equal(frames[:, 3], frames[:, 4])
    assert not np.array_equal(frames[:, 2], frames[:, 3])


def test_clips_are_animated_on_twos():
    assert [pose_of(frame) for frame in range(NUM_FRAMES)] == [0, 2, 2, 4, 4]
    rng = np.random.default_rng(1)
    frames = render(sample_scene(rng), rng)
    assert np.array_equal(frames[1], frames[2])
    assert np.array_equal(frames[3], frames[4])
    assert not np.array_equal(frames[0], frames[1])
