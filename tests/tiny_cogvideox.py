"""A CogVideoX pipeline of the real classes, small enough for a unit test, the same on every run.

Weights are random but seeded; nothing is downloaded. 32 x 32 x 9 frames are a latent of
3 x 4 x 4, so a transformer without patches in time sees 3 x 2 x 2 = 12 video tokens behind 16 text
tokens. CogVideoX 1.5 pads to 4 latent frames and pairs them: 2 x 2 x 2 = 8 video tokens.
"""

from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel

from tests.tiny_wan import TEXT_DIM, run_kwargs, tiny_text_encoder, tiny_tokenizer

__all__ = ["TEXT_KEYS", "Variant", "run_kwargs", "tiny_cogvideox", "wide_kwargs"]

TEXT_KEYS = 16
LATENT_CHANNELS = 4

# As in the models of that name: position added to the tokens, rotary position, and rotary position
# over patches of two latent frames.
Variant = Literal["2b", "5b", "1.5"]


def tiny_transformer(
    variant: Variant, *, layers: int = 3, in_channels: int = LATENT_CHANNELS, seed: int = 0
) -> CogVideoXTransformer3DModel:
    """Two heads of 16 over patches of 2 x 2 latents."""
    torch.manual_seed(seed)
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        time_embed_dim=16,
        text_embed_dim=TEXT_DIM,
        num_layers=layers,
        sample_width=12,
        sample_height=12,
        sample_frames=9,
        patch_size=2,
        patch_size_t=2 if variant == "1.5" else None,
        patch_bias=variant != "1.5",
        max_text_seq_length=TEXT_KEYS,
        use_rotary_positional_embeddings=variant != "2b",
    ).eval()
    # The norms begin as identities, which would leave out that query and key have their own.
    for block in transformer.transformer_blocks:
        for norm in (block.attn1.norm_q, block.attn1.norm_k):
            torch.nn.init.normal_(norm.weight, mean=1.0, std=0.3)
    return transformer


def tiny_autoencoder(*, seed: int = 0) -> AutoencoderKLCogVideoX:
    """An autoencoder with CogVideoX's own factors: 4 in time, 8 in space."""
    torch.manual_seed(seed)
    return AutoencoderKLCogVideoX(
        block_out_channels=(4, 4, 4, 4),
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_num_groups=2,
        sample_height=32,
        sample_width=32,
    ).eval()


def tiny_cogvideox(
    variant: Variant = "5b",
    *,
    layers: int = 3,
    in_channels: int = LATENT_CHANNELS,
    scheduler: Literal["ddim", "dpm"] = "ddim",
    seed: int = 0,
) -> CogVideoXPipeline:
    """Build a fresh pipeline; two calls with the same arguments give the same weights.

    Args:
        variant: The model whose positions and patches it has.
        layers: Transformer blocks.
        in_channels: More than 4 where the model is also given an image, as for image-to-video.
        scheduler: ``"ddim"`` or ``"dpm"``, both with v-prediction and no signal at the first step.
        seed: Seed of every weight.
    """
    tokenizer = tiny_tokenizer()
    kind = CogVideoXDDIMScheduler if scheduler == "ddim" else CogVideoXDPMScheduler
    pipe = CogVideoXPipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_text_encoder(
            len(tokenizer), config=T5Config, encoder=T5EncoderModel, seed=seed
        ),
        vae=tiny_autoencoder(seed=seed),
        transformer=tiny_transformer(variant, layers=layers, in_channels=in_channels, seed=seed),
        scheduler=kind(
            prediction_type="v_prediction",
            timestep_spacing="trailing",
            rescale_betas_zero_snr=True,
            snr_shift_scale=3.0 if variant == "2b" else 1.0,
            clip_sample=False,
        ),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def wide_kwargs(**changes: Any) -> dict[str, Any]:
    """A run of 6 x 6 patches: room for a few instances and the gaps between them."""
    return run_kwargs(**{"height": 96, "width": 96, "output_type": "latent", **changes})
