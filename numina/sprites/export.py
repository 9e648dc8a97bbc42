"""Writes a checkpoint as a diffusers folder: ``python -m numina.sprites.export RUN FOLDER``."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan

from numina.sprites.flow import averaged_models
from numina.sprites.model import build_pipeline, build_tokenizer


def export(run: Path, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write a run's averaged weights, tokenizer and scheduler; replaces `folder` as a whole."""
    state = torch.load(run / "flow.pt", weights_only=False)
    transformer, text_encoder = averaged_models(state, len(build_tokenizer()))
    polished = run / "vae-polished"
    autoencoder = AutoencoderKLWan.from_pretrained(
        str(polished if polished.exists() else run / "vae")
    ).eval()
    pipeline = build_pipeline(transformer, text_encoder, autoencoder)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    pipeline.to(dtype).save_pretrained(str(partial))
    _forget_origin(partial / "vae" / "config.json")
    # The model card is written by hand and outlives the weights.
    card = folder / "README.md"
    if card.exists():
        shutil.copy(card, partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _forget_origin(path: Path) -> None:
    """Take the folder of the run out of a configuration, where diffusers notes it on loading."""
    config = json.loads(path.read_text("utf-8"))
    config.pop("_name_or_path", None)
    path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    export(options.run, options.folder)


if __name__ == "__main__":
    main()
