"""A Wan VACE pipeline of the real classes, small enough for a unit test, the same on every run.

Weights are random but seeded; nothing is downloaded. As with ``tiny_wan.py``, 32 x 32 x 9 frames
are 3 x 2 x 2 tokens. One block of the control and two of the video are three layers.
"""

import torch
from diffusers import WanVACEPipeline, WanVACETransformer3DModel

from tests.tiny_wan import (
    TEXT_DIM,
    scheduler_named,
    tiny_autoencoder,
    tiny_text_encoder,
    tiny_tokenizer,
)


def tiny_transformer(*, seed: int = 0) -> WanVACETransformer3DModel:
    """Two heads of 12 over 16 channels; its norms tell query from key."""
    torch.manual_seed(seed)
    transformer = WanVACETransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        text_dim=TEXT_DIM,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=32,
        vace_layers=[0],
        # Twice the latents and, as channels, the 8 x 8 pixels of the mask.
        vace_in_channels=96,
    ).eval()
    for name, parameter in transformer.named_parameters():
        if ".attn" in name and ".norm_" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    return transformer


def tiny_wan_vace(*, seed: int = 0) -> WanVACEPipeline:
    """Build a fresh pipeline; two calls with the same arguments give the same weights."""
    tokenizer = tiny_tokenizer()
    pipe = WanVACEPipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_text_encoder(len(tokenizer), seed=seed),
        vae=tiny_autoencoder(seed=seed),
        scheduler=scheduler_named("euler"),
        transformer=tiny_transformer(seed=seed),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
