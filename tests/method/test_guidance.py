"""Every patch has a class for every noun, and the bias brings it where the class shall be."""

import math

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from numina.attend import Moment
from numina.errors import LayoutError, ScheduleError
from numina.guidance.schedule import GuidanceSchedule
from numina.guidance.whole_layout import (
    NOT_SAMPLED,
    ClassTargets,
    RobustPlan,
    log_odds,
    robust_bias,
    sample_patches,
    stack_classes,
)
from numina.layout import Layout, LayoutEdit, RegionClass
from numina.video import VideoGrid
from numina_kernels.biased_attention import biased_attention
from numina_kernels.key_groups import KeyGroups
from numina_kernels.layout_bias import BiasMode, LayoutBias
from numina_kernels.padding import FoldedKeys
from numina_kernels.testing import make_qkv
from numina_kernels.token_probs import token_probs

ELSEWHERE, KEPT, ADDED, REMOVED = RegionClass
FULL = torch.tensor(1.0)


def logit(probability):
    return math.log(probability / (1 - probability))


def edit_of(before, after, nouns, **changes):
    """An edit of one frame and one row of patches."""
    before, after = (np.array(row, np.int16)[None, None] for row in (before, after))
    return LayoutEdit(Layout(before, nouns[: before.max()]), Layout(after, nouns), **changes)


# Patches:            0  1  2  3  4  5
EDIT = edit_of([1, 1, 2, 0, 0, 0], [1, 1, 0, 0, 3, 0], (0, 0, 0), added=(3,), removed=(2,),
               templates=(1,))  # fmt: skip
CODES = [KEPT, KEPT, REMOVED, ELSEWHERE, ADDED, ELSEWHERE]


def moment(queries=6):
    return Moment(step=0, noise=0.9, branch="cond", layer=0, grid=VideoGrid(1, 1, queries))


def dense(query, key, value, labels, groups, table, strength=1.0, offset=None):
    """Attention with the bias written out, in float64; ``table [B, H, G, R]`` is added."""
    scores = torch.einsum("bqhd,bkhd->bhqk", query.double(), key.double())
    scores = scores * query.shape[-1] ** -0.5
    if offset is not None:
        scores = scores + offset.double()[:, None, None]
    for b, h, q, k in np.ndindex(*scores.shape):
        noun = int(groups.index[b % len(groups.index), k])
        if noun >= 0:
            added = table[b, h % table.shape[1], noun, int(labels[b, noun, q])]
            scores[b, h, q, k] += strength * float(added)
    return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), value.double())


# The schedule.


def test_the_papers_delta_on_fifty_steps():
    delta = [GuidanceSchedule("paper").strength(0.5, step / 50) for step in range(50)]
    expected = [0.25 * (4 - 3 * math.tanh(step - 25)) for step in range(50)]
    assert delta == pytest.approx(expected)
    assert delta[0] == pytest.approx(1.75)
    assert delta[25] == pytest.approx(1.0)
    assert delta[49] == pytest.approx(0.25)


def test_the_papers_delta_depends_on_the_share_of_steps_alone():
    paper = GuidanceSchedule("paper")
    assert paper.strengths([1.0] * 50)[::5] == pytest.approx(paper.strengths([0.1] * 10))


def test_guidance_holds_until_the_noise_level_and_stops_dead():
    hold = GuidanceSchedule()
    assert [hold.strength(noise, 0.1) for noise in (1.0, 0.9, 0.5, 0.499, 0.0)] == [1, 1, 1, 0, 0]
    assert hold.strengths([1.0, 0.8, 0.6, 0.3]) == (1.0, 1.0, 1.0, 0.0)
    assert hold.strengths([1.0, 0.8, 0.6, 0.3], first=2) == (0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("noises", [(), (0.4, 0.2), (1.0, 0.45, 0.1)])
def test_a_run_without_a_step_to_guide_is_refused(noises):
    with pytest.raises(ScheduleError, match=r"at least 0\.5"):
        GuidanceSchedule().strengths(noises, first=1)


@pytest.mark.parametrize("settings", [{"rule": "linear"}, {"until": 1.5}, {"until": math.nan}])
def test_schedules_are_checked(settings):
    with pytest.raises(ScheduleError, match=next(iter(settings))):
        GuidanceSchedule(**settings)


# Classes.


def test_classes_of_a_batch_with_a_row_that_is_left_alone():
    classes, guided = stack_classes([None, EDIT], 2)
    assert classes.dtype == torch.int8
    assert classes[1].tolist() == [CODES, [ELSEWHERE] * 6]
    assert not classes[0].any()
    assert guided.tolist() == [False, True]


@pytest.mark.parametrize("edits", [[], [None], [EDIT, edit_of([1], [1], (0,))]])
def test_a_batch_covers_one_grid(edits):
    with pytest.raises(LayoutError, match="must cover one grid"):
        stack_classes(edits, 1)


def test_a_sample_covers_both_classes_of_every_noun():
    classes = torch.zeros(2, 2, 4096, dtype=torch.int8)
    classes[0, 1, 900:904] = KEPT
    classes[0, 1, :100] = REMOVED
    sample, sampled = sample_patches(classes, 64)
    assert sample.shape == (2, 64 + 64 + 4)
    assert sample[0, sampled[0, 1] == KEPT].tolist() == [900, 901, 902, 903]
    around = sample[0, sampled[0, 1] == ELSEWHERE]
    assert len(around.unique()) == 64
    assert (classes[0, 1, around] == ELSEWHERE).all()
    assert len((around % 64).unique()) > 32, "columns of a 64 x 64 grid"
    assert (sampled[0, 0, 64:] == NOT_SAMPLED).all()
    assert (sampled[1] == ELSEWHERE).sum(-1).tolist() == [64, 64]
    assert (sampled[1, :, 128:] == NOT_SAMPLED).all()
    assert torch.equal(sample, sample_patches(classes, 64)[0])


def test_a_small_layout_is_sampled_whole():
    classes, _ = stack_classes([EDIT], 1)
    sample, sampled = sample_patches(classes, 256)
    assert sorted(sample[0].tolist()) == [0, 1, 3, 5]
    np.testing.assert_array_equal(classes[0, 0, sample[0]], sampled[0, 0])


def test_a_layout_without_kept_or_free_patches_still_has_a_sample():
    sample, sampled = sample_patches(torch.full((1, 1, 4), int(ADDED), dtype=torch.int8), 4)
    assert sample.shape == (1, 1)
    inside, outside = log_odds(torch.full((1, 2, 1, 1), 0.25), sampled)
    assert inside.item() == outside.item() == pytest.approx(logit(0.25))


# Log-odds.


def test_log_odds_are_the_lower_medians_over_heads_and_patches():
    probs = torch.tensor([[0.1, 0.2, 0.9, 0.01, 0.9, 0.03], [0.3, 0.4, 0.9, 0.02, 0.9, 0.04]])
    inside, outside = log_odds(probs[None, :, None], torch.tensor([[CODES]], dtype=torch.int8))
    assert inside.item() == pytest.approx(logit(0.2))  # of .1 .2 .3 .4
    assert outside.item() == pytest.approx(logit(0.02), rel=1e-5)  # of .01 .02 .03 .04


def test_without_kept_patches_the_inside_is_the_outside():
    probs = torch.tensor([0.1, 0.2, 0.3, 0.8])[None, None, None]
    classes = torch.tensor([[[ELSEWHERE, ELSEWHERE, ELSEWHERE, ADDED]]], dtype=torch.int8)
    inside, outside = log_odds(probs, classes)
    assert inside.item() == outside.item() == pytest.approx(logit(0.2))


def test_without_free_patches_the_outside_is_the_median_of_all():
    probs = torch.tensor([0.1, 0.2, 0.3])[None, None, None]
    classes = torch.tensor([[[KEPT, KEPT, ADDED]]], dtype=torch.int8)
    inside, outside = log_odds(probs, classes)
    assert inside.item() == pytest.approx(logit(0.1))
    assert outside.item() == pytest.approx(logit(0.2))


def test_certain_probabilities_have_finite_log_odds():
    probs = torch.tensor([0.0, 1.0])[None, None, None]
    classes = torch.tensor([[[ELSEWHERE, KEPT]]], dtype=torch.int8)
    inside, outside = log_odds(probs, classes)
    assert inside.item() == pytest.approx(-outside.item(), abs=1e-2)
    assert inside.item() == pytest.approx(11.5, abs=0.1)


def test_log_odds_refuse_classes_of_other_patches():
    with pytest.raises(LayoutError, match=r"classes must be \[B, G, Q\]"):
        log_odds(torch.rand(1, 2, 1, 5), torch.zeros(1, 1, 4, dtype=torch.int8))


# The bias.


def biased(inside, outside, **settings):
    classes, _ = stack_classes([EDIT], 1)
    groups = KeyGroups.from_positions([[1]], 3)
    inside, outside = torch.tensor([[inside]]), torch.tensor([[outside]])
    return robust_bias(classes, groups, inside, outside, ClassTargets(**settings), FULL)


def test_the_table_is_what_is_missing_to_the_targets():
    bias = biased(-0.5, -2.0)
    expected = [-3.0, logit(0.6) + 0.5, logit(0.97) + 2.0, -17.5]
    assert bias.table.flatten().tolist() == pytest.approx(expected)
    assert bias.table.shape == (1, 1, 1, 4)
    assert (bias.mode == BiasMode.ADD).all()


def test_an_instance_is_never_pushed_below_what_it_was():
    bias = biased(3.0, 6.0)
    assert bias.table.flatten().tolist() == pytest.approx([-3.0, 0.0, 0.0, -17.5])


@pytest.mark.parametrize("odds", [-1e9, -math.inf])
def test_boosts_are_limited(odds):
    assert biased(odds, odds, ceiling=9.0).table.flatten().tolist() == [-3.0, 9.0, 9.0, -17.5]


def test_a_broken_layer_gets_no_boost_rather_than_nan():
    assert biased(math.nan, math.nan).table.flatten().tolist() == [-3.0, 0.0, 0.0, -17.5]


def test_the_table_passes_the_checks_that_it_skips():
    bias = biased(0.5, -2.0)
    fields = ("labels", "groups", "table", "mode", "strength", "weight", "key_offset")
    LayoutBias(**{name: getattr(bias, name) for name in fields})


def test_the_odds_of_a_patch_reach_the_target():
    # One value of the noun's probability everywhere, so the median patch is every patch.
    query, key = torch.zeros(1, 6, 2, 4), torch.zeros(1, 5, 2, 4)
    groups = KeyGroups.from_positions([[1, 2]], 5)
    classes, _ = stack_classes([EDIT], 1)
    probs = token_probs(query, key, groups)
    inside, outside = log_odds(probs, classes)
    assert inside.item() == outside.item() == pytest.approx(logit(0.4))
    bias = robust_bias(classes, groups, inside, outside, ClassTargets(), FULL)
    value = torch.zeros(1, 5, 2, 4)
    value[:, 1:3] = 1.0  # so the output is the noun's probability
    output, _ = biased_attention(query, key, value, bias)
    lowered = [1 / (1 + math.exp(-logit(0.4) + b)) for b in (3.0, 17.5)]
    expected = {KEPT: 0.6, ADDED: 0.97, ELSEWHERE: lowered[0], REMOVED: lowered[1]}
    found = output[0, :, 0, 0].tolist()
    assert found == pytest.approx([expected[code] for code in CODES], rel=1e-5)


def test_the_bias_is_that_of_a_dense_oracle():
    query, key, value = make_qkv(2, 6, 7, 3, 8, dtype=torch.float32)
    groups = KeyGroups(torch.tensor([[-1, 0, 0, 1, -1, -1, -1]], dtype=torch.int8), 2)
    offset = torch.zeros(1, 7)
    offset[0, -1] = 1.5
    second = edit_of([0, 1, 2, 0, 2, 2], [0, 0, 2, 0, 2, 2], (0, 1), removed=(1,))
    classes, _ = stack_classes([EDIT, second], 2)
    inside, outside = log_odds(token_probs(query, key, groups, key_offset=offset), classes)
    strength = torch.tensor(0.75)
    bias = robust_bias(
        classes, groups, inside, outside, ClassTargets(), strength, key_offset=offset
    )
    output, _ = biased_attention(query, key, value, bias)
    expected = dense(query, key, value, classes, groups, bias.table, 0.75, offset)
    torch.testing.assert_close(output.double(), expected, rtol=1e-5, atol=1e-5)


# The plan.


def test_a_row_without_a_plan_keeps_its_very_bits():
    query, key, value = make_qkv(2, 6, 5, 2, 8, dtype=torch.float32)
    groups = KeyGroups(torch.tensor([[-1, 0, 0, -1, 1]] * 2, dtype=torch.int8), 2)
    plan = RobustPlan([EDIT, None], 2)
    bias = plan.bias(query, FoldedKeys(key, value, None), groups, FULL, moment())
    assert not bias.table[1].any()
    output, _ = biased_attention(query, key, value, bias)
    plain, _ = biased_attention(query, key, value)
    assert torch.equal(output[1], plain[1])
    assert not torch.equal(output[0], plain[0])


def test_a_plan_measures_each_layer_on_its_own_scores():
    query, key, value = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    groups = KeyGroups.from_positions([[1], [2, 3]], 5)
    plan = RobustPlan([EDIT], 2)
    classes, _ = stack_classes([EDIT], 2)
    for scale in (1.0, 3.0):
        inside, outside = log_odds(token_probs(scale * query, key, groups), classes)
        expected = robust_bias(classes, groups, inside, outside, ClassTargets(), FULL)
        text = FoldedKeys(key, value, None)
        bias = plan.bias(scale * query, text, groups, FULL, moment())
        torch.testing.assert_close(bias.table, expected.table)


def test_a_sampled_plan_is_close_to_the_whole():
    labels = np.zeros((3, 20, 30), np.int16)
    labels[:, 5:15, 4:14] = 1
    layout = Layout(labels, (0,))
    query, key, value = make_qkv(1, 1800, 9, 4, 16, dtype=torch.float32)
    query[:, torch.from_numpy(np.flatnonzero(labels))] += key[:, 2:3]
    groups = KeyGroups.from_positions([[2]], 9)
    tables = []
    for samples in (64, 10_000):
        plan = RobustPlan([LayoutEdit(layout, layout)], 1, ClassTargets(samples=samples))
        text = FoldedKeys(key, value, None)
        tables.append(plan.bias(query, text, groups, FULL, moment(1800)).table)
    torch.testing.assert_close(*tables, atol=0.5, rtol=0)


@pytest.mark.parametrize(("batch", "queries"), [(2, 6), (1, 5)])
def test_a_plan_refuses_another_batch_or_grid(batch, queries):
    query, key, value = make_qkv(batch, queries, 5, 2, 8, dtype=torch.float32)
    groups = KeyGroups.from_positions([[1]], 5)
    text = FoldedKeys(key, value, None)
    with pytest.raises(LayoutError, match="1 videos of 6 patches"):
        RobustPlan([EDIT], 1).bias(query, text, groups, FULL, moment())


def test_nothing_waits_for_the_device():
    classes, guided = stack_classes([EDIT], 1)
    _, sampled = sample_patches(classes, 4)
    groups = KeyGroups.from_positions([[1]], 5)
    probs = torch.rand(1, 2, 1, sampled.shape[-1])
    # A fake tensor has no values: reading one on the host raises.
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:
        fake = [mode.from_tensor(tensor) for tensor in (probs, sampled, classes, guided, FULL)]
        inside, outside = log_odds(fake[0], fake[1])
        bias = robust_bias(
            fake[2], groups, inside, outside, ClassTargets(), fake[4], guided=fake[3]
        )
    assert bias.table.shape == (1, 1, 1, 4)


@pytest.mark.parametrize(
    "settings",
    [
        {"kept": 1.0},
        {"added": 0.0},
        {"elsewhere": 1.0},
        {"removed": -math.inf},
        {"ceiling": -1.0},
        {"ceiling": math.nan},
        {"samples": 0},
    ],
)
def test_targets_are_checked(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        ClassTargets(**settings)
