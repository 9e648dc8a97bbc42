"""The shipped pipeline loads and generates; training attention equals the stock one."""

import numpy as np
import pytest
import torch
from diffusers import WanPipeline

from numina.sprites import DEFAULTS, load, prompt_for
from numina.sprites.flow import embed_text, encode_captions
from numina.sprites.model import WEIGHTS, build_text_encoder, build_tokenizer, build_transformer
from numina.sprites.training_attention import TEXT_LENGTH, fold_padding, use_training_attention


@pytest.fixture(scope="module")
def pipeline() -> WanPipeline:
    return load()


def test_captions_are_one_piece_a_word_and_come_back() -> None:
    tokenizer = build_tokenizer()
    for seed in range(24):
        caption = prompt_for(seed).caption
        ids = tokenizer(caption).input_ids
        words = caption.replace(",", " ,").split()
        assert len(ids) == len(words) + 1
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == caption


def test_the_shipped_tokenizer_is_the_built_one(pipeline: WanPipeline) -> None:
    caption = prompt_for(17).caption
    assert pipeline.tokenizer(caption).input_ids == build_tokenizer()(caption).input_ids


def test_the_shipped_folder_is_small() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.rglob("*") if file.is_file()) < 10 * 2**20


def test_the_shipped_folder_does_not_tell_where_it_was_made() -> None:
    for config in WEIGHTS.rglob("*.json"):
        assert "_name_or_path" not in config.read_text("utf-8"), config


def test_a_few_steps_give_five_frames_and_the_seed_decides_them(pipeline: WanPipeline) -> None:
    settings = {**DEFAULTS.arguments(), "num_inference_steps": 2}
    first, second = (
        pipeline(
            "two stars drifting left",
            generator=torch.Generator().manual_seed(4),
            output_type="np",
            **settings,
        ).frames
        for _ in range(2)
    )
    assert first.shape == (1, 5, 128, 128, 3)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)


def test_five_frames_are_768_patches(pipeline: WanPipeline) -> None:
    latents = pipeline.prepare_latents(
        1,
        pipeline.transformer.config.in_channels,
        DEFAULTS.height,
        DEFAULTS.width,
        DEFAULTS.num_frames,
    )
    assert latents.shape[2:] == (3, 32, 32)


def test_one_raised_key_equals_hundreds_of_padded_ones() -> None:
    torch.manual_seed(0)
    tokenizer, transformer = build_tokenizer(), build_transformer().eval()
    text_encoder = build_text_encoder(len(tokenizer)).eval()
    captions = ["two stars drifting left", ""]
    latents, level = torch.randn(2, 8, 1, 8, 8), torch.tensor([300.0, 900.0])
    with torch.no_grad():
        short = embed_text(text_encoder, encode_captions(tokenizer, captions))
        padded = torch.nn.functional.pad(short, (0, 0, 0, TEXT_LENGTH - short.shape[1]))
        stock = transformer(latents, level, padded, return_dict=False)[0]
        use_training_attention(transformer)
        ours = transformer(latents, level, fold_padding(short), return_dict=False)[0]
        without = transformer(latents, level, short, return_dict=False)[0]
    torch.testing.assert_close(ours, stock, rtol=1e-5, atol=1e-5)
    assert (without - stock).abs().max() > 1e-4
