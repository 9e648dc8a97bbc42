"""LTX-2 pipelines of the real classes, small enough for a unit test, the same on every run.

Weights are random but seeded; nothing is downloaded. As the model has no patches, the autoencoder
makes up for them, 4 in time and 16 in space: 32 x 32 x 9 frames are 3 x 2 x 2 = 12 tokens. Behind
the text stand registers, up to 16 keys.
"""

from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKLLTX2Audio,
    AutoencoderKLLTX2Video,
    FlowMatchEulerDiscreteScheduler,
    LTX2Pipeline,
    LTX2VideoTransformer3DModel,
)
from diffusers.pipelines.ltx2 import LTX2TextConnectors, LTX2Vocoder
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from tests.tiny_hunyuan_video import tiny_llama_tokenizer
from tests.tiny_wan import TEXT_DIM

LATENT_CHANNELS = 8
REGISTERS = 4

# 2.3 has gates and a text that the noise level moves, and passes in which layers are perturbed.
Version = Literal["2.0", "2.3"]


def tiny_transformer(version: Version, *, seed: int = 0) -> LTX2VideoTransformer3DModel:
    """Three blocks of two heads of 16; its norms tell query from key."""
    newer = version == "2.3"
    torch.manual_seed(seed)
    transformer = LTX2VideoTransformer3DModel(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=2,
        attention_head_dim=16,
        cross_attention_dim=32,
        audio_in_channels=4,
        audio_out_channels=4,
        audio_num_attention_heads=2,
        audio_attention_head_dim=8,
        audio_cross_attention_dim=16,
        num_layers=3,
        caption_channels=TEXT_DIM,
        rope_double_precision=False,
        rope_type="split" if newer else "interleaved",
        gated_attn=newer,
        audio_gated_attn=newer,
        perturbed_attn=newer,
    ).eval()
    for block in transformer.transformer_blocks:
        for attention in (block.attn1, block.attn2):
            for norm in (attention.norm_q, attention.norm_k):
                torch.nn.init.normal_(norm.weight, mean=1.0, std=0.3)
    return transformer


def tiny_text_encoder(vocab_size: int, *, seed: int = 0) -> Gemma3ForConditionalGeneration:
    """Two layers of Gemma 3, with as little of its eyes as can be."""
    torch.manual_seed(seed)
    text: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": TEXT_DIM,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 64,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 1,
    }
    eyes = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    tokens = dict.fromkeys(("image_token_index", "boi_token_index", "eoi_token_index"), 1)
    settings = Gemma3Config(text_config=text, vision_config=eyes, mm_tokens_per_image=4, **tokens)
    return Gemma3ForConditionalGeneration(settings).eval()


def tiny_connectors(*, registers: int | None = REGISTERS, seed: int = 0) -> LTX2TextConnectors:
    """One layer for the text that the video is given, and one for the sound's."""
    torch.manual_seed(seed)
    streams = {
        f"{stream}_connector_{name}": value
        for stream in ("video", "audio")
        for name, value in (
            ("num_attention_heads", 4),
            ("attention_head_dim", 8),
            ("num_layers", 1),
            ("num_learnable_registers", registers),
        )
    }
    return LTX2TextConnectors(
        caption_channels=TEXT_DIM, text_proj_in_factor=3, rope_double_precision=False, **streams
    ).eval()


def tiny_autoencoder(*, seed: int = 0) -> AutoencoderKLLTX2Video:
    """An autoencoder of 4 in time and 16 in space."""
    torch.manual_seed(seed)
    return AutoencoderKLLTX2Video(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False),
        decoder_inject_noise=(False,) * 4,
        downsample_type=("spatiotemporal",) * 4,
        upsample_residual=(True,) * 3,
        upsample_factor=(1,) * 3,
        encoder_causal=True,
        decoder_causal=False,
    ).eval()


def tiny_ltx2(
    version: Version = "2.0", *, registers: int | None = REGISTERS, seed: int = 0
) -> LTX2Pipeline:
    """Build a fresh pipeline; two calls with the same arguments give the same weights.

    Args:
        version: The model whose attention it has.
        registers: Learnable registers of the connectors.
        seed: Seed of every weight.
    """
    tokenizer = tiny_llama_tokenizer()
    torch.manual_seed(seed)
    audio = AutoencoderKLLTX2Audio(
        base_channels=4,
        output_channels=2,
        ch_mult=(1,),
        num_res_blocks=1,
        attn_resolutions=None,
        in_channels=2,
        resolution=32,
        latent_channels=2,
        norm_type="pixel",
        causality_axis="height",
        mid_block_add_attention=False,
        sample_rate=16000,
        mel_hop_length=160,
        is_causal=True,
        mel_bins=8,
    ).eval()
    vocoder = LTX2Vocoder(
        in_channels=16,
        hidden_channels=32,
        out_channels=2,
        upsample_kernel_sizes=[4, 4],
        upsample_factors=[2, 2],
        resnet_kernel_sizes=[3],
        resnet_dilations=[[1, 3, 5]],
        output_sampling_rate=16000,
    ).eval()
    pipe = LTX2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True,
            base_shift=0.95,
            max_shift=2.05,
            base_image_seq_len=16,
            max_image_seq_len=64,
            shift_terminal=0.1,
        ),
        vae=tiny_autoencoder(seed=seed),
        audio_vae=audio,
        text_encoder=tiny_text_encoder(len(tokenizer), seed=seed),
        tokenizer=tokenizer,
        connectors=tiny_connectors(registers=registers, seed=seed),
        transformer=tiny_transformer(version, seed=seed),
        vocoder=vocoder,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
