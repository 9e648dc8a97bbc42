import math

import pytest
import torch

from numina_kernels import (
    DTypeError,
    KeyGroups,
    LayoutError,
    ShapeError,
    token_probs,
)
from numina_kernels.testing import make_groups, make_qkv


@pytest.mark.parametrize("with_lse", [False, True])
def test_equal_scores_share_the_probability(impl, with_lse):
    query, key = torch.zeros(1, 4, 2, 8), torch.zeros(1, 10, 2, 8)
    groups = KeyGroups.from_positions([[0, 1, 2], [], [9]], keys=10)
    lse = torch.full((1, 2, 4), math.log(10)) if with_lse else None

    probs = token_probs(query, key, groups, lse=lse, impl=impl)

    expected = torch.tensor([0.3, 0.0, 0.1])[None, None, :, None].expand(1, 2, 3, 4)
    torch.testing.assert_close(probs, expected)


def test_nouns_and_the_rest_sum_to_one(impl):
    query, key, _ = make_qkv(2, 500, 300, 2, 16, dtype=torch.float32)
    index = torch.randint(0, 3, (2, 300), generator=torch.manual_seed(0)).to(torch.int8)

    probs = token_probs(query, key, KeyGroups(index, 3), impl=impl)

    torch.testing.assert_close(probs.sum(dim=2), torch.ones(2, 2, 500))


@pytest.mark.parametrize("with_lse", [False, True])
def test_a_row_without_a_key_gives_nothing(impl, with_lse):
    query, key, _ = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    groups = KeyGroups.from_positions([[1, 2]], keys=5)
    lse = torch.full((1, 2, 6), -math.inf) if with_lse else None

    probs = token_probs(
        query, key, groups, key_offset=torch.full((1, 5), -math.inf), lse=lse, impl=impl
    )

    assert (probs == 0).all()


@pytest.mark.parametrize(("queries", "keys"), [(0, 5), (5, 0)])
def test_empty_input_gives_empty_or_zero_output(impl, queries, keys):
    query, key, _ = make_qkv(1, queries, keys, 2, 8, dtype=torch.float32)

    probs = token_probs(query, key, make_groups(1, keys, 2), impl=impl)

    assert probs.shape == (1, 2, 2, queries)
    assert (probs == 0).all()


def test_no_noun_is_an_empty_result(impl):
    query, key, _ = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    groups = KeyGroups(torch.full((1, 5), -1, dtype=torch.int8), 0)

    assert token_probs(query, key, groups, impl=impl).shape == (1, 2, 0, 6)


def test_nan_in_a_query_stays_in_its_row(impl):
    query, key, _ = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    query[0, 3, 1, 0] = math.nan

    probs = token_probs(query, key, KeyGroups.from_positions([[1, 4], [2]], keys=5), impl=impl)

    assert probs[0, 1, :, 3].isnan().all()
    assert probs.isnan().sum() == 2


def test_nan_in_a_key_without_a_noun_is_not_hidden(impl):
    query, key, _ = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    key[0, 4, 1, 0] = math.nan

    probs = token_probs(query, key, KeyGroups.from_positions([[0]], keys=5), impl=impl)

    assert probs[0, 1].isnan().all()
    assert probs[0, 0].isfinite().all()


def test_what_does_not_fit_is_refused():
    query, key, _ = make_qkv(2, 6, 5, 3, 8, dtype=torch.float32)
    groups = make_groups(1, 5, 2)
    with pytest.raises(LayoutError, match=r"groups.index must be \[1 or 2, 5\].*got \(3, 5\)"):
        token_probs(query, key, make_groups(3, 5, 2))
    with pytest.raises(LayoutError, match="key_offset must be"):
        token_probs(query, key, groups, key_offset=torch.zeros(1, 6))
    with pytest.raises(ShapeError, match=r"lse must be \[2, 3, 6\], got \(2, 6, 3\)"):
        token_probs(query, key, groups, lse=torch.zeros(2, 6, 3))
    with pytest.raises(DTypeError, match="lse must be float32 or float64"):
        token_probs(query, key, groups, lse=torch.zeros(2, 3, 6).half())
