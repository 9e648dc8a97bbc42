"""A HunyuanVideo pipeline of the real classes, small enough for a unit test, always the same.

Weights are random but seeded; nothing is downloaded. 32 x 32 x 9 frames are a latent of
3 x 4 x 4: 3 x 2 x 2 = 12 video tokens, and 16 text tokens behind them. Its tokenizer makes 95
tokens of the pipeline's own template, as that of the large model does, so that the default crop
ends where the prompt begins.
"""

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
)
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
)

from tests.tiny_wan import NEGATIVE_PROMPT, TEXT_DIM, WORDS, tiny_tokenizer

LATENT_CHANNELS = 4
CLIP_DIM = 16

_BEGIN, _PAD, _UNKNOWN = "<|begin_of_text|>", "<|pad|>", "<|unknown|>"
# Words with the space before them, digits, runs of signs and of new lines, as Llama 3 splits.
_PIECES = r"<\|\w+\|>|\n+| ?[A-Za-z]+|\d| ?[^\sA-Za-z\d<]+| "


def tiny_llama_tokenizer(padding_side: str = "right") -> PreTrainedTokenizerFast:
    """Whole words, with the spaces before them, of the template and of ``tests.tiny_wan``."""
    splitter = Split(Regex(_PIECES), "isolated")
    template = DEFAULT_PROMPT_TEMPLATE["template"]
    pieces = [piece for piece, _ in splitter.pre_tokenize_str(template + NEGATIVE_PROMPT)]
    words = WORDS.split()
    vocabulary = dict.fromkeys([_PAD, _UNKNOWN, _BEGIN, *pieces, *words, *(f" {w}" for w in words)])
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(WordLevel(ids, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = TemplateProcessing(
        single=f"{_BEGIN} $A", special_tokens=[(_BEGIN, ids[_BEGIN])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=_BEGIN,
        pad_token=_PAD,
        unk_token=_UNKNOWN,
        padding_side=padding_side,
    )


def tiny_transformer(
    *, double: int = 2, single: int = 1, image_condition_type: str | None = None, seed: int = 0
) -> HunyuanVideoTransformer3DModel:
    """Two heads of 16 over patches of 2 x 2 latents, in blocks of two streams and of one."""
    torch.manual_seed(seed)
    transformer = HunyuanVideoTransformer3DModel(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=double,
        num_single_layers=single,
        num_refiner_layers=1,
        patch_size=2,
        patch_size_t=1,
        text_embed_dim=TEXT_DIM,
        pooled_projection_dim=CLIP_DIM,
        rope_axes_dim=(4, 6, 6),
        image_condition_type=image_condition_type,
    ).eval()
    # The norms begin as identities, which would leave out that every projection has its own.
    for block in [*transformer.transformer_blocks, *transformer.single_transformer_blocks]:
        for name, parameter in block.attn.named_parameters():
            if name.startswith("norm"):
                torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    return transformer


def tiny_autoencoder(*, seed: int = 0) -> AutoencoderKLHunyuanVideo:
    """An autoencoder with HunyuanVideo's own factors: 4 in time, 8 in space."""
    torch.manual_seed(seed)
    return AutoencoderKLHunyuanVideo(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(4, 4, 4, 4),
        layers_per_block=1,
        norm_num_groups=2,
    ).eval()


def tiny_hunyuan_video(
    *, image_condition_type: str | None = None, padding_side: str = "right", seed: int = 0
) -> HunyuanVideoPipeline:
    """Build a fresh pipeline of three blocks; the same arguments give the same weights.

    Args:
        image_condition_type: Given to the transformer; None is text-to-video.
        padding_side: Where the tokenizer pads.
        seed: Seed of every weight.
    """
    tokenizer = tiny_llama_tokenizer(padding_side)
    tokenizer_2 = tiny_tokenizer()
    torch.manual_seed(seed)
    text_encoder = LlamaModel(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_DIM,
            intermediate_size=37,
            num_attention_heads=4,
            # The pipeline takes the third last state: that of the first layer.
            num_hidden_layers=3,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=None,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).eval()
    text_encoder_2 = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer_2),
            hidden_size=CLIP_DIM,
            intermediate_size=37,
            num_attention_heads=2,
            num_hidden_layers=1,
            bos_token_id=None,
            eos_token_id=tokenizer_2.eos_token_id,
        )
    ).eval()
    pipe = HunyuanVideoPipeline(
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=tiny_transformer(image_condition_type=image_condition_type, seed=seed),
        vae=tiny_autoencoder(seed=seed),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=text_encoder_2,
        tokenizer_2=tokenizer_2,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
