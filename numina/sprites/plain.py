"""Measures how well the sprites pipeline counts without any help.

Run as ``python -m numina.sprites.plain --out FILE``.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from diffusers import WanPipeline
from numpy.typing import NDArray

from numina.sprites.counter import count_sprites
from numina.sprites.model import WEIGHTS, load
from numina.sprites.settings import DEFAULTS, CallSettings
from numina.sprites.world import MAX_COUNT, Scene, prompt_for


@dataclass(frozen=True)
class PlainResult:
    """Counting by prompt: exactness is averaged over frames, then nouns, then prompts.

    Attributes:
        accuracy: Share of right counts.
        by_count: The same for each count asked for.
        mean_error: Mean of produced minus wanted count.
        strays: Sprites a frame of categories that the prompt does not name.
        seconds: Wall time a clip.
    """

    accuracy: float
    by_count: dict[int, float]
    mean_error: float
    strays: float
    seconds: float
    prompts: int
    rows: tuple[dict[str, Any], ...]


def generate(
    pipeline: WanPipeline, seeds: list[int], settings: CallSettings
) -> NDArray[np.float32]:
    """Clips ``[B, F, Y, X, 3]`` in 0..1; a seed decides its prompt and its noise."""
    clips: NDArray[np.float32] = pipeline(
        prompt=[prompt_for(seed).caption for seed in seeds],
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="np",
        **settings.arguments(),
    ).frames
    return clips


def measure(
    pipeline: WanPipeline, seeds: list[int], settings: CallSettings, batch: int = 4
) -> PlainResult:
    """Generate and count; the batch changes the speed only."""
    began, rows = time.monotonic(), []
    by_count: dict[int, list[float]] = defaultdict(list)
    exact, errors, strays = [], [], []
    for start in range(0, len(seeds), batch):
        part = seeds[start : start + batch]
        for seed, clip in zip(part, generate(pipeline, part, settings), strict=True):
            scene = prompt_for(seed)
            found = count_sprites(clip)
            rows.append(_row(seed, scene, found))
            shares = []
            for category, count in scene.groups:
                share = float((found[category] == count).mean())
                shares.append(share)
                by_count[count].append(share)
                errors.append(float((found[category] - count).mean()))
            exact.append(float(np.mean(shares)))
            strays.append(float(sum(n.mean() for c, n in found.items() if c not in scene.counts)))
    return PlainResult(
        accuracy=float(np.mean(exact)),
        by_count={n: float(np.mean(by_count[n])) for n in range(1, MAX_COUNT + 1) if by_count[n]},
        mean_error=float(np.mean(errors)),
        strays=float(np.mean(strays)),
        seconds=(time.monotonic() - began) / len(seeds),
        prompts=len(seeds),
        rows=tuple(rows),
    )


def _row(seed: int, scene: Scene, found: dict[str, NDArray[np.int64]]) -> dict[str, Any]:
    return {
        "seed": seed,
        "prompt": scene.caption,
        "wanted": scene.counts,
        "found": {c: n.tolist() for c, n in found.items() if c in scene.counts or n.any()},
    }


def main() -> None:
    """Measure the shipped pipeline, or that of a folder, at one or several guidance scales."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=WEIGHTS)
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--guidance", type=float, nargs="+", default=[DEFAULTS.guidance_scale])
    parser.add_argument("--steps", type=int, default=DEFAULTS.num_inference_steps)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--frames", type=int, default=DEFAULTS.num_frames)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pipeline = load(getattr(torch, options.dtype), options.folder)
    seeds = list(range(options.first_seed, options.first_seed + options.prompts))
    results = []
    for guidance in options.guidance:
        settings = replace(
            DEFAULTS,
            guidance_scale=guidance,
            num_inference_steps=options.steps,
            num_frames=options.frames,
        )
        result = measure(pipeline, seeds, settings, options.batch)
        results.append({"settings": asdict(settings), **asdict(result)})
        counts = " ".join(f"{n}:{share:.2f}" for n, share in result.by_count.items())
        print(
            f"guidance {guidance}: accuracy {result.accuracy:.3f} ({counts}), mean error "
            f"{result.mean_error:+.2f}, strays {result.strays:.2f}, {result.seconds:.2f} s a clip",
            flush=True,
        )
    if options.out:
        record = {
            "command": shlex.join(["python", "-m", "numina.sprites.plain", *sys.argv[1:]]),
            "dtype": options.dtype,
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "diffusers": diffusers.__version__,
                "transformers": transformers.__version__,
            },
            "threads": options.threads,
            "results": results,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
