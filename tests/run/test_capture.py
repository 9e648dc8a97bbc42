"""Looking changes nothing and sees what the model attends to."""

from dataclasses import replace

import pytest
import torch

from numina.attend import Moment, Prediction
from numina.attention.capture import CaptureSpec, Recorder
from numina.attention.clean_prediction import CleanPrediction
from numina.attention.text import Text
from numina.combination import Combination
from numina.errors import CaptureMissedError
from numina.video import VideoGrid
from numina_kernels.key_groups import KeyGroups

GRID = VideoGrid(2, 3, 4)
BATCH, HEADS, DIM, KEYS, REAL = 2, 2, 8, 16, 5


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def padded(*shape, seed):
    """Keys of which all from ``REAL`` on are equal, as zero-padded text gives them."""
    keys = draw(*shape, seed=seed)
    keys[:, REAL:] = keys[:, REAL : REAL + 1]
    return keys


@pytest.fixture
def attention():
    query = draw(BATCH, GRID.tokens, HEADS, DIM)
    key, value = (padded(BATCH, KEYS, HEADS, DIM, seed=seed) for seed in (1, 2))
    return query, key, value


def text(measured=True):
    groups = KeyGroups(torch.tensor([[-1, 0, 0, -1, 1] + [-1] * 11], dtype=torch.int8), 2)
    nouns = Text(groups)
    if measured:
        embeddings = torch.zeros(BATCH, KEYS, 3)
        embeddings[:, :REAL] = draw(BATCH, REAL, 3)
        nouns.measure(embeddings)
    return nouns


def moment(step=0, branch="cond", layer=0, noise=0.9):
    return Moment(step, noise, branch, layer, GRID)


def sdpa(query, key, value):
    output = torch.nn.functional.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (query, key, value))
    )
    return output.transpose(1, 2)


def materialised(query, key):
    scores = torch.einsum("bqhd,bkhd->bhqk", query, key) * DIM**-0.5
    probs = scores.softmax(-1)
    return torch.stack([probs[..., [1, 2]].sum(-1), probs[..., 4]], 2)  # [B, H, G, Q]


@pytest.mark.parametrize("measured", [True, False], ids=["folded", "whole"])
def test_a_recorder_sees_the_mass_on_each_noun_and_passes_the_output_on(attention, measured):
    recorder = Recorder(text(measured), wanted={0})
    output = recorder.cross(*attention, moment(), sdpa)
    assert torch.equal(output, sdpa(*attention))

    expected = materialised(*attention[:2])
    for row, capture in enumerate(recorder.captures()):
        assert capture.probs.shape == (1, HEADS, 2, *GRID.shape)
        seen = capture.probs[0].flatten(-3)
        torch.testing.assert_close(seen, expected[row], atol=1e-3, rtol=1e-3)


def test_keys_that_the_model_masks_get_nothing(attention):
    """And a mask of its own keeps the padding from being folded."""
    query, key, _ = attention
    mask = torch.zeros(BATCH, KEYS)
    mask[0, 2], mask[:, REAL:] = -torch.inf, -torch.inf
    recorder = Recorder(text(), wanted={0})
    recorder.cross(*attention, replace(moment(), key_offset=mask), sdpa)

    scores = torch.einsum("bqhd,bkhd->bhqk", query, key) * DIM**-0.5
    probs = (scores + mask[:, None, None]).softmax(-1)
    expected = torch.stack([probs[..., [1, 2]].sum(-1), probs[..., 4]], 2)
    for row, capture in enumerate(recorder.captures()):
        seen = capture.probs[0].flatten(-3)
        torch.testing.assert_close(seen, expected[row], atol=1e-3, rtol=1e-3)


def test_only_the_undisturbed_pass_of_wanted_steps_is_recorded(attention):
    recorder = Recorder(text(), wanted={1})
    others = [(1, branch) for branch in ("uncond", "perturbed", "isolated")]
    for step, branch in ((0, "cond"), *others, (2, "cond")):
        recorder.cross(*attention, moment(step, branch), sdpa)
    with pytest.raises(CaptureMissedError, match="none of the layers"):
        recorder.captures()


def test_a_later_step_replaces_an_earlier_one(attention):
    recorder = Recorder(text(), wanted={0, 1})
    recorder.cross(*attention, moment(0, layer=0), sdpa)
    recorder.cross(*attention, moment(0, layer=1), sdpa)
    recorder.cross(*attention, moment(1, layer=1), sdpa)
    capture = recorder.captures()[0]
    assert (capture.step, capture.layers) == (1, (1,))


def test_a_look_that_lacks_a_layer_is_refused(attention):
    """A cache may skip some layers of a step, or all of them at the second look."""
    recorder = Recorder(text(), wanted={0, 1}, layers=(0, 1))
    recorder.cross(*attention, moment(layer=0), sdpa)
    with pytest.raises(CaptureMissedError, match=r"layers \[1\] to be looked at never ran"):
        recorder.captures()
    recorder.cross(*attention, moment(layer=1), sdpa)
    assert recorder.captures(step=0)[0].layers == (0, 1)
    with pytest.raises(CaptureMissedError, match="none of the layers"):
        recorder.captures(step=1)


def test_self_attention_is_sketched_for_each_video(attention):
    query = attention[0]
    recorder = Recorder(text(), wanted={0})
    recorder.cross(*attention, moment(layer=1), sdpa)
    output = recorder.self_attention(query, query, query, moment(layer=1), sdpa)
    assert torch.equal(output, sdpa(query, query, query))
    captures = recorder.captures()
    assert captures[0].features.shape == (GRID.frames, HEADS, GRID.patches, 3)
    assert captures[0].feature_layer == 1
    assert not torch.equal(captures[0].features, captures[1].features)


def test_what_the_listener_raises_ends_the_layer(attention):
    def stop(recorder, moment):
        raise StopIteration(moment.layer)

    with pytest.raises(StopIteration, match="3"):
        Recorder(text(), {0}, on_recorded=stop).cross(*attention, moment(layer=3), sdpa)


def test_a_changing_text_is_never_folded(attention):
    nouns = Text(text().groups, may_fold=False)
    nouns.measure(torch.zeros(BATCH, KEYS, 3))
    folded, _ = nouns.fold(*attention[1:])
    assert folded.key.shape[1] == KEYS
    assert folded.key_offset is None


def test_folding_drops_the_padding_and_keeps_the_nouns(attention):
    folded, groups = text().fold(*attention[1:])
    assert folded.key.shape[1] == groups.index.shape[1] == REAL + 1
    assert groups.index[0].tolist() == [-1, 0, 0, -1, 1, -1]


@pytest.mark.parametrize(("layers", "expected"), [(30, (0, 15, 29)), (3, (0, 1, 2)), (1, (0,))])
def test_depths_name_the_same_layers_in_any_model(layers, expected):
    assert CaptureSpec(cross=(0.0, 0.5, 1.0)).cross_layers(layers) == expected


def test_depths_outside_the_model_are_refused():
    with pytest.raises(ValueError, match=r"depths must lie in 0\.\.1"):
        CaptureSpec(cross=(1.5,))
    with pytest.raises(ValueError, match="name at least one"):
        CaptureSpec(cross=())


class TestCleanPrediction:
    """x0 = x - sigma * v, with the guided velocity."""

    latents, cond, uncond = (draw(1, 4, 2, 3, 4, seed=seed) for seed in range(3))

    def feed(self, watch):
        for branch, velocity in (("cond", self.cond), ("uncond", self.uncond)):
            watch(Prediction(3, 0.5, branch, self.latents, velocity))

    def test_both_branches_are_combined_as_the_pipeline_does(self):
        steps = []
        clean = CleanPrediction(lambda: Combination(4.0), lambda step, latents: steps.append(step))
        self.feed(clean)
        guided = self.uncond + 4.0 * (self.cond - self.uncond)
        torch.testing.assert_close(clean.latents, self.latents - 0.5 * guided)
        assert steps == [3]

    def test_a_step_that_was_left_unfinished_is_forgotten(self):
        clean = CleanPrediction(lambda: Combination(4.0))
        clean(Prediction(2, 0.9, "uncond", self.latents, self.latents))
        clean(Prediction(3, 0.5, "cond", self.latents, self.cond))
        assert clean.latents is None
        clean(Prediction(3, 0.5, "uncond", self.latents, self.uncond))
        guided = self.uncond + 4.0 * (self.cond - self.uncond)
        torch.testing.assert_close(clean.latents, self.latents - 0.5 * guided)

    def test_low_precision_is_not_multiplied_by_the_scale(self):
        low = [x.bfloat16() for x in (self.latents, self.cond, self.uncond)]
        latents, cond, uncond = low
        clean = CleanPrediction(lambda: Combination(8.0))
        for branch, velocity in (("cond", cond), ("uncond", uncond)):
            clean(Prediction(3, 0.5, branch, latents, velocity))
        latents, cond, uncond = (x.float() for x in low)
        expected = latents - 0.5 * (uncond + 8.0 * (cond - uncond))
        torch.testing.assert_close(clean.latents, expected, atol=1e-5, rtol=1e-5)

    def test_without_guidance_the_conditional_pass_is_enough(self):
        clean = CleanPrediction(Combination)
        clean(Prediction(0, 0.5, "cond", self.latents, self.cond))
        torch.testing.assert_close(clean.latents, self.latents - 0.5 * self.cond)
