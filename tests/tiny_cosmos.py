"""Cosmos pipelines of the real classes, small enough for a unit test, the same on every run.

Weights are random but seeded; nothing is downloaded. 32 x 32 x 9 frames are a latent of
3 x 4 x 4: 3 x 2 x 2 = 12 patches. No mask of padding is appended to the latents: diffusers resizes
it by torchvision. What looks for unsafe prompts and videos finds none.
"""

from typing import Any, Literal, Self

import numpy as np
import torch
from diffusers import (
    AutoencoderKLCosmos,
    Cosmos2_5_PredictBasePipeline,
    CosmosTextToWorldPipeline,
    CosmosTransformer3DModel,
    EDMEulerScheduler,
    UniPCMultistepScheduler,
)
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from numpy.typing import NDArray
from transformers import T5Config, T5EncoderModel

from tests.tiny_hunyuan_video15 import tiny_qwen_tokenizer
from tests.tiny_kandinsky5 import tiny_text_encoder as tiny_qwen
from tests.tiny_wan import TEXT_DIM, tiny_autoencoder, tiny_text_encoder, tiny_tokenizer

LATENT_CHANNELS = 16
# The states of both layers of the text encoder, side by side.
_STATES = 2
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'][0]['text'] }}<|im_end|>\n{% endfor %}"
)

Version = Literal["1.0", "2.5"]


class SafeChecker(ModelMixin, ConfigMixin):
    """Stands in for that of a package of NVIDIA, which the pipelines insist on."""

    @register_to_config
    def __init__(self) -> None:
        super().__init__()
        # Without any it could not be saved.
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def to(self, *args: Any, **kwargs: Any) -> Self:
        # The pipelines move it themselves, where it may be offloaded too.
        return self

    def check_text_safety(self, prompt: str) -> bool:
        return True

    def check_video_safety(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return frames


def tiny_transformer(
    version: Version = "1.0", *, image_dim: int | None = None, seed: int = 0
) -> CosmosTransformer3DModel:
    """Three blocks of two heads of 12 over patches of 2 x 2 latents."""
    torch.manual_seed(seed)
    own = (
        {"in_channels": LATENT_CHANNELS, "text_embed_dim": TEXT_DIM}
        if version == "1.0"
        else {
            # A channel behind them says which frames are given.
            "in_channels": LATENT_CHANNELS + 1,
            "use_crossattn_projection": True,
            "crossattn_proj_in_channels": _STATES * TEXT_DIM,
            "encoder_hidden_states_channels": TEXT_DIM,
            "text_embed_dim": TEXT_DIM,
            "extra_pos_embed_type": None,
        }
    )
    transformer = CosmosTransformer3DModel(
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=3,
        mlp_ratio=2,
        adaln_lora_dim=4,
        max_size=(4, 32, 32),
        rope_scale=(2.0, 1.0, 1.0),
        concat_padding_mask=False,
        img_context_dim_in=image_dim,
        **own,
    ).eval()
    if transformer.learnable_pos_embed is not None:
        for parameter in transformer.learnable_pos_embed.parameters():
            # They start at zero, which has no direction.
            torch.nn.init.normal_(parameter)
    return transformer


def tiny_cosmos_autoencoder(*, seed: int = 0) -> AutoencoderKLCosmos:
    """An autoencoder with factors of 4 in time and 8 in space; published ones have 8 in both."""
    torch.manual_seed(seed)
    return AutoencoderKLCosmos(
        latent_channels=LATENT_CHANNELS,
        encoder_block_out_channels=(8, 8, 8, 8),
        decode_block_out_channels=(8, 8, 8, 8),
        attention_resolutions=(8,),
        resolution=64,
        num_layers=1,
        patch_size=4,
        spatial_compression_ratio=8,
        temporal_compression_ratio=4,
    ).eval()


def tiny_cosmos(
    version: Version = "1.0", *, seed: int = 0
) -> CosmosTextToWorldPipeline | Cosmos2_5_PredictBasePipeline:
    """Build a fresh pipeline; two calls with the same arguments give the same weights.

    Args:
        version: 1.0 has a T5 and noise of any size, 2.5 a Qwen and a flow.
        seed: Seed of every weight.
    """
    pipe: CosmosTextToWorldPipeline | Cosmos2_5_PredictBasePipeline
    if version == "1.0":
        tokenizer = tiny_tokenizer()
        pipe = CosmosTextToWorldPipeline(
            text_encoder=tiny_text_encoder(
                len(tokenizer), config=T5Config, encoder=T5EncoderModel, seed=seed
            ),
            tokenizer=tokenizer,
            transformer=tiny_transformer(version, seed=seed),
            vae=tiny_cosmos_autoencoder(seed=seed),
            # With few steps most levels of its defaults, .002 to 80, lie near 0 and 1.
            scheduler=EDMEulerScheduler(sigma_min=0.05, sigma_max=8.0),
            safety_checker=SafeChecker(),
        )
    else:
        tokenizer = tiny_qwen_tokenizer()
        tokenizer.chat_template = _TEMPLATE
        torch.manual_seed(seed)
        pipe = Cosmos2_5_PredictBasePipeline(
            text_encoder=tiny_qwen(tokenizer),
            tokenizer=tokenizer,
            transformer=tiny_transformer(version, seed=seed),
            vae=tiny_autoencoder(seed=seed),
            scheduler=UniPCMultistepScheduler(
                prediction_type="flow_prediction",
                use_flow_sigmas=True,
                use_karras_sigmas=True,
                sigma_min=0.01,
                sigma_max=200.0,
            ),
            safety_checker=SafeChecker(),
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe
