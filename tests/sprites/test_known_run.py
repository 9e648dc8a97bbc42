"""Runs through a known clip: the schedule is the one given, the latents are the clip's."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from numina.sprites import known_run
from numina.sprites.autoencoder import encode
from numina.sprites.known_run import GivenLevels, load_with_levels, passing_through
from numina.sprites.model import build_autoencoder

LEVELS = (0.9, 0.6, 0.3)


def test_a_schedule_has_the_given_levels_and_exceeds_none():
    scheduler = GivenLevels(shift=1.0)
    scheduler.levels = LEVELS
    scheduler.set_timesteps(50)
    found = [float(sigma) for sigma in scheduler.sigmas]
    np.testing.assert_allclose(found, [*LEVELS, 0.0], rtol=1e-6)
    assert all(sigma <= level for sigma, level in zip(found, LEVELS, strict=False))
    np.testing.assert_allclose(scheduler.timesteps, [900, 600, 300], rtol=1e-6)


@pytest.mark.parametrize("levels", [(), (0.5, 0.5), (0.5, 0.6), (1.0, 0.5), (0.5, 0.0)])
def test_levels_that_do_not_fall_are_refused(levels, tmp_path):
    with pytest.raises(ValueError, match="levels must fall and lie between 0 and 1"):
        load_with_levels(levels, tmp_path)


def test_latents_are_the_clips_at_every_level_and_the_run_ends_with_them(monkeypatch, tmp_path):
    autoencoder = build_autoencoder().eval()
    monkeypatch.setattr(known_run, "_autoencoder", lambda folder: autoencoder)
    clip = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    clean = encode(autoencoder, clip[None])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    call = passing_through(clip, LEVELS, tmp_path, torch.Generator().manual_seed(3))
    pipe = SimpleNamespace(_interrupt=False)
    shown = [call["latents"]]
    for step in range(len(LEVELS)):
        assert not pipe._interrupt
        given = {"latents": torch.zeros_like(clean)}
        shown.append(call["callback_on_step_end"](pipe, step, None, given)["latents"])
    assert pipe._interrupt
    for level, latents in zip((*LEVELS, 0.0), shown, strict=True):
        torch.testing.assert_close(latents, (1 - level) * clean + level * noise)
