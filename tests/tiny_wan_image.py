"""Wan pipelines that start from an image, small enough for a unit test, the same on every run.

Weights are random but seeded; nothing is downloaded. As with ``tiny_wan.py``, 32 x 32 x 9 frames
are 3 x 2 x 2 tokens. Beside the text of 512 keys, which diffusers insists on, Wan 2.1 attends to
17 keys of each image.
"""

from typing import Any, Literal

import numpy as np
import torch
from diffusers import WanImageToVideoPipeline, WanTransformer3DModel
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from tests.tiny_wan import (
    TEXT_DIM,
    scheduler_named,
    tiny_autoencoder,
    tiny_text_encoder,
    tiny_tokenizer,
)

IMAGE_DIM = 16
IMAGE_KEYS = 17
# 16 of noise, 16 of the image's own latents, 4 that say which frames it gives.
CHANNELS = 36

# 2.1 attends to the image; first-last to a last one too; A14B has two transformers and takes the
# image as channels alone; 5B has it in place of its first latent frame, which has no noise then.
Variant = Literal["2.1", "first-last", "2.2-a14b", "2.2-5b"]


def tiny_image(seed: int = 0) -> Image.Image:
    """An image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    return Image.fromarray(pixels)


def tiny_transformer(variant: Variant, *, seed: int = 0) -> WanTransformer3DModel:
    """Three blocks of two heads of 12; its norms tell text from image, and query from key."""
    sees_image = variant in ("2.1", "first-last")
    torch.manual_seed(seed)
    transformer = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16 if variant == "2.2-5b" else CHANNELS,
        out_channels=16,
        text_dim=TEXT_DIM,
        ffn_dim=32,
        num_layers=3,
        rope_max_seq_len=32,
        image_dim=IMAGE_DIM if sees_image else None,
        added_kv_proj_dim=24 if sees_image else None,
        pos_embed_seq_len=2 * IMAGE_KEYS if variant == "first-last" else None,
    ).eval()
    for name, parameter in transformer.named_parameters():
        if ".attn" in name and ".norm_" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    return transformer


def tiny_image_encoder(*, seed: int = 0) -> dict[str, Any]:
    """What looks at an image for the model, by the names that pipelines give it."""
    torch.manual_seed(seed)
    settings = CLIPVisionConfig(
        hidden_size=IMAGE_DIM,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    side = {"height": 32, "width": 32}
    return {
        "image_encoder": CLIPVisionModel(settings).eval(),
        "image_processor": CLIPImageProcessorPil(size=side, crop_size=side),
    }


def tiny_wan_image(variant: Variant = "2.1", *, seed: int = 0) -> WanImageToVideoPipeline:
    """Build a fresh pipeline; two calls with the same arguments give the same weights.

    Args:
        variant: The model whose way of taking an image it has.
        seed: Seed of every weight.
    """
    tokenizer = tiny_tokenizer()
    parts: dict[str, Any] = {}
    if variant in ("2.1", "first-last"):
        parts = tiny_image_encoder(seed=seed)
    if variant == "2.2-a14b":
        parts["transformer_2"] = tiny_transformer(variant, seed=seed + 1)
        parts["boundary_ratio"] = 0.8
    pipe = WanImageToVideoPipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_text_encoder(len(tokenizer), seed=seed),
        vae=tiny_autoencoder(seed=seed),
        scheduler=scheduler_named("euler"),
        transformer=tiny_transformer(variant, seed=seed),
        expand_timesteps=variant == "2.2-5b",
        **parts,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
