import math

import pytest
import torch

from numina_kernels import (
    KeyGroups,
    LayoutError,
    ShapeError,
    biased_attention,
    find_padding,
    fold_padding,
    token_probs,
)
from numina_kernels.testing import assert_within_budget, make_qkv


def padded(lengths, keys=64, dtype=torch.float32, seed=0):
    """Query, key and value of a text whose rows are equal from ``lengths`` on."""
    query, key, value = make_qkv(len(lengths), 50, keys, 2, 32, dtype=dtype, seed=seed)
    for row, length in enumerate(lengths):
        key[row, length:] = key[row, -1]
        value[row, length:] = value[row, -1]
    return query, key, value


def test_padding_is_the_run_of_equal_rows_at_the_end():
    context = torch.randn(4, 10, 3, generator=torch.manual_seed(0))
    context[0, 6:] = 0.0
    context[1, 2:] = 0.5
    context[2, -1:] = 0.0
    context[3] = 0.0

    assert find_padding(context) == (6, 2, 10, 0)


def test_a_gap_of_equal_rows_in_the_middle_is_no_padding():
    context = torch.randn(1, 10, 3, generator=torch.manual_seed(0))
    context[:, 3:6] = 0.0

    assert find_padding(context) == (10,)


def test_nan_rows_and_no_rows_are_no_padding():
    assert find_padding(torch.full((1, 4, 2), math.nan)) == (4,)
    assert find_padding(torch.zeros(2, 0, 3)) == (0, 0)
    assert find_padding(torch.zeros(0, 5, 3)) == ()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("lengths", [(11, 11), (3, 20), (0, 5), (62, 1)], ids=str)
def test_folded_attention_is_at_least_as_exact_as_the_whole(impl, lengths, dtype):
    query, key, value = padded(lengths, dtype=dtype)
    exact = biased_attention(query.double(), key.double(), value.double(), impl="reference")
    whole = biased_attention(query, key, value, impl="reference")

    folded = fold_padding(key, value, lengths)
    actual = biased_attention(
        query, folded.key, folded.value, key_offset=folded.key_offset, impl=impl
    )

    assert folded.key.shape[1] == max(lengths) + 1
    for got, eager, true in zip(actual, whole, exact, strict=True):
        assert_within_budget(got, eager, true, slack=1.0)


def test_folding_is_exact_in_float64():
    query, key, value = (x.double() for x in padded((7, 12), keys=512))
    whole, _ = biased_attention(query, key, value, impl="reference")

    folded = fold_padding(key, value, (7, 12))
    actual, _ = biased_attention(
        query, folded.key, folded.value, key_offset=folded.key_offset, impl="reference"
    )

    # log(500) is stored in float32, which is all that is lost.
    assert (actual - whole).abs().max() < 1e-7


def test_noun_probabilities_survive_the_folding(impl):
    query, key, value = padded((9,))
    groups = KeyGroups.from_positions([[2, 3], [8]], keys=64)
    whole = token_probs(query, key, groups, impl="reference")

    folded = fold_padding(key, value, 9)
    actual = token_probs(
        query, folded.key, groups.fold([9]), key_offset=folded.key_offset, impl=impl
    )

    torch.testing.assert_close(actual, whole, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("lengths", [(64, 3), (63, 63), 64], ids=str)
def test_with_nothing_to_fold_everything_stays(lengths):
    _, key, value = padded((64, 3))
    folded = fold_padding(key, value, lengths)

    assert folded.key is key
    assert folded.value is value
    assert folded.key_offset is None


def test_folded_keys_are_views():
    _, key, value = padded((5, 5))
    folded = fold_padding(key, value, 5)

    assert folded.key.data_ptr() == key.data_ptr()
    assert folded.value.data_ptr() == value.data_ptr()
    assert folded.key_offset.tolist() == [[0.0] * 5 + [pytest.approx(math.log(59))]]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [((1, 2, 3), "lengths must name 1 or 2 rows, got 3"), ((65, 0), r"lengths must be 0..64")],
)
def test_lengths_that_do_not_fit_are_refused(lengths, message):
    _, key, value = padded((5, 5))
    with pytest.raises(LayoutError, match=message):
        fold_padding(key, value, lengths)


def test_shapes_that_do_not_fit_are_refused():
    _, key, value = padded((5, 5))
    with pytest.raises(ShapeError, match="key and value must be"):
        fold_padding(key, value[:, :-1], 5)
    with pytest.raises(ShapeError, match="context must be"):
        find_padding(key)
