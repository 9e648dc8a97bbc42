"""The seam to Wan VACE: the blocks of the control and those of the video, and what it refuses."""

import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_wan
from PIL import Image

from numina.errors import UnsupportedModelError
from numina.generation.run import PipelineRun
from numina.integrations import Site, adapter_for
from tests.calls import short_call
from tests.families import LAYERS, STEPS
from tests.integrations.seam_runs import latents, moments, seen_at, stock_attend, through_seam
from tests.pipeline.wide_runs import Finds, counted, left_as_it_was
from tests.tiny_wan_image import tiny_image
from tests.tiny_wan_vace import tiny_wan_vace

ALL_SITES = [Site(layer, kind) for layer in range(LAYERS) for kind in ("self", "cross")]


@pytest.fixture
def pipe():
    return tiny_wan_vace()


def control(size=32):
    """A video to follow, and the half of each frame in which it is to be."""
    rng = np.random.default_rng(0)
    video = [Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8)) for _ in range(9)]
    half = np.zeros((size, size), np.uint8)
    half[:, size // 2 :] = 255
    return {"video": video, "mask": [Image.fromarray(half)] * 9}


def test_an_attend_gets_what_the_model_would_have_attended_to(pipe, monkeypatch):
    theirs = []
    stock_dispatch = transformer_wan.dispatch_attention_fn

    def spy(query, key, value, **kwargs):
        theirs.append((query.clone(), key.clone(), value.clone()))
        return stock_dispatch(query, key, value, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(transformer_wan, "dispatch_attention_fn", spy)
        latents(pipe)
    ours, _ = seen_at(pipe, ALL_SITES)

    assert len(ours) == len(theirs) == STEPS * 2 * len(ALL_SITES)
    for mine, expected in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine.tokens, expected, strict=True))


def test_layers_are_numbered_as_they_run(pipe):
    seen, _ = seen_at(pipe, ALL_SITES)
    one_pass = [each.moment.layer for each in seen[: len(ALL_SITES)]]
    assert one_pass == [site.layer for site in ALL_SITES]
    adapter, model = adapter_for(pipe.transformer), pipe.transformer
    assert adapter.module(model, Site(0, "cross")) is model.vace_blocks[0].attn2
    assert adapter.module(model, Site(2, "self")) is model.blocks[1].attn1


def test_both_kinds_of_blocks_use_what_an_attend_returns(pipe):
    plain = latents(pipe)
    for layer in range(LAYERS):
        silenced, _ = through_seam(
            pipe, {Site(layer, "cross"): lambda query, *_: torch.zeros_like(query)}
        )
        assert not torch.equal(silenced, plain)


def test_a_video_to_follow_and_its_mask_are_left_to_the_model(pipe):
    given = control()
    plain = latents(pipe, **given)
    assert not torch.equal(plain, latents(pipe))
    watched, _ = through_seam(pipe, dict.fromkeys(ALL_SITES, stock_attend), **given)
    assert torch.equal(watched, plain)
    assert {m.grid.shape for m in moments(pipe, Site(1, "cross"), **given)} == {(3, 2, 2)}


def test_counts_are_kept_beside_a_video_to_follow(pipe):
    given = control(96)
    with left_as_it_was(pipe, **given) as plain:
        right = counted(pipe, Finds(found=(3,)), "one-pass", **given)
        assert right.report.decision == "continued"
        assert torch.equal(right.frames, plain)
        wrong = counted(pipe, Finds(found=(2, 3)), "restart", **given)
        assert wrong.report.decision == "guided"
        assert not torch.equal(wrong.frames, plain)


def test_reference_images_are_refused_before_the_run(pipe):
    for given in (tiny_image(), [tiny_image()], [[tiny_image()]]):
        with pytest.raises(UnsupportedModelError, match=r"reference_images=.*frames of its own"):
            PipelineRun(pipe, short_call(pipe, reference_images=given))
