"""Trains the sprites pipeline from nothing: ``python -m numina.sprites.train --out FOLDER``.

Five stages: the autoencoder, its decoder alone, pools of its latents, flow matching on single
frames, which teaches shapes and counts cheaply, and flow matching on clips. Each may be
interrupted; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing

from numina.sprites.autoencoder import AutoencoderSpec, train_autoencoder
from numina.sprites.export import export
from numina.sprites.flow import FlowTrainer, StageSpec
from numina.sprites.polish import PolishSpec, polish_decoder
from numina.sprites.pools import encode_pool
from numina.sprites.world import NUM_FRAMES


def main(arguments: list[str] | None = None) -> None:
    """Run all stages, or those that a folder still lacks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of checkpoints and of the finished pipeline"
    )
    parser.add_argument("--vae-minutes", type=float, default=8.0)
    parser.add_argument(
        "--polish-minutes", type=float, default=5.0, help="for the decoder; 0 leaves it as it is"
    )
    parser.add_argument("--image-minutes", type=float, default=18.0)
    parser.add_argument("--clip-minutes", type=float, default=30.0)
    parser.add_argument("--image-pool", type=int, default=5000, help="for each process")
    parser.add_argument("--clip-pool", type=int, default=2500, help="for each process")
    parser.add_argument("--image-batch", type=int, default=16, help="for each process")
    parser.add_argument("--clip-batch", type=int, default=6, help="for each process")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--decay", type=float, default=0.5, help="share of the clip stage over which the rate falls"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="processes of one thread each")
    parser.add_argument(
        "--start", type=Path, help="folder of a finished pipeline to go on from, weights only"
    )
    parser.add_argument("--compile", action="store_true", help="compile the transformer's blocks")
    options = parser.parse_args(arguments)

    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if options.start is not None and not (options.out / "vae").exists():
        # The transformer knows the latents of its own autoencoder only.
        shutil.copytree(options.start / "vae", options.out / "vae")
    train_autoencoder(AutoencoderSpec(minutes=options.vae_minutes, seed=options.seed), options.out)
    polished = (options.out / "vae-polished" / "config.json").exists()
    if options.start is None and options.polish_minutes and not polished:
        polish_decoder(PolishSpec(options.polish_minutes), options.out)
    address = f"file://{tempfile.mkdtemp()}/meeting"
    multiprocessing.start_processes(
        _train_flow, (options, address), nprocs=options.processes, start_method="spawn"
    )
    export(options.out, options.out / "pipeline")


def _train_flow(rank: int, options: argparse.Namespace, address: str) -> None:
    """One of the processes that train the transformer; each encodes a pool of its own."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=address, rank=rank, world_size=options.processes
    )
    autoencoder = train_autoencoder(AutoencoderSpec(), options.out)
    trainer = FlowTrainer(options.out, options.seed, options.compile, options.start)
    images = StageSpec("images", options.image_minutes, options.image_batch, options.learning_rate)
    clips = StageSpec(
        "clips", options.clip_minutes, options.clip_batch, options.learning_rate, options.decay
    )
    for stage, number, frames in (
        (images, options.image_pool, 1),
        (clips, options.clip_pool, NUM_FRAMES),
    ):
        if trainer.seconds.get(stage.name, 0.0) >= stage.minutes * 60:
            continue
        seed = (options.seed + 1) * 100 + rank
        path = options.out / "pools" / f"{stage.name}-{rank}.pt"
        pool = encode_pool(autoencoder, number, frames, seed, path)
        trainer.run(stage, pool, options.seed)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
