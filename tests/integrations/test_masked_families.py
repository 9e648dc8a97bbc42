"""The seam to models of separate attention that mask their text: LTX-Video and Allegro."""

import pytest
import torch

from numina.attend import conditional
from numina.integrations import Site
from tests.integrations.seam_runs import moments, seen_at, through_seam
from tests.tiny_allegro import tiny_allegro
from tests.tiny_cogvideox import TEXT_KEYS as KEYS
from tests.tiny_ltx_video import tiny_ltx_video
from tests.tiny_wan import NEGATIVE_PROMPT, PROMPT

STEPS = 4


@pytest.fixture(params=[tiny_ltx_video, tiny_allegro], ids=["ltx-video", "allegro"])
def pipe(request):
    return request.param()


def test_moments_follow_the_loop(pipe):
    seen = moments(pipe, Site(1, "cross"))
    assert [(m.step, m.branch, m.layer) for m in seen] == [(s, "both", 1) for s in range(STEPS)]
    assert {m.grid.shape for m in seen} == {(3, 2, 2)}


def test_moments_carry_the_mask_of_the_text(pipe):
    lengths = [len(pipe.tokenizer(text).input_ids) for text in (NEGATIVE_PROMPT, PROMPT)]
    expected = torch.zeros(2, KEYS)
    for row, length in enumerate(lengths):
        expected[row, length:] = -10_000
    assert 0 < min(lengths) < max(lengths) < KEYS
    assert all(torch.equal(m.key_offset, expected) for m in moments(pipe, Site(0, "cross")))
    assert all(m.key_offset is None for m in moments(pipe, Site(0, "self")))


def test_without_guidance_a_pass_is_the_conditional_branch(pipe):
    _, clock = through_seam(pipe, {}, guidance_scale=1.0)
    assert clock.forwards == STEPS
    assert {m.branch for m in moments(pipe, Site(0, "self"), guidance_scale=1.0)} == {"cond"}


def test_the_conditional_half_is_the_one_the_prompt_moves(pipe):
    (_, cats, _), (_, dogs, _) = (
        seen_at(pipe, [Site(0, "cross")], prompt=prompt)[0][0].tokens
        for prompt in ("three cats", "two dogs")
    )
    assert torch.equal(cats[:1], dogs[:1])
    assert not torch.equal(conditional("both", cats), conditional("both", dogs))
