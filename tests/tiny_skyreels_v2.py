"""SkyReels-V2 pipelines of the real classes, small enough for a unit test, the same on every run.

Weights are random but seeded; nothing is downloaded. As with ``tiny_wan.py``, 32 x 32 x 9 frames
are 3 x 2 x 2 tokens.
"""

from typing import Any

import torch
from diffusers import (
    SkyReelsV2ImageToVideoPipeline,
    SkyReelsV2Pipeline,
    SkyReelsV2Transformer3DModel,
)

from tests.tiny_wan import (
    TEXT_DIM,
    scheduler_named,
    tiny_autoencoder,
    tiny_text_encoder,
    tiny_tokenizer,
)
from tests.tiny_wan_image import CHANNELS, IMAGE_DIM, tiny_image_encoder


def tiny_transformer(*, seed: int = 0, **changes: Any) -> SkyReelsV2Transformer3DModel:
    """Three blocks of two heads of 12; its norms tell query from key."""
    torch.manual_seed(seed)
    transformer = SkyReelsV2Transformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        out_channels=16,
        text_dim=TEXT_DIM,
        ffn_dim=32,
        num_layers=3,
        rope_max_seq_len=32,
        **changes,
    ).eval()
    for name, parameter in transformer.named_parameters():
        if ".attn" in name and ".norm_" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    return transformer


def tiny_skyreels_v2(
    kind: type = SkyReelsV2Pipeline, *, seed: int = 0, **changes: Any
) -> SkyReelsV2Pipeline:
    """Build a fresh pipeline; two calls with the same arguments give the same weights.

    Args:
        kind: Class of the pipeline; all are built alike, but for an image's encoder.
        seed: Seed of every weight.
        **changes: Settings of the transformer.
    """
    tokenizer = tiny_tokenizer()
    parts: dict[str, Any] = {}
    if kind is SkyReelsV2ImageToVideoPipeline:
        parts = tiny_image_encoder(seed=seed)
        changes = {
            "in_channels": CHANNELS,
            "image_dim": IMAGE_DIM,
            "added_kv_proj_dim": 24,
            **changes,
        }
    pipe = kind(
        tokenizer=tokenizer,
        text_encoder=tiny_text_encoder(len(tokenizer), seed=seed),
        transformer=tiny_transformer(seed=seed, **changes),
        vae=tiny_autoencoder(seed=seed),
        scheduler=scheduler_named("euler"),
        **parts,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
