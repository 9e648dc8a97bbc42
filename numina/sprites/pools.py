"""Latents to train the flow on, encoded once and kept in a file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from numina.sprites.autoencoder import encode
from numina.sprites.world import NUM_FRAMES, render, sample_scene


@dataclass(frozen=True)
class Pool:
    """Encoded scenes.

    Attributes:
        latents: Clips ``[N, C, F, y, x]``.
        captions: True captions.
    """

    latents: Tensor
    captions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)


def encode_pool(
    model: AutoencoderKLWan, number: int, frames: int, seed: int, path: Path, batch: int = 16
) -> Pool:
    """Encode `number` fresh scenes to half precision and keep them, with their captions, in `path`.

    With one frame, that frame is any of the clip: the autoencoder is causal, so that a first frame
    is encoded alone.
    """
    if path.exists():
        saved = torch.load(path, weights_only=True)
        return Pool(saved["latents"], tuple(saved["captions"]))
    rng = np.random.default_rng((seed, frames))
    parts: list[Tensor] = []
    captions: list[str] = []
    began = time.monotonic()
    while len(captions) < number:
        scenes = [sample_scene(rng) for _ in range(min(batch, number - len(captions)))]
        clips = np.stack([render(scene, rng) for scene in scenes])
        if frames < NUM_FRAMES:
            first = int(rng.integers(NUM_FRAMES - frames + 1))
            clips = clips[:, first : first + frames]
        parts.append(encode(model, clips).half())
        captions += [scene.caption for scene in scenes]
    latents = torch.cat(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"latents": latents, "captions": captions}, path)
    print(
        f"pool {path.name}: {tuple(latents.shape)} in {time.monotonic() - began:.0f}s", flush=True
    )
    return Pool(latents, tuple(captions))
