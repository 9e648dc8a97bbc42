"""Guiding where each guidance branch has a pass and an unmasked text of its own."""

import pytest
import torch

from numina.integrations import Site
from tests.calls import wide_call
from tests.families import SEPARATE
from tests.run.given_nouns import NOUNS, attend_with, guide

LAYER, LAYERS, STEP, PATCHES = 1, 3, 2, 20


# Where both branches stand in one pass, the text is masked too: test_masked_text.py.
@pytest.fixture(scope="module", params=[name for name in SEPARATE if SEPARATE[name].passes == 2])
def pipe(request):
    return SEPARATE[request.param].build()


@pytest.fixture(scope="module")
def calls(pipe):
    """What a layer attended to in one step, by branch."""
    seen = {}

    def record(query, key, value, moment, stock):
        if moment.step == STEP:
            seen[moment.branch] = (query.clone(), key.clone(), value.clone(), moment, stock)
        return stock(query, key, value)

    attend_with(pipe, {Site(LAYER, "cross"): record})
    assert set(seen) == {"cond", "uncond"}
    return seen


def noun_shares(call):
    """Probability of each noun with and without the guide, ``[2, B, Q, H, 2]``."""
    query, key, value, moment, stock = call
    # Values that tell a key: what comes out is the probability of each noun.
    told = torch.zeros_like(value)
    for noun, tokens in enumerate(NOUNS):
        told[:, list(tokens), :, noun] = 1.0
    guided = guide(PATCHES, keys=key.shape[1])(query, key, told, moment, stock)
    return torch.stack([guided[..., :2], stock(query, key, told)[..., :2]])


def test_strong_suppression_removes_a_noun_in_its_region_and_nowhere_else(calls):
    guided, plain = noun_shares(calls["cond"])
    assert float(plain[:, :PATCHES, :, 0].min()) > 0.0
    assert float(guided[:, :PATCHES, :, 0].max()) == 0.0
    # The rest of a row takes over what the noun lost, in proportion.
    kept = plain[:, :PATCHES, :, 1] / (1 - plain[:, :PATCHES, :, 0])
    torch.testing.assert_close(guided[:, :PATCHES, :, 1], kept, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(guided[:, PATCHES:], plain[:, PATCHES:], atol=1e-6, rtol=1e-5)


def test_the_unconditional_pass_is_left_alone(calls):
    guided, plain = noun_shares(calls["uncond"])
    assert torch.equal(guided, plain)


def test_a_strength_of_zero_is_bit_identical(pipe):
    call = wide_call(pipe)
    plain, keys = pipe(**call).frames, call["max_sequence_length"]
    for strength, same in ((0.0, True), (1.0, False)):
        function = guide(PATCHES, strength, keys)
        frames = attend_with(pipe, {Site(each, "cross"): function for each in range(LAYERS)})
        assert torch.equal(frames, plain) is same
