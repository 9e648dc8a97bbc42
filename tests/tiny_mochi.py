"""A Mochi pipeline of the real classes, small enough for a unit test, the same on every run.

Weights are random but seeded; nothing is downloaded. 32 x 32 x 9 frames are a latent of
2 x 4 x 4: 2 x 2 x 2 = 8 video tokens, and 16 text tokens behind them.
"""

import torch
from diffusers import (
    AutoencoderKLMochi,
    FlowMatchEulerDiscreteScheduler,
    MochiPipeline,
    MochiTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel

from tests.tiny_wan import TEXT_DIM, tiny_text_encoder, tiny_tokenizer

# The pipeline has the number of channels in its code.
LATENT_CHANNELS = 12


def tiny_transformer(*, layers: int = 3, seed: int = 0) -> MochiTransformer3DModel:
    """Two heads of 16 over patches of 2 x 2 latents, a narrower text beside them."""
    torch.manual_seed(seed)
    transformer = MochiTransformer3DModel(
        patch_size=2,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=layers,
        pooled_projection_dim=24,
        in_channels=LATENT_CHANNELS,
        text_embed_dim=TEXT_DIM,
        time_embed_dim=16,
        max_sequence_length=16,
    ).eval()
    # Frequencies begin at zero, norms as identities: as if there were no positions and one norm.
    torch.nn.init.normal_(transformer.pos_frequencies)
    for name, parameter in transformer.named_parameters():
        if ".attn1.norm" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    return transformer


def tiny_autoencoder(*, seed: int = 0) -> AutoencoderKLMochi:
    """An autoencoder with Mochi's own factors: 6 in time, 8 in space."""
    torch.manual_seed(seed)
    return AutoencoderKLMochi(
        encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(32, 32, 32, 32),
        latent_channels=LATENT_CHANNELS,
        layers_per_block=(1, 1, 1, 1, 1),
    ).eval()


def tiny_mochi(*, layers: int = 3, seed: int = 0) -> MochiPipeline:
    """Build a fresh pipeline; two calls with the same arguments give the same weights."""
    tokenizer = tiny_tokenizer()
    pipe = MochiPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
        vae=tiny_autoencoder(seed=seed),
        text_encoder=tiny_text_encoder(
            len(tokenizer), config=T5Config, encoder=T5EncoderModel, seed=seed
        ),
        tokenizer=tokenizer,
        transformer=tiny_transformer(layers=layers, seed=seed),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
