"""Sharpens the decoder of a run: ``python -m numina.sprites.polish --out FOLDER``.

The transformer learns the encoder's latents, so that the encoder must not change any more; the
decoder may.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch.nn import functional

from numina.sprites.autoencoder import as_model_input, crop, edge_loss, forget_past
from numina.sprites.orthogonal import autoencoder_optimizers
from numina.sprites.world import FRAME_SIDE, render, sample_scene


@dataclass(frozen=True)
class PolishSpec:
    """How the decoder is sharpened; whole frames come last: its attention spans the frame."""

    minutes: float = 5.0
    crop: int = 48
    crop_share: float = 0.7
    crop_batch: int = 3
    kernel_rate: float = 1.5e-2
    other_rate: float = 3e-3
    edge_weight: float = 1.0
    # Spread of noise added to normalised latents: the transformer's own are never quite clean.
    noise: float = 0.05
    seed: int = 1


def polish_decoder(spec: PolishSpec, folder: Path) -> AutoencoderKLWan:
    """Train the decoder of ``folder/vae`` and write the whole to ``folder/vae-polished``."""
    torch.manual_seed(spec.seed)
    model = AutoencoderKLWan.from_pretrained(str(folder / "vae")).eval()
    decoding = [*model.post_quant_conv.parameters(), *model.decoder.parameters()]
    optimizers = autoencoder_optimizers(decoding, spec.kernel_rate, spec.other_rate)
    spread = torch.tensor(model.config.latents_std).view(1, -1, 1, 1, 1) * spec.noise
    rng = np.random.default_rng((spec.seed, 2))
    began, logged, step, running = time.monotonic(), 0.0, 0, 0.0
    total = spec.minutes * 60
    while (elapsed := time.monotonic() - began) < total:
        whole = elapsed >= spec.crop_share * total
        side, number = (FRAME_SIDE, 1) if whole else (spec.crop, spec.crop_batch)
        clips = as_model_input(
            np.stack([crop(render(sample_scene(rng), rng), side, rng) for _ in range(number)])
        )
        with torch.no_grad():
            latents = model.encode(clips).latent_dist.mode()
            latents += spread * torch.randn_like(latents)
        decoded = model.decode(latents).sample
        error = functional.l1_loss(decoded, clips)
        loss = (
            error
            + 4 * functional.mse_loss(decoded, clips)
            + spec.edge_weight * edge_loss(decoded, clips)
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoding, 1.0)
        slowing = min(1.0, (step + 1) / 30) * max(0.01, 1 - elapsed / total)
        for optimizer, rate in zip(optimizers, (spec.kernel_rate, spec.other_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * slowing
            optimizer.step()
            optimizer.zero_grad()
        forget_past(model)
        step += 1
        running = error.item() if step == 1 else 0.97 * running + 0.03 * error.item()
        if elapsed - logged > 20:
            logged = elapsed
            print(f"polish {elapsed:.0f}s step {step} l1 {running:.4f}", flush=True)
    model.save_pretrained(folder / "vae-polished")
    return model


def main() -> None:
    """Sharpen the decoder of a training run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the training run")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    polish_decoder(PolishSpec(minutes=options.minutes), options.out)


if __name__ == "__main__":
    main()
