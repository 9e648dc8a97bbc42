"""Builds and loads the tiny sprites pipeline from diffusers' and transformers' real classes."""

from __future__ import annotations

import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from diffusers.utils import logging as diffusers_logging
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel
from transformers.utils import logging as transformers_logging

from numina.sprites.world import DIRECTIONS, NUMBER_WORDS, SCENERIES, SINGULARS

WEIGHTS = Path(__file__).parent / "weights"
TEXT_DIM = 64
LATENT_CHANNELS = 8
FLOW_SHIFT = 3.0


def load(dtype: torch.dtype = torch.float32, folder: Path | str = WEIGHTS) -> WanPipeline:
    """Load the trained pipeline, as `WanPipeline.from_pretrained(folder)` does without numina."""
    with _quiet():
        pipeline: WanPipeline = WanPipeline.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@contextmanager
def _quiet() -> Iterator[None]:
    """No loading bars: the files are small and local, and the bars fill a screen."""
    shown = [library for library in (diffusers_logging, transformers_logging)
             if library.is_progress_bar_enabled()]  # fmt: skip
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()


def build_tokenizer() -> T5Tokenizer:
    """A vocabulary written by hand: the captions' words, and single characters for all others."""
    words = ["a", "video", "of", "and", "drifting", *DIRECTIONS, *NUMBER_WORDS]
    for phrase in (*SINGULARS, *SINGULARS.values(), *SCENERIES.values()):
        words += phrase.split()
    # Words of a prompt that the captions lack still cost a piece each instead of one for every
    # letter.
    words += ["the", "on", "with", "many", "some", "no", "sprites", "things"]
    characters = string.ascii_letters + string.digits + ".,'-!?"
    pieces: list[tuple[str, float]] = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("\u2581", -4.0),
    ]
    pieces += [("\u2581" + word, -1.0) for word in dict.fromkeys(words)]
    pieces += [(character, -8.0) for character in characters]
    return T5Tokenizer(vocab=pieces, extra_ids=0, additional_special_tokens=[])


def build_text_encoder(vocabulary_size: int) -> UMT5EncoderModel:
    """Two layers of width 64."""
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=vocabulary_size,
            d_model=TEXT_DIM,
            d_kv=16,
            d_ff=128,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
            eos_token_id=1,
            is_encoder_decoder=False,
            use_cache=False,
        )
    )


def build_autoencoder() -> AutoencoderKLWan:
    """Five frames of 128 by 128 pixels become three of 32 by 32 latents.

    The image is first folded by two (`patch_size`), then halved once in space and in time.
    """
    return AutoencoderKLWan(
        base_dim=8,
        decoder_base_dim=16,
        z_dim=LATENT_CHANNELS,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[True],
        latents_mean=[0.0] * LATENT_CHANNELS,
        latents_std=[1.0] * LATENT_CHANNELS,
        patch_size=2,
        in_channels=12,
        out_channels=12,
        scale_factor_temporal=2,
        scale_factor_spatial=4,
    )


def build_transformer() -> WanTransformer3DModel:
    """Six layers, four heads of 32: a clip is three frames of 16 by 16 patches."""
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=4,
        attention_head_dim=32,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        text_dim=TEXT_DIM,
        freq_dim=128,
        ffn_dim=512,
        num_layers=6,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=64,
    )


def build_pipeline(
    transformer: WanTransformer3DModel,
    text_encoder: UMT5EncoderModel,
    autoencoder: AutoencoderKLWan,
) -> WanPipeline:
    """Put the parts together with the tokenizer and the scheduler they were trained for."""
    pipeline = WanPipeline(
        tokenizer=build_tokenizer(),
        text_encoder=text_encoder,
        vae=autoencoder,
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=FLOW_SHIFT),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
