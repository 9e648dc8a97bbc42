"""estimate(): bytes, work and forwards told beforehand, against what runs then do."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from numina.attention.accounting import Machine
from numina.attention.extra_work import attention_flops, look_flops
from numina.attention.reading import video_tokens
from numina.errors import PromptError, UnsupportedModelError
from numina.estimating import estimate
from numina.generation.run import PipelineRun
from numina.integrations import Site
from numina.methods.robust import Robust
from numina_kernels.impl import Impl
from tests.calls import wide_call
from tests.families import FAMILIES, LAYERS, STEPS
from tests.integrations.seam_runs import seen_at
from tests.pipeline.wide_runs import Finds, counted
from tests.tiny_cogvideox import TEXT_KEYS, tiny_cogvideox
from tests.tiny_wan import tiny_wan

GPU = Machine(Impl.TRITON, "cuda")
SIZES = {
    "height": 96,
    "width": 96,
    "num_frames": 9,
    "num_inference_steps": STEPS,
    "max_sequence_length": TEXT_KEYS,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_forwards_are_those_of_the_runs(name):
    family = FAMILIES[name]
    pipe, method = family.build(), Finds(found=(2, 3))
    noises = PipelineRun(pipe, wide_call(pipe)).noises
    again = estimate(pipe, preset=method, mode="restart", noises=noises, **SIZES)
    plain = family.forwards * STEPS
    report = counted(pipe, method, "restart").report
    assert report.decision == "guided"
    if family.forwards == 2:
        assert report.total.forwards / plain == pytest.approx(again.forwards.wrong)
        assert report.identify.forwards / plain == pytest.approx(again.forwards.look)
    once = estimate(pipe, preset=method, mode="one-pass", **SIZES)
    assert (once.forwards.right, once.forwards.wrong) == (1.0, 1.0)


def test_each_round_of_restart_mode_may_stop_at_the_look():
    pipe = tiny_wan()
    (one, two) = (
        estimate(pipe, preset=Finds(), mode="restart", rounds=rounds, **SIZES).forwards
        for rounds in (1, 2)
    )
    assert two.wrong == pytest.approx(one.wrong + one.look)


def test_levels_that_a_pipeline_makes_itself_are_not_guessed():
    pipe = FAMILIES["ltx-video"].build()
    told = estimate(pipe, mode="restart", **SIZES)
    assert told.forwards.wrong is None
    assert "unknown" in str(told)
    with pytest.raises(ValueError, match="noises must be the levels of 4 steps, got 2"):
        estimate(pipe, mode="restart", noises=(1.0, 0.5), **SIZES)


def test_a_prompt_tells_nouns_and_keys():
    pipe = tiny_wan()
    told = estimate(pipe, "three cats and two dogs on the grass", **SIZES)
    assert (told.size.nouns, told.size.noun_keys) == (2, 2)
    given = estimate(pipe, nouns=2, noun_keys=2, **SIZES)
    assert told == given
    pair = estimate(pipe, ["three cats", "two dogs"], **SIZES)
    assert (pair.size.videos, pair.size.nouns) == (2, 1)


def test_a_prompt_without_counts_has_nothing_to_tell():
    with pytest.raises(PromptError, match="it would be run plainly"):
        estimate(tiny_wan(), "grass in the wind", **SIZES)


def test_a_pipeline_without_weights_is_told_of_the_same_as_one_with_them():
    pipe = tiny_cogvideox()
    here = estimate(pipe, machine=GPU, **SIZES)
    pipe.transformer.to("meta")
    assert estimate(pipe, machine=GPU, **SIZES) == here
    # Where nobody says otherwise, what has no weights yet will run on a GPU.
    assert estimate(SimpleNamespace(**vars_of(pipe)), **SIZES) == here


def vars_of(pipe: Any) -> dict[str, Any]:
    names = ("transformer", "scheduler", "vae_scale_factor_spatial", "vae_scale_factor_temporal")
    return {name: getattr(pipe, name) for name in names}


def test_defaults_are_the_pipelines_own():
    pipe = tiny_cogvideox()
    assert estimate(pipe, num_inference_steps=STEPS).size.grid.shape == (3, 6, 6)
    told = estimate(tiny_wan(), num_inference_steps=STEPS)
    assert told.size.grid.shape == (21, 30, 52)
    assert told.size.text == 512


def test_a_size_that_no_default_tells_must_be_given():
    pipe = SimpleNamespace(**vars_of(tiny_wan()))
    with pytest.raises(ValueError, match="height must be given"):
        estimate(pipe, width=96, num_frames=9)
    with pytest.raises(ValueError, match="width must be a positive integer, got 0"):
        estimate(pipe, height=96, width=0, num_frames=9)


def test_a_pipeline_of_unknown_factors_is_refused():
    pipe = tiny_wan()
    bare = SimpleNamespace(transformer=pipe.transformer, scheduler=pipe.scheduler)
    with pytest.raises(UnsupportedModelError, match="how many latents"):
        estimate(bare, **SIZES)


def test_more_nouns_and_videos_need_more_and_more_layers_only_on_the_host():
    pipe = tiny_wan()
    small = estimate(pipe, machine=GPU, **SIZES)
    more = estimate(pipe, nouns=3, machine=GPU, **SIZES)
    assert more.look.bytes > small.look.bytes
    assert more.host_bytes == 3 * small.host_bytes
    one_layer = replace(Robust(), capture=replace(Robust().capture, cross=(0.5,)))
    fewer = estimate(pipe, preset=one_layer, machine=GPU, **SIZES)
    assert fewer.host_bytes * 3 == small.host_bytes
    assert fewer.look == small.look
    videos = estimate(pipe, num_videos_per_prompt=2, machine=GPU, **SIZES)
    assert videos.look.bytes == 2 * small.look.bytes


def test_only_who_sketches_has_head_statistics():
    pipe = tiny_wan()
    assert estimate(pipe, **SIZES).heads.bytes == 0
    paper = estimate(pipe, preset="paper", noises=(1.0, 0.9, 0.5, 0.2), **SIZES)
    assert paper.heads.bytes > 0
    assert "templates" in paper.note


def test_the_table_fits_a_terminal_and_names_every_sum():
    told = str(estimate(tiny_wan(), nouns=3, preset="paper", mode="restart", **SIZES))
    lines = told.splitlines()
    # Two more columns stand before it in a terminal of 80.
    assert max(map(len, lines)) <= 78
    assert "3 nouns named by 6 text keys; paper, restart" in told
    assert "head statistics" in told
    assert "forwards where it is wrong, at most" in told


@pytest.mark.parametrize("name", ["wan", "mochi"])
def test_work_is_what_torch_counts(name):
    """Products of a look and of the attention itself; the rest of a forward pass is not counted."""
    pipe = FAMILIES[name].build()
    size = estimate(pipe, **SIZES).size
    (seen, *_), _ = seen_at(pipe, [Site(1, "cross")], height=96, width=96)
    query, key, value = (x[-1:] for x in seen.tokens)
    video = video_tokens(query, seen.moment)
    with FlopCounterMode(display=False) as looking:
        # What the implementations do tile by tile, which torch sees as one operation of ours.
        scores = torch.bmm(video[0].transpose(0, 1), key[0].permute(1, 2, 0))
        torch.bmm(scores[..., :2], scores.new_ones(len(scores), 2, 1))
    scored = 2 * size.grid.tokens * size.heads * size.head_dim * size.noun_keys
    assert look_flops(size, 1) == looking.get_total_flops() + scored
    with FlopCounterMode(display=False) as attending:
        probs = torch.bmm(query[0].transpose(0, 1), key[0].permute(1, 2, 0))
        torch.bmm(probs, value[0].transpose(0, 1))
    own = 0 if size.joint else 4 * size.heads * size.head_dim * size.tokens**2
    assert attention_flops(size) == LAYERS * (own + attending.get_total_flops())
