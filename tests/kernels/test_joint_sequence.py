"""Only from video to text is there a bias, wherever the text stands in the sequence."""

import math

import pytest
import torch

from numina_kernels import (
    BiasMode,
    JointSequence,
    KeyGroups,
    LayoutBias,
    LayoutError,
    biased_attention,
    biased_attention_with_probs,
    token_probs,
)
from numina_kernels.testing import (
    assert_within_budget,
    make_layout_bias,
    make_qkv,
    poisoned_buffers,
    score_rounding,
)

ORDERS = pytest.mark.parametrize("text_first", [True, False], ids=["text first", "video first"])
TEXT, VIDEO = 20, 90
NOUNS = KeyGroups.from_positions([[2, 3], [17]], keys=TEXT)


def cross_bias(**settings):
    """A bias of the video's queries on the text's keys, as cross-attention has it."""
    return make_layout_bias(NOUNS, VIDEO, **settings)


def by_hand(sequence, cross, query, key, value, dtype=torch.float64):
    """Joint attention in ``dtype``; the bias of the cross-attention is put into its block."""
    query, key, value = (part.to(dtype).transpose(1, 2) for part in (query, key, value))
    scores = query @ key.mT * query.shape[-1] ** -0.5
    text, video = sequence.text_rows, sequence.video_rows
    if cross.key_offset is not None:
        scores[..., text] += cross.key_offset
    # The offset is in these scores already.
    block = LayoutBias.trusted(
        cross.labels, cross.groups, cross.table, cross.mode, cross.strength, cross.weight
    )
    scores[..., video, text] = block.materialize(scores[..., video, text])
    probs = scores.softmax(dim=-1)
    owned = torch.stack([NOUNS.index[0] == noun for noun in range(NOUNS.count)]).to(dtype)
    return (
        (probs @ value).transpose(1, 2),
        scores.logsumexp(dim=-1),
        (probs[..., text] @ owned.T).transpose(-1, -2),
    )


@ORDERS
@pytest.mark.parametrize("offset", [False, True], ids=["no offset", "offset"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_video_to_text_alone_is_biased(impl, dtype, offset, text_first):
    sequence = JointSequence(TEXT, VIDEO, text_first)
    query, key, value = make_qkv(1, TEXT + VIDEO, TEXT + VIDEO, 2, 16, dtype=dtype)
    key_offset = torch.linspace(-2.0, 2.0, TEXT)[None] if offset else None
    cross = cross_bias(heads=2, strength=1.25, key_offset=key_offset)
    bias, groups = sequence.bias(cross), sequence.groups(NOUNS)
    exact = by_hand(sequence, cross, query, key, value)
    # Not an implementation: it would be given the same bias, and with it the same fault.
    plain = by_hand(sequence, cross, query, key, value, torch.float32)

    with poisoned_buffers():
        actual = biased_attention_with_probs(query, key, value, groups, bias, impl=impl)

    rounding = score_rounding(query, key, bias, bias.key_offset)
    floors = (rounding * value.abs().max().item(), rounding, rounding)
    for got, eager, true, floor in zip(actual, plain, exact, floors, strict=True):
        assert_within_budget(got, eager, true, floor=floor)


@ORDERS
def test_the_oracle_is_right_too(text_first):
    sequence = JointSequence(TEXT, VIDEO, text_first)
    query, key, value = make_qkv(1, TEXT + VIDEO, TEXT + VIDEO, 2, 16, dtype=torch.float64)
    cross = cross_bias(heads=2, key_offset=torch.linspace(-2.0, 2.0, TEXT)[None])

    actual = biased_attention_with_probs(
        query, key, value, sequence.groups(NOUNS), sequence.bias(cross), impl="reference"
    )

    for got, true in zip(actual, by_hand(sequence, cross, query, key, value), strict=True):
        torch.testing.assert_close(got, true)


@ORDERS
def test_text_queries_have_the_bits_of_no_bias(impl, text_first):
    # All keys are one tile: with several, a bias changes which are added up first.
    text, video = 9, 40
    sequence = JointSequence(text, video, text_first)
    query, key, value = make_qkv(1, text + video, text + video, 2, 16, dtype=torch.float32)
    groups = KeyGroups.from_positions([[1], [4, 5]], text)
    cross = make_layout_bias(groups, video, modes=(BiasMode.ADD,))
    # Class 1 leaves a score alone as well.
    cross.table[..., 1] = 0.0
    untouched = (cross.labels == 1).all(dim=1)[0]
    assert 0 < untouched.sum() < video

    plain, _ = biased_attention(query, key, value, impl=impl)
    biased, _ = biased_attention(query, key, value, sequence.bias(cross), impl=impl)

    same = (biased == plain).all(dim=(-2, -1))[0]
    assert same[sequence.text_rows].all()
    assert torch.equal(same[sequence.video_rows], untouched)


@ORDERS
def test_probabilities_of_nouns_need_the_groups_alone(impl, text_first):
    sequence = JointSequence(TEXT, VIDEO, text_first)
    query, key, value = make_qkv(1, TEXT + VIDEO, TEXT + VIDEO, 2, 16, dtype=torch.float32)
    offset = torch.full((1, TEXT), -math.inf)
    offset[:, :18] = 0.0
    off = cross_bias(strength=0.0, key_offset=offset)

    probs = token_probs(
        query, key, sequence.groups(NOUNS), key_offset=sequence.key_offset(offset), impl=impl
    )

    _, _, expected = by_hand(sequence, off, query, key, value)
    torch.testing.assert_close(probs.double(), expected, atol=1e-6, rtol=1e-5)


@ORDERS
def test_the_parts_by_hand(text_first):
    sequence = JointSequence(text=3, video=2, text_first=text_first)
    groups = KeyGroups.from_positions([[2]], keys=3)
    cross = LayoutBias(
        labels=torch.tensor([[[1, 0]]], dtype=torch.int8),
        groups=groups,
        table=torch.tensor([[[[5.0, 7.0]]]]),
        mode=torch.tensor([[[BiasMode.LIFT, BiasMode.OVERWRITE]]], dtype=torch.int8),
        weight=torch.tensor([[[0.5, 0.0]]]),
        strength=torch.tensor(0.25),
        key_offset=torch.tensor([[0.0, 0.0, 1.5]]),
    )

    bias = sequence.bias(cross)

    assert bias.labels[0, 0].tolist() == ([2, 2, 2, 1, 0] if text_first else [1, 0, 2, 2, 2])
    assert bias.groups.index[0].tolist() == (
        [-1, -1, 0, -1, -1] if text_first else [-1, -1, -1, -1, 0]
    )
    assert bias.groups.columns.tolist() == ([2] if text_first else [4])
    assert bias.table[0, 0, 0].tolist() == [5.0, 7.0, 0.0]
    assert bias.mode[0, 0].tolist() == [BiasMode.LIFT, BiasMode.OVERWRITE, BiasMode.ADD]
    assert bias.weight[0, 0].tolist() == [0.5, 0.0, 0.0]
    assert bias.key_offset[0].tolist() == (
        [0.0, 0.0, 1.5, 0.0, 0.0] if text_first else [0.0, 0.0, 0.0, 0.0, 1.5]
    )
    # Filled in place from step to step, so it must be the very tensor.
    assert bias.strength is cross.strength
    # What was not checked again would have passed.
    LayoutBias(
        **{name: getattr(bias, name) for name in ("labels", "table", "mode", "weight")},
        groups=KeyGroups(bias.groups.index, 1),
        strength=bias.strength,
        key_offset=bias.key_offset,
    )


def test_what_belongs_to_another_sequence_is_refused():
    sequence = JointSequence(TEXT, VIDEO + 1, text_first=True)
    with pytest.raises(LayoutError, match=r"bias.labels must cover the 91 video tokens, got \(1"):
        sequence.bias(cross_bias())
    with pytest.raises(LayoutError, match=r"groups.index must cover the 19 text tokens"):
        JointSequence(TEXT - 1, VIDEO, text_first=True).groups(NOUNS)
    with pytest.raises(LayoutError, match=r"key_offset must cover the 20 text tokens, got \(1, 4"):
        sequence.key_offset(torch.zeros(1, 4))
    with pytest.raises(LayoutError, match=r"must not be negative, got -1 and 4"):
        JointSequence(-1, 4, text_first=True)


def test_a_class_is_left_for_the_text():
    sequence = JointSequence(TEXT, VIDEO, text_first=False)

    assert sequence.bias(cross_bias(classes=127)).labels.max() == 127
    with pytest.raises(LayoutError, match=r"at most 127 classes.*got 128"):
        sequence.bias(cross_bias(classes=128))
