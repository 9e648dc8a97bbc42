"""Pools of encoded scenes, each with its caption and its noise."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan

from numina.sprites.autoencoder import encode
from numina.sprites.coupling import Coupling
from numina.sprites.model import LATENT_CHANNELS, LATENT_SIDE
from numina.sprites.world import NUM_FRAMES, pose_of, render, sample_scene


@dataclass(frozen=True)
class Pool:
    """Training samples.

    Attributes:
        latents: ``[N, C, T, H, W]`` in half precision, normalised.
        noise_seeds: ``[N]``; `noise_of` makes the noise that a sample is coupled with.
    """

    latents: torch.Tensor
    captions: list[str]
    noise_seeds: torch.Tensor

    def noise(self, rows: torch.Tensor) -> torch.Tensor:
        """The noise ``[B, C, T, H, W]`` of some samples."""
        frames = self.latents.shape[2]
        return torch.stack([noise_of(seed, frames) for seed in self.noise_seeds[rows].tolist()])


def noise_of(seed: int, latent_frames: int) -> torch.Tensor:
    """Standard normal noise ``[C, T, H, W]``."""
    return torch.randn(
        (LATENT_CHANNELS, latent_frames, LATENT_SIDE, LATENT_SIDE),
        generator=torch.Generator().manual_seed(seed),
    )


def encode_pool(
    model: AutoencoderKLWan, number: int, frames: int, seed: int, path: Path, batch: int = 16
) -> Pool:
    """Encode `number` fresh scenes, coupled with noise, and keep them in `path`.

    With one frame, that frame is any of the clip: the autoencoder is causal, so that a first frame
    is encoded alone.
    """
    if path.exists():
        return Pool(**torch.load(path))
    rng = np.random.default_rng((seed, frames))
    coupling = Coupling(model)
    parts: list[torch.Tensor] = []
    captions: list[str] = []
    seeds: list[int] = []
    began = time.monotonic()
    while len(captions) < number:
        clips = []
        first = int(rng.integers(NUM_FRAMES - frames + 1))
        poses = sorted({pose_of(frame) for frame in range(first, first + frames)})
        for _ in range(min(batch, number - len(captions))):
            scene, noise_seed = sample_scene(rng), int(rng.integers(2**62))
            placing = coupling.placing(noise_of(noise_seed, len(poses)), poses)
            clips.append(render(scene, rng, placing)[first : first + frames])
            captions.append(scene.caption)
            seeds.append(noise_seed)
        parts.append(encode(model, np.stack(clips)).half())
    pool = Pool(torch.cat(parts), captions, torch.tensor(seeds))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(vars(pool), path)
    print(
        f"pool {path.name}: {tuple(pool.latents.shape)} in {time.monotonic() - began:.0f}s",
        flush=True,
    )
    return pool
