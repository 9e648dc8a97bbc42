"""Trains the autoencoder of the sprites pipeline, measures it, and encodes pools of latents."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from numpy.typing import NDArray
from torch.nn import functional

from numina.sprites.model import LATENT_CHANNELS, build_autoencoder
from numina.sprites.orthogonal import autoencoder_optimizers
from numina.sprites.world import FRAME_SIDE, render, sample_scene


@dataclass(frozen=True)
class AutoencoderSpec:
    """How the autoencoder is trained."""

    minutes: float = 8.0
    # Most of the time goes to square crops, which cost a quarter; whole frames follow at the end.
    crop: int = 32
    crop_share: float = 0.8
    crop_batch: int = 4
    batch: int = 1
    kernel_rate: float = 3e-2
    other_rate: float = 5e-3
    # Squared error alone comes first: absolute error forgives a missing sprite as long as the
    # scenery is right.
    squared_share: float = 0.45
    # Share of the time at the end over which the learning rate falls to nothing.
    decay: float = 0.5
    divergence_weight: float = 1e-4
    edge_weight: float = 0.5
    seed: int = 0


def train_autoencoder(spec: AutoencoderSpec, folder: Path) -> AutoencoderKLWan:
    """Train, or go on training, and write the finished model to ``folder/vae``."""
    finished = folder / "vae"
    if (finished / "config.json").exists():
        return AutoencoderKLWan.from_pretrained(str(finished)).eval()
    torch.manual_seed(spec.seed)
    model = build_autoencoder()
    optimizers = autoencoder_optimizers(model.parameters(), spec.kernel_rate, spec.other_rate)
    # The posterior starts narrow: at its usual width of 1 the first hundred steps only learn to be
    # louder than the noise.
    with torch.no_grad():
        model.quant_conv.bias[LATENT_CHANNELS:] = -5.0
    checkpoint = folder / "vae.pt"
    elapsed, step = 0.0, 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=False)
        model.load_state_dict(state["model"])
        for optimizer, saved_state in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved_state)
        elapsed, step = state["elapsed"], state["step"]
    rng = np.random.default_rng((spec.seed, step))
    total, running, saved, logged = spec.minutes * 60, 0.0, elapsed, elapsed
    model.train()
    began = time.monotonic() - elapsed
    while elapsed < total:
        left = min(1.0, (1 - elapsed / total) / spec.decay)
        slowing = min(1.0, (step + 1) / 30) * max(0.01, left)
        side = spec.crop if elapsed < spec.crop_share * total else FRAME_SIDE
        number = spec.crop_batch if side < FRAME_SIDE else spec.batch
        clips = as_model_input(
            np.stack([crop(render(sample_scene(rng), rng), side, rng) for _ in range(number)])
        )
        posterior = model.encode(clips).latent_dist
        decoded = model.decode(posterior.sample()).sample
        error = functional.l1_loss(decoded, clips)
        edges = edge_loss(decoded, clips)
        divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        loss = 4 * functional.mse_loss(decoded, clips) + spec.divergence_weight * divergence
        if elapsed > spec.squared_share * total:
            loss = loss + error + spec.edge_weight * edges
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, rate in zip(optimizers, (spec.kernel_rate, spec.other_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * slowing
            optimizer.step()
            optimizer.zero_grad()
        forget_past(model)
        step += 1
        running = error.item() if step == 1 else 0.97 * running + 0.03 * error.item()
        elapsed = time.monotonic() - began
        if elapsed - logged > 20:
            logged = elapsed
            print(
                f"vae {elapsed:.0f}s step {step} l1 {running:.4f} edges {edges.item():.4f} "
                f"divergence {divergence.item():.2f} steps/s {step / elapsed:.2f}",
                flush=True,
            )
        if elapsed - saved > 60:
            saved = elapsed
            _save(checkpoint, model, optimizers, elapsed, step)
    _save(checkpoint, model, optimizers, elapsed, step)
    model.eval()
    _normalise(model, np.random.default_rng((spec.seed, 10**6)))
    model.save_pretrained(finished)
    figures = {"steps": step, "seconds": round(elapsed), "l1_training": round(running, 5)}
    (folder / "vae.json").write_text(json.dumps(figures, indent=1))
    return model


@torch.no_grad()
def forget_past(model: AutoencoderKLWan) -> None:
    """Make every latent frame the picture of one frame alone, in place.

    A causal autoencoder codes the first frame in one way and later ones in another, and a
    transformer with relative positions cannot tell which frame it looks at: sprites came and went
    between frames. With the temporal taps of all convolutions on the present, the last frame of
    each pair is kept and shown twice, so that all latent frames speak one code.
    """
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Conv3d):
            continue
        if name.endswith("time_conv"):
            channels = module.in_channels
            module.weight.zero_()
            module.weight[:, :, -1, 0, 0] = torch.eye(channels).repeat(
                module.out_channels // channels, 1
            )
            assert module.bias is not None, "Wan's temporal convolutions have a bias"
            module.bias.zero_()
        elif module.kernel_size[0] > 1:
            module.weight[:, :, :-1] = 0.0


def as_model_input(clips: NDArray[np.uint8]) -> torch.Tensor:
    """Clips ``[B, F, Y, X, 3]`` in 0..255 as ``[B, 3, F, Y, X]`` in -1..1."""
    return torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def as_frames(decoded: torch.Tensor) -> NDArray[np.uint8]:
    """The way back from `as_model_input`."""
    pixels = ((decoded.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    frames: NDArray[np.uint8] = pixels.permute(0, 2, 3, 4, 1).contiguous().numpy()
    return frames


@torch.no_grad()
def encode(model: AutoencoderKLWan, clips: NDArray[np.uint8]) -> torch.Tensor:
    """Latents as the transformer sees them: the posterior's mean, normalised for each channel."""
    mean, std = _statistics(model)
    latents: torch.Tensor = (model.encode(as_model_input(clips)).latent_dist.mode() - mean) / std
    return latents


@torch.no_grad()
def decode(model: AutoencoderKLWan, latents: torch.Tensor) -> NDArray[np.uint8]:
    """Frames ``[B, F, Y, X, 3]`` of normalised latents."""
    mean, std = _statistics(model)
    return as_frames(model.decode(latents * std + mean).sample)


def _statistics(model: AutoencoderKLWan) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (1, -1, 1, 1, 1)
    return torch.tensor(model.config.latents_mean).view(shape), torch.tensor(
        model.config.latents_std
    ).view(shape)


@torch.no_grad()
def _normalise(model: AutoencoderKLWan, rng: np.random.Generator) -> None:
    """Write the mean and spread of each latent channel into the model's own settings."""
    clips = np.stack([render(sample_scene(rng), rng) for _ in range(64)])
    latents = torch.cat(
        [model.encode(as_model_input(part)).latent_dist.mode() for part in np.split(clips, 8)]
    )
    flat = latents.transpose(0, 1).reshape(LATENT_CHANNELS, -1)
    model.register_to_config(
        latents_mean=[round(value, 5) for value in flat.mean(1).tolist()],
        latents_std=[round(value, 5) for value in flat.std(1).tolist()],
    )


def crop(clip: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A square of a clip ``[F, Y, X, 3]``, at a place that the latents' grid knows."""
    row, column = rng.integers(0, (FRAME_SIDE - side) // 4 + 1, size=2) * 4
    return clip[:, row : row + side, column : column + side]


def edge_loss(decoded: torch.Tensor, clips: torch.Tensor) -> torch.Tensor:
    """L1 error of the differences of neighbouring pixels: it punishes blur, which L1 forgives."""
    rows = functional.l1_loss(decoded.diff(dim=3), clips.diff(dim=3))
    return rows + functional.l1_loss(decoded.diff(dim=4), clips.diff(dim=4))


def _save(
    path: Path,
    model: AutoencoderKLWan,
    optimizers: list[torch.optim.Optimizer],
    elapsed: float,
    step: int,
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "elapsed": elapsed,
        "step": step,
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.rename(path)
