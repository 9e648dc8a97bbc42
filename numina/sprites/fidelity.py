"""Measures the counter on true clips and reconstructions: ``python -m numina.sprites.fidelity``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from numpy.typing import NDArray

from numina.sprites.autoencoder import decode, encode
from numina.sprites.counter import count_sprites
from numina.sprites.model import WEIGHTS
from numina.sprites.world import CATEGORIES, Scene, render, sample_scene


@dataclass(frozen=True)
class Fidelity:
    """Clips in which the counter errs in any frame, and how far reconstructions are off."""

    clips: int
    wrong_true_clips: int
    wrong_reconstructions: int
    wrong_frames_of_reconstructions: int
    mean_absolute_error: float
    peak_signal_to_noise: float


def measure_fidelity(
    autoencoder: AutoencoderKLWan | None, clips: int, seed: int = 10**7, batch: int = 4
) -> Fidelity:
    """Count `clips` fresh clips and, given an autoencoder, what it makes of them."""
    rng = np.random.default_rng(seed)
    wrong_true = wrong_again = wrong_frames = 0
    absolute, squared = [], []
    for start in range(0, clips, batch):
        scenes = [sample_scene(rng) for _ in range(min(batch, clips - start))]
        truth = np.stack([render(scene, rng) for scene in scenes])
        wrong_true += sum(
            _wrong_frames(scene, clip) > 0 for scene, clip in zip(scenes, truth, strict=True)
        )
        if autoencoder is None:
            continue
        again = decode(autoencoder, encode(autoencoder, truth))
        wrong = [_wrong_frames(scene, clip) for scene, clip in zip(scenes, again, strict=True)]
        wrong_again += sum(frames > 0 for frames in wrong)
        wrong_frames += sum(wrong)
        difference = (again.astype(np.float32) - truth) / 255
        absolute.append(np.abs(difference).mean())
        squared.append((difference**2).mean())
    mean_squared = float(np.mean(squared)) if squared else float("nan")
    return Fidelity(
        clips=clips,
        wrong_true_clips=wrong_true,
        wrong_reconstructions=wrong_again,
        wrong_frames_of_reconstructions=wrong_frames,
        mean_absolute_error=float(np.mean(absolute)) if absolute else float("nan"),
        peak_signal_to_noise=float(-10 * np.log10(mean_squared)),
    )


def _wrong_frames(scene: Scene, clip: NDArray[np.uint8]) -> int:
    found = count_sprites(clip)
    wrong = np.any(
        [found[category] != scene.counts.get(category, 0) for category in CATEGORIES], axis=0
    )
    return int(wrong.sum())


def main() -> None:
    """Measure an autoencoder's folder and print or write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=WEIGHTS / "vae")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # Weights that were rounded for shipping are measured as they are shipped.
    autoencoder = AutoencoderKLWan.from_pretrained(
        str(options.folder), torch_dtype=getattr(torch, options.dtype)
    ).eval()
    figures = asdict(measure_fidelity(autoencoder, options.clips))
    print(json.dumps(figures))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
