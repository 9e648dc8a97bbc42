"""An Allegro pipeline of the real classes, small enough for a unit test, the same on every run.

Weights are random but seeded; nothing is downloaded. 32 x 32 x 9 frames are a latent of
3 x 4 x 4, so the transformer sees 3 x 2 x 2 = 12 tokens.
"""

from typing import Any

import torch
from diffusers import (
    AllegroPipeline,
    AllegroTransformer3DModel,
    AutoencoderKLAllegro,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
)
from transformers import T5Config, T5EncoderModel

from tests.tiny_wan import TEXT_DIM, run_kwargs, tiny_text_encoder, tiny_tokenizer

__all__ = ["run_kwargs", "tiny_allegro"]

LATENT_CHANNELS = 4


def tiny_transformer(
    *, layers: int = 3, in_channels: int = LATENT_CHANNELS, seed: int = 0
) -> AllegroTransformer3DModel:
    """Two heads of 12 over patches of 2 x 2 latents."""
    torch.manual_seed(seed)
    return AllegroTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        num_layers=layers,
        cross_attention_dim=24,
        sample_height=12,
        sample_width=12,
        sample_frames=9,
        caption_channels=TEXT_DIM,
    ).eval()


def tiny_autoencoder(*, seed: int = 0) -> AutoencoderKLAllegro:
    """An autoencoder with Allegro's own factors: 4 in time, 8 in space."""
    torch.manual_seed(seed)
    autoencoder = AutoencoderKLAllegro(
        block_out_channels=(8, 8, 8, 8),
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_num_groups=2,
    ).eval()
    # It decodes in tiles alone, and its own are larger than these videos.
    autoencoder.enable_tiling()
    autoencoder.kernel = autoencoder.stride = (12, 32, 32)
    return autoencoder


def tiny_allegro(
    *,
    layers: int = 3,
    in_channels: int = LATENT_CHANNELS,
    scheduler: type[EulerAncestralDiscreteScheduler | DDIMScheduler] = (
        EulerAncestralDiscreteScheduler
    ),
    seed: int = 0,
    **settings: Any,
) -> AllegroPipeline:
    """Build a fresh pipeline; two calls with the same arguments give the same weights.

    Args:
        layers: Transformer blocks.
        in_channels: More than 4 where the model is also given an image.
        scheduler: Allegro's own is ancestral: it adds fresh noise at every step.
        seed: Seed of every weight.
        **settings: Settings of the scheduler, e.g. ``prediction_type``.
    """
    tokenizer = tiny_tokenizer()
    # With few steps most levels of its defaults lie near 0 and 1.
    settings = {"beta_schedule": "scaled_linear", "timestep_spacing": "trailing", **settings}
    pipe = AllegroPipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_text_encoder(
            len(tokenizer), config=T5Config, encoder=T5EncoderModel, seed=seed
        ),
        vae=tiny_autoencoder(seed=seed),
        transformer=tiny_transformer(layers=layers, in_channels=in_channels, seed=seed),
        scheduler=scheduler(**settings),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
