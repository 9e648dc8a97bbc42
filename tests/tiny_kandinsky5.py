"""A Kandinsky 5 pipeline of the real classes, small enough for a unit test, always the same.

Weights are random but seeded; nothing is downloaded. 32 x 32 x 9 frames are a latent of
3 x 4 x 4: 3 x 2 x 2 = 12 patches. Its tokenizer takes the place of a processor, which would need
torchvision; the template is short, and as many tokens are cropped as stand before the prompt.
"""

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    Kandinsky5T2VPipeline,
    Kandinsky5Transformer3DModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from tests.tiny_hunyuan_video import tiny_autoencoder
from tests.tiny_hunyuan_video15 import tiny_qwen_tokenizer
from tests.tiny_wan import TEXT_DIM

LATENT_CHANNELS = 4
CLIP_DIM = 16
TEMPLATE = "<|im_start|>system\nDescribe the video.<|im_end|>\n<|im_start|>user\n{}<|im_end|>"
# Tokens of the template before the prompt, as the tokenizer splits it.
CROPPED = 12


class ShortTemplate(Kandinsky5T2VPipeline):
    """The pipeline with a short template: its own stands in its code."""

    prompt_template = property(lambda self: TEMPLATE, lambda self, value: None)
    prompt_template_encode_start_idx = property(lambda self: CROPPED, lambda self, value: None)


def tiny_transformer(
    *, visual_cond: bool = True, attention_type: str = "regular", seed: int = 0
) -> Kandinsky5Transformer3DModel:
    """Three blocks of two heads of 12 over patches of 2 x 2 latents; all modulations are alive."""
    torch.manual_seed(seed)
    transformer = Kandinsky5Transformer3DModel(
        in_visual_dim=LATENT_CHANNELS,
        in_text_dim=TEXT_DIM,
        in_text_dim2=CLIP_DIM,
        time_dim=16,
        out_visual_dim=LATENT_CHANNELS,
        patch_size=(1, 2, 2),
        model_dim=24,
        ff_dim=32,
        num_text_blocks=1,
        num_visual_blocks=3,
        axes_dims=(4, 4, 4),
        visual_cond=visual_cond,
        attention_type=attention_type,
    ).eval()
    for name, parameter in transformer.named_parameters():
        # They start at zero, so that no block would do anything.
        if "modulation" in name and name.endswith("weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    return transformer


def tiny_text_encoder(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLForConditionalGeneration:
    """Two layers of text, and one that would see images."""
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": TEXT_DIM,
            "intermediate_size": 37,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": TEXT_DIM,
        },
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def tiny_kandinsky5(
    *, visual_cond: bool = True, attention_type: str = "regular", seed: int = 0
) -> Kandinsky5T2VPipeline:
    """Build a fresh pipeline of three blocks; the same arguments give the same weights.

    Args:
        visual_cond: Whether the transformer takes channels of a first frame, as published ones do.
        attention_type: Of the transformer's self-attention.
        seed: Seed of every weight.
    """
    tokenizer = tiny_qwen_tokenizer()
    torch.manual_seed(seed)
    text_encoder = tiny_text_encoder(tokenizer)
    clip = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=CLIP_DIM,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            projection_dim=CLIP_DIM,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).eval()
    pipe = ShortTemplate(
        transformer=tiny_transformer(
            visual_cond=visual_cond, attention_type=attention_type, seed=seed
        ),
        vae=tiny_autoencoder(seed=seed),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        text_encoder_2=clip,
        tokenizer_2=tokenizer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
