import math

import pytest
import torch

from numina_kernels import (
    AttentionMap,
    DeviceError,
    DTypeError,
    KeyGroups,
    ShapeError,
    token_probs,
)
from numina_kernels.impl import Impl
from numina_kernels.testing import make_qkv


def test_rows_of_the_map_sum_to_one_over_many_tiles(impl):
    query, key, _ = make_qkv(1, 900, 800, 3, 8, dtype=torch.float32)
    attention = AttentionMap(query, key, impl=impl)

    ones = attention.apply(torch.ones(1, 800, 3, 1))
    mass = attention.apply_transposed(torch.ones(1, 900, 3, 1))

    torch.testing.assert_close(ones, torch.ones_like(ones))
    assert mass.sum().item() == pytest.approx(3 * 900, rel=1e-5)


def test_the_transposed_product_is_the_adjoint(impl):
    if impl is Impl.TRITON:
        pytest.skip("refuses float64")
    query, key, _ = make_qkv(2, 90, 70, 2, 16, dtype=torch.float64)
    y, x, _ = make_qkv(2, 90, 70, 2, 5, dtype=torch.float64, seed=1)
    attention = AttentionMap(query, key, impl=impl)

    forward = (attention.apply(x) * y).sum()
    backward = (attention.apply_transposed(y) * x).sum()

    torch.testing.assert_close(forward, backward)


def test_a_noun_map_is_the_map_times_a_one_hot_column(impl):
    query, key, _ = make_qkv(1, 40, 12, 2, 16, dtype=torch.float32)
    groups = KeyGroups.from_positions([[2, 5]], keys=12)
    column = (groups.index == 0).float()[..., None, None].expand(1, 12, 2, 1)

    noun = AttentionMap(query, key, impl=impl).apply(column)

    probs = token_probs(query, key, groups, impl=impl)
    torch.testing.assert_close(noun[..., 0].transpose(1, 2), probs[:, :, 0])


def test_columns_keep_their_own_dtype(impl):
    query, key, value = make_qkv(1, 9, 7, 2, 8, dtype=torch.bfloat16)
    attention = AttentionMap(query, key, impl=impl)

    assert attention.apply(value).dtype == torch.bfloat16
    assert attention.apply(value.float()).dtype == torch.float32
    assert attention.apply_transposed(query.double()).dtype == torch.float64
    assert attention.lse.dtype == torch.float32


@pytest.mark.parametrize(("queries", "keys"), [(0, 5), (5, 0)])
def test_an_empty_map_gives_empty_or_zero_products(impl, queries, keys):
    query, key, _ = make_qkv(1, queries, keys, 2, 8, dtype=torch.float32)
    attention = AttentionMap(query, key, impl=impl)
    x, y = torch.ones(1, keys, 2, 3), torch.ones(1, queries, 2, 3)

    for _ in range(2):
        assert torch.equal(attention.apply(x), torch.zeros(1, queries, 2, 3))
    assert torch.equal(attention.apply_transposed(y), torch.zeros(1, keys, 2, 3))
    assert (attention.lse == -math.inf).all()
    assert (AttentionMap(query, key, impl=impl).lse == -math.inf).all()


def test_nan_in_a_query_stays_in_its_row(impl):
    query, key, _ = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    query[0, 3, 1, 0] = math.nan
    attention = AttentionMap(query, key, impl=impl)

    for _ in range(2):
        product = attention.apply(torch.ones(1, 5, 2, 1))
        assert product[0, 3, 1].isnan().all()
        assert product.isnan().sum() == 1
    assert attention.apply_transposed(torch.ones(1, 6, 2, 1))[:, :, 1].isnan().all()


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(1, 6, 2, 3), ShapeError, r"x must be \[1, 5, 2, C\], got \(1, 6, 2, 3\)"),
        (torch.zeros(1, 5, 2), ShapeError, r"x must be \[1, 5, 2, C\]"),
        (torch.zeros(1, 5, 2, 3).long(), DTypeError, "x must be one of float16"),
        (torch.zeros(1, 5, 2, 3, device="meta"), DeviceError, "x is on meta"),
    ],
)
def test_columns_that_do_not_fit_are_refused(x, error, message):
    query, key, _ = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    with pytest.raises(error, match=message):
        AttentionMap(query, key).apply(x)


def test_columns_of_the_other_side_are_refused():
    query, key, _ = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    with pytest.raises(ShapeError, match=r"y must be \[1, 6, 2, C\]"):
        AttentionMap(query, key).apply_transposed(torch.zeros(1, 5, 2, 3))
