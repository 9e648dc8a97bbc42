"""An LTX-Video pipeline of the real classes, small enough for a unit test, the same on every run.

Weights are random but seeded; nothing is downloaded. As the model has no patches, the autoencoder
makes up for them, 4 in time and 16 in space: 32 x 32 x 9 frames are 3 x 2 x 2 = 12 tokens. The
scheduler shifts its noise levels by the number of tokens, as LTX's own does, with the lengths at
which it does so scaled down as the videos are.
"""

from typing import Any

import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel

from tests.tiny_wan import TEXT_DIM, run_kwargs, tiny_text_encoder, tiny_tokenizer

__all__ = ["run_kwargs", "tiny_ltx_video"]

LATENT_CHANNELS = 8


def tiny_transformer(
    *, layers: int = 3, in_channels: int = LATENT_CHANNELS, seed: int = 0
) -> LTXVideoTransformer3DModel:
    """Two heads of 16; its norms tell query from key."""
    torch.manual_seed(seed)
    transformer = LTXVideoTransformer3DModel(
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=16,
        cross_attention_dim=32,
        num_layers=layers,
        caption_channels=TEXT_DIM,
    ).eval()
    # The norms begin as identities, which would leave out that query and key have their own.
    for block in transformer.transformer_blocks:
        for attention in (block.attn1, block.attn2):
            for norm in (attention.norm_q, attention.norm_k):
                torch.nn.init.normal_(norm.weight, mean=1.0, std=0.3)
    return transformer


def tiny_autoencoder(
    *, timestep_conditioning: bool = False, seed: int = 0
) -> AutoencoderKLLTXVideo:
    """An autoencoder of 4 in time and 16 in space."""
    torch.manual_seed(seed)
    return AutoencoderKLLTXVideo(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        timestep_conditioning=timestep_conditioning,
    ).eval()


def tiny_ltx_video(
    *,
    layers: int = 3,
    in_channels: int = LATENT_CHANNELS,
    timestep_conditioning: bool = False,
    seed: int = 0,
    **scheduler: Any,
) -> LTXPipeline:
    """Build a fresh pipeline; two calls with the same arguments give the same weights.

    Args:
        layers: Transformer blocks.
        in_channels: More than 8 where the model is also given an image.
        timestep_conditioning: Whether the autoencoder denoises a last time, as from 0.9.1 on.
        seed: Seed of every weight.
        **scheduler: Settings of the scheduler other than LTX's own.
    """
    tokenizer = tiny_tokenizer()
    settings: dict[str, Any] = {
        "use_dynamic_shifting": True,
        "base_shift": 0.95,
        "max_shift": 2.05,
        "base_image_seq_len": 16,
        "max_image_seq_len": 64,
        "shift_terminal": 0.1,
    }
    pipe = LTXPipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_text_encoder(
            len(tokenizer), config=T5Config, encoder=T5EncoderModel, seed=seed
        ),
        vae=tiny_autoencoder(timestep_conditioning=timestep_conditioning, seed=seed),
        transformer=tiny_transformer(layers=layers, in_channels=in_channels, seed=seed),
        scheduler=FlowMatchEulerDiscreteScheduler(**{**settings, **scheduler}),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
