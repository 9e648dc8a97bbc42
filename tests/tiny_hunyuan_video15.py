"""A HunyuanVideo 1.5 pipeline of the real classes, small enough for a unit test, always the same.

Weights are random but seeded; nothing is downloaded. 32 x 32 x 9 frames are a latent of
3 x 2 x 2: 12 video tokens, and 16 others behind them: 11 of the prompt, 2 of glyphs, 3 of an image.
"""

from typing import Any

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo15,
    ClassifierFreeGuidance,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
)
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import (
    ByT5Tokenizer,
    PreTrainedTokenizerFast,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    T5Config,
    T5EncoderModel,
)

from tests.tiny_wan import NEGATIVE_PROMPT, TEXT_DIM, WORDS, tiny_text_encoder

LATENT_CHANNELS = 4
IMAGE_DIM = 16
PROMPT_KEYS, GLYPH_KEYS, IMAGE_KEYS = 11, 2, 3
# Tokens of the template before the prompt, as the tokenizer below splits it.
CROPPED = 12

_PAD, _UNKNOWN = "<|pad|>", "<|unknown|>"
_SYSTEM = "Describe the video."
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Words with the space before them, signs and new lines, as the tokenizer of Qwen splits.
_PIECES = r"<\|\w+\|>|\n| ?[A-Za-z]+|\d| ?[^\sA-Za-z\d<]+| "


class ShortTexts(HunyuanVideo15Pipeline):
    """The pipeline with short texts: their lengths stand in its code."""

    system_message = property(lambda self: _SYSTEM, lambda self, value: None)
    prompt_template_encode_start_idx = property(lambda self: CROPPED, lambda self, value: None)
    tokenizer_max_length = property(lambda self: PROMPT_KEYS, lambda self, value: None)
    tokenizer_2_max_length = property(lambda self: GLYPH_KEYS, lambda self, value: None)
    vision_num_semantic_tokens = property(lambda self: IMAGE_KEYS, lambda self, value: None)


def tiny_qwen_tokenizer(padding_side: str = "right") -> PreTrainedTokenizerFast:
    """Whole words, with the spaces before them, of the template and of ``tests.tiny_wan``."""
    splitter = Split(Regex(_PIECES), "isolated")
    template = f"<|im_start|>system\n{_SYSTEM}<|im_end|>\n<|im_start|>user\n<|im_start|>assistant\n"
    pieces = [piece for piece, _ in splitter.pre_tokenize_str(template + NEGATIVE_PROMPT)]
    words = WORDS.split()
    vocabulary = dict.fromkeys([_PAD, _UNKNOWN, *pieces, *words, *(f" {w}" for w in words)])
    tokenizer = Tokenizer(
        WordLevel({piece: at for at, piece in enumerate(vocabulary)}, unk_token=_UNKNOWN)
    )
    tokenizer.pre_tokenizer = splitter
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        unk_token=_UNKNOWN,
        padding_side=padding_side,
        chat_template=_TEMPLATE,
    )


def tiny_transformer(*, seed: int = 0) -> HunyuanVideo15Transformer3DModel:
    """Three blocks of two heads of 16; its norms tell video from text, and query from key."""
    torch.manual_seed(seed)
    transformer = HunyuanVideo15Transformer3DModel(
        in_channels=2 * LATENT_CHANNELS + 1,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=3,
        num_refiner_layers=1,
        patch_size=1,
        text_embed_dim=TEXT_DIM,
        text_embed_2_dim=TEXT_DIM,
        image_embed_dim=IMAGE_DIM,
        rope_axes_dim=(4, 6, 6),
        target_size=16,
        task_type="t2v",
    ).eval()
    for block in transformer.transformer_blocks:
        for name, parameter in block.attn.named_parameters():
            if name.startswith("norm"):
                torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    return transformer


def tiny_autoencoder(*, seed: int = 0) -> AutoencoderKLHunyuanVideo15:
    """An autoencoder with HunyuanVideo 1.5's own factors: 4 in time, 16 in space."""
    torch.manual_seed(seed)
    return AutoencoderKLHunyuanVideo15(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(16, 16, 16, 16, 16),
        layers_per_block=1,
        downsample_match_channel=False,
        upsample_match_channel=False,
    ).eval()


def tiny_hunyuan_video15(
    *, padding_side: str = "right", seed: int = 0, **guidance: Any
) -> HunyuanVideo15Pipeline:
    """Build a fresh pipeline of three blocks; the same arguments give the same weights.

    Args:
        padding_side: Where the tokenizer pads.
        seed: Seed of every weight.
        **guidance: Settings of the guider.
    """
    tokenizer = tiny_qwen_tokenizer(padding_side)
    torch.manual_seed(seed)
    text_encoder = Qwen2_5_VLTextModel(
        Qwen2_5_VLTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_DIM,
            intermediate_size=37,
            # The pipeline takes the third last state: that of the first layer.
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            rope_scaling={"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).eval()
    glyphs = ByT5Tokenizer()
    pipe = ShortTexts(
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=tiny_transformer(seed=seed),
        vae=tiny_autoencoder(seed=seed),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        text_encoder_2=tiny_text_encoder(
            len(glyphs), config=T5Config, encoder=T5EncoderModel, seed=seed
        ),
        tokenizer_2=glyphs,
        guider=ClassifierFreeGuidance(**guidance),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
