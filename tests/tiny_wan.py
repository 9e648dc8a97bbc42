"""A Wan pipeline of the real classes, small enough for a unit test and the same on every run.

Weights are random but seeded; nothing is downloaded. 32 x 32 x 9 frames are a latent of
3 x 4 x 4, so the transformer sees 3 x 2 x 2 = 12 tokens. Ask for larger frames where a test needs
a richer grid: 96 x 96 x 9 frames are 3 x 6 x 6 = 108 tokens.
"""

import string
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel, T5Tokenizer, UMT5Config, UMT5EncoderModel

PROMPT = "a video of three cats playing on the grass"
NEGATIVE_PROMPT = "worst quality, low resolution, blurry."

TEXT_DIM = 32

# Written by hand: a vocabulary that is trained differs from run to run. Words that are missing
# here fall apart into single characters, as rare nouns do in the tokenizers of the large models.
WORDS = """
a an the of and on in at to is are with video photo playing walking running standing sitting
drifting left right up down over worst quality low resolution blurry
one two three four five six seven eight nine ten twelve dozen pair
red blue green yellow black white small large wooden
cat cats dog dogs bird birds apple apples ball balls box boxes goat goats hiker hikers horse
horses star stars child children man men woman women person people table grass hill park
sky beach monkey dance
"""


def tiny_tokenizer() -> T5Tokenizer:
    """A T5 tokenizer over a hand-written vocabulary that covers all printable ASCII."""
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    vocabulary += [(f"▁{word}", -1.0) for word in WORDS.split()]
    characters = string.ascii_letters + string.digits + string.punctuation
    vocabulary += [(character, -8.0) for character in characters]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, additional_special_tokens=[])


def tiny_text_encoder(
    vocab_size: int,
    *,
    config: type[T5Config | UMT5Config] = UMT5Config,
    encoder: type[T5EncoderModel | UMT5EncoderModel] = UMT5EncoderModel,
    seed: int = 0,
) -> T5EncoderModel | UMT5EncoderModel:
    """A two-layer text encoder of width ``TEXT_DIM``."""
    settings = config(
        vocab_size=vocab_size,
        d_model=TEXT_DIM,
        d_kv=8,
        d_ff=37,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        is_encoder_decoder=False,
        use_cache=False,
    )
    torch.manual_seed(seed)
    return encoder(settings).eval()


def tiny_transformer(
    *, heads: int = 2, head_dim: int = 12, layers: int = 3, seed: int = 0
) -> WanTransformer3DModel:
    """A Wan transformer with 1 x 2 x 2 patches over 16 latent channels."""
    torch.manual_seed(seed)
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=heads,
        attention_head_dim=head_dim,
        in_channels=16,
        out_channels=16,
        text_dim=TEXT_DIM,
        freq_dim=256,
        ffn_dim=32,
        num_layers=layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    ).eval()


def tiny_autoencoder(*, seed: int = 0) -> AutoencoderKLWan:
    """An autoencoder with Wan's own factors: 4 in time, 8 in space."""
    torch.manual_seed(seed)
    return AutoencoderKLWan(
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    ).eval()


def tiny_wan(
    *,
    heads: int = 2,
    head_dim: int = 12,
    layers: int = 3,
    scheduler: Literal["euler", "unipc"] = "euler",
    two_transformers: bool = False,
    boundary_ratio: float = 0.875,
    expand_timesteps: bool = False,
    seed: int = 0,
) -> WanPipeline:
    """Build a fresh pipeline; two calls with the same arguments give the same weights.

    Args:
        heads: Attention heads of the transformer.
        head_dim: Width of a head; even, at least 6 for the rotary embedding's three axes.
        layers: Transformer blocks.
        scheduler: ``"euler"`` (flow matching, shift 3) or ``"unipc"``, Wan's own default.
        two_transformers: Add the low-noise transformer of Wan 2.2 A14B.
        boundary_ratio: Noise level at which it takes over.
        expand_timesteps: One timestep per token, as Wan 2.2 TI2V-5B.
        seed: Seed of every weight.
    """
    tokenizer = tiny_tokenizer()
    sizes = {"heads": heads, "head_dim": head_dim, "layers": layers}
    pipe = WanPipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_text_encoder(len(tokenizer), seed=seed),
        vae=tiny_autoencoder(seed=seed),
        scheduler=scheduler_named(scheduler),
        transformer=tiny_transformer(**sizes, seed=seed),
        transformer_2=tiny_transformer(**sizes, seed=seed + 1) if two_transformers else None,
        boundary_ratio=boundary_ratio if two_transformers else None,
        expand_timesteps=expand_timesteps,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run_kwargs(**changes: Any) -> dict[str, Any]:
    """Arguments of a short run, ``pipe(**run_kwargs())``: 4 steps, seeded, frames as a tensor."""
    return {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE_PROMPT,
        "height": 32,
        "width": 32,
        "num_frames": 9,
        "num_inference_steps": 4,
        "guidance_scale": 5.0,
        "max_sequence_length": 16,
        "output_type": "pt",
        "generator": torch.Generator().manual_seed(0),
        **changes,
    }


def scheduler_named(name: str) -> FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler:
    """A scheduler as `tiny_wan` names it."""
    if name == "euler":
        return FlowMatchEulerDiscreteScheduler(shift=3.0)
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
